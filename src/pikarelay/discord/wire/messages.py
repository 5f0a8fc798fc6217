"""Discord's message objects, read into the core's `BotMessage`."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.bot_messages import EPHEMERAL, Look, Prose
from pikarelay.discord.wire.payloads import Component, WireError
from pikarelay.jobs.job import Attachment, Button
from pikarelay.jobs.messages import BotMessage

T = TypeVar("T")

BUTTON = 2
TEXT_DISPLAY = 10

_MENTION = re.compile(r"<@!?(\d+)>")
#: Categories of emoji and of what they are composed with. `Mn` stays: it holds the accents of real languages.
_PICTORIAL = frozenset({"So", "Sk", "Cf", "Cs", "Co", "Cn"})
#: Variation selectors and the key cap, which are `Mn` and `Me` all the same.
_EMOJI_MARKS = frozenset("\ufe0e\ufe0f\u20e3")


def bot_message(message: payloads.Message, prose: Prose, *, is_edit: bool = False) -> BotMessage:
    """
    Return the message in the core's words.

    Raises `WireError` when author or time are missing: an update that was not merged with what it updates.
    """
    if isinstance(message.author, UnsetType) or isinstance(message.timestamp, UnsetType):
        raise WireError("message", "author or timestamp is missing", _present(message))
    components = _given(message.components, ())
    content = _given(message.content, "") or "\n".join(_texts(components))
    flags = _given(message.flags, 0)
    files = _given(message.attachments, ())
    embeds = _given(message.embeds, ())
    buttons = tuple(_buttons(components))
    look = Look(
        content=content,
        flags=flags,
        files=[(file.content_type, file.filename) for file in files],
        embed_texts=list(_embed_texts(embeds)),
        has_buttons=bool(buttons),
    )
    link = _given(message.interaction_metadata, None) or _given(message.interaction, None)
    reference = _given(message.message_reference, None)
    nonce = _given(message.nonce, None)
    return BotMessage(
        id=message.id,
        channel_id=message.channel_id,
        author_id=message.author.id,
        kind=prose.kind_of(look),
        content=content,
        timestamp=message.timestamp,
        edited_timestamp=_given(message.edited_timestamp, None),
        flags=flags,
        is_edit=is_edit,
        is_ephemeral=bool(flags & EPHEMERAL),
        application_id=_given(message.application_id, None),
        nonce=None if nonce is None else str(nonce),
        interaction_id=None if link is None else link.id,
        interaction_user_id=None if link is None else link.presser_id,
        interacted_message_id=None if link is None else link.interacted_message_id,
        original_response_message_id=None if link is None else link.original_response_message_id,
        referenced_message_id=None if reference is None else reference.message_id,
        mentions=_mentions(message, content),
        attachments=tuple(_attachment(file) for file in files),
        buttons=buttons,
        embeds=embeds,
    )


def read_message(payload: bytes | msgspec.Raw, prose: Prose) -> BotMessage:
    """Read one message of a REST answer. Raises `WireError`."""
    return bot_message(payloads.read("message", payload, payloads.Message), prose)


def read_messages(payload: bytes, prose: Prose) -> tuple[BotMessage, ...]:
    """
    Read a page of channel history, oldest first; Discord sends it newest first.

    A message that cannot be read is left out, for the others' sake. Raises `WireError` when it is no page.
    """
    return tuple(sorted(_readable(payload, prose), key=lambda message: int(message.id)))


def page_ids(payload: bytes) -> tuple[str, ...]:
    """Return the ids of a page of channel history, unreadable messages included. Raises `WireError`."""
    return tuple(ref.id for ref in payloads.read("history", payload, tuple[payloads.Ref, ...]))


def button_name(label: str | None, emoji: str | None = None) -> str:
    """Return a button's name as callers know it: `🔁 Retry` is `retry`. Without a label, the emoji's own name."""
    kept = "".join(
        " " if unicodedata.category(char) in _PICTORIAL or char in _EMOJI_MARKS else char
        for char in label or ""
    )
    return " ".join(kept.split()).lower() or (emoji or "").lower()


def _readable(payload: bytes, prose: Prose) -> Iterator[BotMessage]:
    for raw in payloads.read("history", payload, tuple[msgspec.Raw, ...]):
        try:
            yield read_message(raw, prose)
        except WireError:
            continue


def _buttons(components: tuple[Component, ...]) -> Iterator[Button]:
    for component in _walk(components):
        # Links and shop buttons have no `custom_id` and cannot be pressed.
        if component.type == BUTTON and component.custom_id:
            yield Button(
                name=button_name(component.label, component.emoji.name if component.emoji else None),
                custom_id=component.custom_id,
                component_type=component.type,
                disabled=component.disabled,
            )


def _texts(components: tuple[Component, ...]) -> Iterator[str]:
    """Yield what a message without `content` says: since components version 2, text is a component."""
    return (each.content for each in _walk(components) if each.type == TEXT_DISPLAY and each.content)


def _walk(components: tuple[Component, ...]) -> Iterator[Component]:
    for component in components:
        yield component
        yield from _walk(component.components or ())
        if component.accessory is not None:
            yield from _walk((component.accessory,))


def _embed_texts(embeds: tuple[dict[str, Any], ...]) -> Iterator[str]:
    return (str(embed[key]) for embed in embeds for key in ("title", "description") if embed.get(key))


def _mentions(message: payloads.Message, content: str) -> tuple[str, ...]:
    listed = [user.id for user in _given(message.mentions, ())]
    return tuple(dict.fromkeys([*listed, *_MENTION.findall(content)]))


def _attachment(file: payloads.File) -> Attachment:
    return Attachment(
        url=file.url,
        proxy_url=file.proxy_url or file.url,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        width=file.width,
        height=file.height,
        id=file.id,
    )


def _given(value: T | UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, UnsetType) else value


def _present(message: payloads.Message) -> str:
    return ", ".join(name for name in message.__struct_fields__ if getattr(message, name) is not UNSET)
