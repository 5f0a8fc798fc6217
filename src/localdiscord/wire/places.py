"""Guild and channel objects, in the shapes of REST, of GUILD_CREATE and of a user's READY."""

from collections.abc import Mapping, Sequence

from localdiscord.wire.snowflake import iso
from localdiscord.wire.users import everyone_role, member_object, user_object
from localdiscord.world.models import DIRECT_MESSAGE, Channel, Guild, Json, User

#: More members than this make a guild "large".
LARGE_THRESHOLD = 250


def channel_object(channel: Channel, viewer: int, users: Mapping[int, User]) -> Json:
    """Return the channel as `viewer` sees it: a direct message names the other side only."""
    last_message = str(channel.last_message_id) if channel.last_message_id else None
    if channel.type == DIRECT_MESSAGE:
        others = [users[each] for each in channel.recipient_ids if each != viewer]
        return {
            "id": str(channel.id),
            "type": channel.type,
            "last_message_id": last_message,
            "flags": 0,
            "recipients": [user_object(other) for other in others],
        }
    return {
        "id": str(channel.id),
        "type": channel.type,
        "guild_id": str(channel.guild_id),
        "name": channel.name,
        "topic": None,
        "position": channel.position,
        "permission_overwrites": [],
        "parent_id": None,
        "nsfw": False,
        "rate_limit_per_user": channel.slow_mode,
        "last_message_id": last_message,
        "last_pin_timestamp": None,
        "flags": 0,
    }


def private_channel(channel: Channel, viewer: int, users: Mapping[int, User], *, by_id: bool) -> Json:
    """Return a READY entry of `private_channels`; `by_id` is the shape of the capability DEDUPE_USER_OBJECTS."""
    entry = channel_object(channel, viewer, users)
    entry["is_spam"] = False
    if by_id:
        entry["recipient_ids"] = [each["id"] for each in entry.pop("recipients")]
    return entry


def guild_fields(guild: Guild) -> Json:
    """Return the fields of the guild itself, without members and channels."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(guild.owner_id),
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "features": [],
        "mfa_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "max_members": 500_000,
        "nsfw": False,
        "nsfw_level": 0,
        "widget_enabled": False,
        "hub_type": None,
    }


def guild_object(guild: Guild) -> Json:
    """Return the REST guild object."""
    return {
        **guild_fields(guild),
        "roles": [everyone_role(guild)],
        "emojis": [],
        "stickers": [],
        "approximate_member_count": guild.member_count,
        "approximate_presence_count": 1,
    }


def guild_create(
    guild: Guild, viewer: int, channels: Sequence[Channel], users: Mapping[int, User], own_only: bool
) -> Json:
    """Return GUILD_CREATE's payload; `own_only` lists just the viewer's own member, as user sessions get it."""
    shown = [viewer] if own_only else guild.member_ids
    return {
        **guild_object(guild),
        **_gateway_fields(guild, viewer, channels, users),
        "unavailable": False,
        "members": [member_object(users[each], guild) for each in shown],
        "presences": [],
        "voice_states": [],
        "soundboard_sounds": [],
        "activity_instances": [],
    }


def ready_guild(guild: Guild, viewer: int, channels: Sequence[Channel], users: Mapping[int, User]) -> Json:
    """Return a READY entry in the shape of the capability CLIENT_STATE_V2."""
    return {
        "id": str(guild.id),
        "properties": guild_fields(guild),
        "roles": [everyone_role(guild)],
        "emojis": [],
        "stickers": [],
        **_gateway_fields(guild, viewer, channels, users),
        "data_mode": "full",
        "premium_subscription_count": 0,
        "version": guild.id,
    }


def _gateway_fields(
    guild: Guild, viewer: int, channels: Sequence[Channel], users: Mapping[int, User]
) -> Json:
    return {
        "joined_at": iso(guild.created),
        "large": guild.member_count > LARGE_THRESHOLD,
        "lazy": True,
        "member_count": guild.member_count,
        "channels": [channel_object(channel, viewer, users) for channel in channels],
        "threads": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
    }
