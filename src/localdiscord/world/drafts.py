"""The body of a message request, read and judged: what POST and PATCH accept, and what Discord answers otherwise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localdiscord.wire import errors
from localdiscord.wire.components import validated
from localdiscord.world.models import COMPONENTS_V2, EPHEMERAL, Json

CONTENT_LIMIT = 2000
EMBED_LIMIT = 10
NONCE_LIMIT = 25
#: Flags a sender may set: SUPPRESS_EMBEDS, EPHEMERAL, SUPPRESS_NOTIFICATIONS, IS_COMPONENTS_V2.
SETTABLE_FLAGS = (1 << 2) | EPHEMERAL | (1 << 12) | COMPONENTS_V2
MENTION = re.compile(r"<@!?(\d{1,20})>")


@dataclass(frozen=True, slots=True)
class Draft:
    """What the request says; None where it says nothing."""

    content: str | None = None
    embeds: list[Json] | None = None
    components: list[Json] | None = None
    attachments: Any = None
    flags: int | None = None
    tts: bool = False
    nonce: str | None = None
    enforce_nonce: bool = False
    reference_id: int | None = None
    #: Whether a reference to a message that is gone refuses the request, or is left out.
    reference_must_exist: bool = True
    #: User ids that may be pinged; None means all that are mentioned.
    pinged: frozenset[int] | None = None


def read(data: Mapping[str, Any], *, was_version_2: bool = False) -> Draft:
    """
    Return the draft, or raise `InvalidForm` naming the wrong field.

    `was_version_2` is for edits: the flag IS_COMPONENTS_V2 cannot be taken back.
    """
    flags = _flags(data)
    version_2 = was_version_2 or bool((flags or 0) & COMPONENTS_V2)
    components = data.get("components")
    content = _content(data)
    if version_2 and content:
        raise errors.InvalidForm(
            ("content",),
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
        )
    return Draft(
        content=content,
        embeds=_embeds(data),
        components=None if components is None else validated(components, version_2=version_2),
        attachments=data.get("attachments"),
        flags=flags,
        tts=bool(data.get("tts")),
        nonce=read_nonce(data),
        enforce_nonce=bool(data.get("enforce_nonce")),
        reference_id=_reference(data),
        reference_must_exist=_must_exist(data),
        pinged=_pinged(data),
    )


def read_nonce(data: Mapping[str, Any]) -> str | None:
    """Return the nonce as a string: clients may send an integer."""
    nonce = data.get("nonce")
    if nonce is None:
        return None
    if not isinstance(nonce, str | int):
        raise errors.bad_type("nonce")
    if len(str(nonce)) > NONCE_LIMIT:
        raise errors.too_long(NONCE_LIMIT, "nonce")
    return str(nonce)


def _content(data: Mapping[str, Any]) -> str | None:
    if "content" not in data:
        return None
    content = data["content"]
    if content is None:
        return ""
    if not isinstance(content, str | int | float):
        raise errors.bad_type("content")
    if len(str(content)) > CONTENT_LIMIT:
        raise errors.too_long(CONTENT_LIMIT, "content")
    return str(content).strip()


def _embeds(data: Mapping[str, Any]) -> list[Json] | None:
    embeds = data.get("embeds")
    if embeds is None:
        return [] if "embeds" in data else None
    if not isinstance(embeds, list):
        raise errors.bad_type("embeds")
    if len(embeds) > EMBED_LIMIT:
        raise errors.too_long(EMBED_LIMIT, "embeds")
    return [{"type": "rich", "content_scan_version": 0, **embed} for embed in embeds]


def _flags(data: Mapping[str, Any]) -> int | None:
    flags = data.get("flags")
    if flags is None:
        return None
    if not isinstance(flags, int):
        raise errors.bad_type("flags")
    return flags & SETTABLE_FLAGS


def _reference(data: Mapping[str, Any]) -> int | None:
    reference = data.get("message_reference")
    if not isinstance(reference, dict) or reference.get("message_id") is None:
        return None
    return snowflake(reference["message_id"], "message_reference", "message_id")


def _must_exist(data: Mapping[str, Any]) -> bool:
    reference = data.get("message_reference")
    return not isinstance(reference, dict) or reference.get("fail_if_not_exists") is not False


def _pinged(data: Mapping[str, Any]) -> frozenset[int] | None:
    allowed = data.get("allowed_mentions")
    if not isinstance(allowed, dict) or "users" in (allowed.get("parse") or ()):
        return None
    if "parse" not in allowed and "users" not in allowed:
        return None
    return frozenset(snowflake(each, "allowed_mentions", "users") for each in allowed.get("users") or ())


def mentioned(content: str) -> list[int]:
    """Return the user ids the text mentions, each once, in order."""
    return list(dict.fromkeys(int(found) for found in MENTION.findall(content)))


def snowflake(value: Any, *path: str | int) -> int:
    """Return the id as an integer; ids come as strings, and now and then as numbers."""
    if value is None:
        raise errors.required(*path)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise errors.not_snowflake(*path)
    text = str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise errors.not_snowflake(*path)
    return int(text)
