"""Message and attachment objects, as REST and the Gateway send them."""

from collections.abc import Callable, Mapping
from typing import Final

from localdiscord.cdn.links import Links
from localdiscord.wire.snowflake import iso
from localdiscord.wire.users import user_object
from localdiscord.world.models import COMMAND, COMPONENT, Attachment, Interaction, Json, Message, User

PREVIEWED: Final = ("image/", "video/")


def attachment_object(attachment: Attachment, links: Links) -> Json:
    """Return the attachment with a link signed now."""
    url = links.url_of(attachment)
    body: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": len(attachment.data),
        "url": url,
        "proxy_url": url,
    }
    if attachment.content_type:
        body["content_type"] = attachment.content_type
        body["content_scan_version"] = 0
        if attachment.content_type.startswith(PREVIEWED) and attachment.width:
            body |= {"width": attachment.width, "height": attachment.height}
    if attachment.description:
        body["description"] = attachment.description
    if attachment.ephemeral:
        body["ephemeral"] = True
    return body


class MessageWriter:
    """Turns messages into JSON objects; knows where users and messages are found, and who signs links."""

    def __init__(
        self, users: Mapping[int, User], links: Links, find_message: Callable[[int, int], Message | None]
    ) -> None:
        self._users = users
        self._links = links
        self._find = find_message

    def write(self, message: Message, *, nested: bool = False) -> Json:
        """
        Return the message object of REST.

        `nested` leaves out the referenced message, as Discord does one level down.
        """
        body: Json = {
            "id": str(message.id),
            "channel_id": str(message.channel_id),
            "type": message.type,
            "author": user_object(self._users[message.author_id]),
            "content": message.content,
            "timestamp": iso(message.created),
            "edited_timestamp": None if message.edited is None else iso(message.edited),
            "tts": message.tts,
            "flags": message.flags,
            "pinned": False,
            "attachments": [attachment_object(each, self._links) for each in message.attachments],
            "embeds": message.embeds,
            "components": message.components,
            "mentions": [user_object(self._users[each]) for each in message.mention_ids],
            "mention_roles": [],
            "mention_everyone": message.mention_everyone,
        }
        if message.interaction is not None:
            body |= self._interaction_keys(message, message.interaction)
        if message.reference_id is not None:
            body |= self._reference_keys(message, message.reference_id, nested=nested)
        return body

    def _reference_keys(self, message: Message, reference_id: int, *, nested: bool) -> Json:
        reference: Json = {
            "type": 0,
            "message_id": str(reference_id),
            "channel_id": str(message.channel_id),
        }
        if message.guild_id is not None:
            reference["guild_id"] = str(message.guild_id)
        if nested:
            return {"message_reference": reference}
        target = self._find(message.channel_id, reference_id)
        return {
            "message_reference": reference,
            "referenced_message": None if target is None else self.write(target, nested=True),
        }

    def _interaction_keys(self, message: Message, interaction: Interaction) -> Json:
        keys: Json = {
            "application_id": str(interaction.application_id),
            "webhook_id": str(interaction.application_id),
            "interaction_metadata": self.metadata(interaction, message.original_response_id),
        }
        if interaction.type == COMMAND and message.original_response_id is None:
            keys["interaction"] = {
                "id": str(interaction.id),
                "type": interaction.type,
                "name": interaction.data["name"],
                "user": user_object(self._users[interaction.user_id]),
            }
        return keys

    def metadata(self, interaction: Interaction, original_response_id: int | None) -> Json:
        """Return `interaction_metadata`."""
        body: Json = {
            "id": str(interaction.id),
            "type": interaction.type,
            "user": user_object(self._users[interaction.user_id]),
            "authorizing_integration_owners": owners_of(interaction),
        }
        if interaction.type == COMMAND:
            body |= {"name": interaction.data["name"], "command_type": interaction.data.get("type", 1)}
        if interaction.type == COMPONENT and interaction.message is not None:
            body["interacted_message_id"] = str(interaction.message.id)
        if original_response_id is not None:
            body["original_response_message_id"] = str(original_response_id)
        return body


def owners_of(interaction: Interaction) -> Json:
    """Return `authorizing_integration_owners`: the guild, or "0" in the bot's direct message."""
    return {"0": str(interaction.guild_id or 0)}
