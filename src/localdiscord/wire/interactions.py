"""INTERACTION_CREATE as a bot reads it, and the answers about interactions."""

from collections.abc import Mapping

from localdiscord.wire.messages import MessageWriter, owners_of
from localdiscord.wire.places import channel_object
from localdiscord.wire.users import ALL_PERMISSIONS, member_object, user_object
from localdiscord.world.models import Channel, Guild, Interaction, Json, User


def interaction_create(
    interaction: Interaction,
    *,
    channel: Channel,
    guild: Guild | None,
    bot_id: int,
    users: Mapping[int, User],
    writer: MessageWriter,
    attachment_size_limit: int,
) -> Json:
    """Return the event for the bot's session. It holds the token and never the client's nonce."""
    body: Json = {
        "version": 1,
        "id": str(interaction.id),
        "application_id": str(interaction.application_id),
        "type": interaction.type,
        "token": interaction.token,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": channel_object(channel, bot_id, users),
        "locale": "en-US",
        "app_permissions": ALL_PERMISSIONS,
        "attachment_size_limit": attachment_size_limit,
        "authorizing_integration_owners": owners_of(interaction),
        "entitlements": [],
        "entitlement_sku_ids": [],
        "context": 1 if guild is None else 0,
    }
    user = users[interaction.user_id]
    if guild is None:
        body["user"] = user_object(user)
    else:
        body |= {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": {**member_object(user, guild), "permissions": ALL_PERMISSIONS},
        }
    if interaction.message is not None:
        body["message"] = writer.write(interaction.message)
    return body


def callback_response(interaction: Interaction, message: Json | None) -> Json:
    """Return the body of a callback asked for with `with_response`."""
    kind = interaction.callback_type
    body: Json = {
        "interaction": {
            "id": str(interaction.id),
            "type": interaction.type,
            "channel_id": str(interaction.channel_id),
            "response_message_loading": kind == 5,
            "response_message_ephemeral": bool(message and message["flags"] & 64),
        },
        "resource": {"type": kind},
    }
    if message is not None:
        body["interaction"]["response_message_id"] = message["id"]
        body["resource"]["message"] = message
    return body
