"""User, member and role objects."""

from localdiscord.wire.snowflake import iso
from localdiscord.world.models import Guild, Json, User

#: Every permission bit, as the decimal string Discord sends.
ALL_PERMISSIONS = "2251799813685247"


def user_object(user: User) -> Json:
    """Return the public user object."""
    return {
        "id": str(user.id),
        "username": user.username,
        "discriminator": "0",
        "global_name": None if user.bot else user.username.title(),
        "avatar": None,
        "avatar_decoration_data": None,
        "clan": None,
        "primary_guild": None,
        "collectibles": None,
        "banner": None,
        "accent_color": None,
        "bot": user.bot,
        "public_flags": 0,
        "flags": 0,
    }


def own_user_object(user: User) -> Json:
    """Return what a client reads about itself, in READY and at /users/@me."""
    own = {
        **user_object(user),
        "system": False,
        "mfa_enabled": False,
        "locale": "en-US",
        "verified": True,
        "email": None if user.bot else f"{user.username}@localdiscord.invalid",
        "premium_type": 0,
        "bio": "",
    }
    if not user.bot:
        own |= {
            "phone": None,
            "nsfw_allowed": True,
            "premium": False,
            "purchased_flags": 0,
            "premium_usage_flags": 0,
            "desktop": False,
            "mobile": False,
            "pronouns": "",
        }
    return own


def member_object(user: User, guild: Guild, *, with_user: bool = True) -> Json:
    """Return the guild member; inside a message it comes without its user."""
    member: Json = {
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "deaf": False,
        "flags": 0,
        "joined_at": iso(guild.created),
        "mute": False,
        "nick": None,
        "pending": False,
        "premium_since": None,
        "roles": [],
    }
    if with_user:
        member["user"] = user_object(user)
    return member


def everyone_role(guild: Guild) -> Json:
    """Return the role every member has; its id is the guild's."""
    return {
        "id": str(guild.id),
        "name": "@everyone",
        "description": None,
        "permissions": ALL_PERMISSIONS,
        "position": 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
