"""The bodies of POST /interactions: a component pressed, a command run. Always JSON."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from pikarelay.discord.wire.commands import ListedCommand


class OptionType(IntEnum):
    """Types of a command's option that a text or a file can be put into."""

    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


class Uploaded(NamedTuple):
    """A file that waits at Discord for the command that uses it."""

    filename: str
    #: The name Discord gave it.
    uploaded_filename: str


class UnfitOption(ValueError):
    """The command, as Discord lists it now, has no such option, or has it with another type."""

    def __init__(self, command: str, option: str) -> None:
        super().__init__(f"The command {command} takes no option {option} of this kind")


def press_body(
    *,
    nonce: str,
    session_id: str,
    application_id: str,
    channel_id: str,
    guild_id: str | None,
    message_id: str,
    message_flags: int,
    custom_id: str,
    component_type: int,
) -> bytes:
    """Return the body of a component interaction. `guild_id` is None in a direct message."""
    return msgspec.json.encode(
        {
            "type": 3,
            "application_id": application_id,
            **_place(channel_id, guild_id),
            "message_id": message_id,
            "message_flags": message_flags,
            "session_id": session_id,
            "nonce": nonce,
            "data": {"component_type": component_type, "custom_id": custom_id},
        }
    )


def command_body(
    *,
    nonce: str,
    session_id: str,
    channel_id: str,
    guild_id: str | None,
    command: ListedCommand,
    options: Mapping[str, str | Uploaded],
) -> bytes:
    """Return the body of a slash command. Raises `UnfitOption`."""
    files = [value for value in options.values() if isinstance(value, Uploaded)]
    data: dict[str, Any] = {
        "id": command.command_id,
        "version": command.version,
        "name": command.name,
        "type": 1,
        "options": [_option(command, name, value, files) for name, value in options.items()],
        "attachments": [_attachment(index, file) for index, file in enumerate(files)],
    }
    if command.guild_id is not None:
        data["guild_id"] = command.guild_id
    return msgspec.json.encode(
        {
            "type": 2,
            "application_id": command.application_id,
            **_place(channel_id, guild_id),
            "session_id": session_id,
            "nonce": nonce,
            "data": data,
        }
    )


def _place(channel_id: str, guild_id: str | None) -> dict[str, str]:
    return (
        {"channel_id": channel_id} if guild_id is None else {"guild_id": guild_id, "channel_id": channel_id}
    )


def _option(
    command: ListedCommand, name: str, value: str | Uploaded, files: Sequence[Uploaded]
) -> dict[str, Any]:
    kind = command.options.get(name)
    if kind is None or (kind == OptionType.ATTACHMENT) is not isinstance(value, Uploaded):
        raise UnfitOption(command.name, name)
    # A file's value is its place among the attachments, a number here and a string there.
    sent = files.index(value) if isinstance(value, Uploaded) else _typed(command.name, name, kind, value)
    return {"type": kind, "name": name, "value": sent}


def _typed(command: str, name: str, kind: int, text: str) -> str | int | float | bool:
    try:
        match kind:
            case OptionType.INTEGER:
                return int(text)
            case OptionType.NUMBER:
                return float(text)
            case OptionType.BOOLEAN:
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (ValueError, KeyError):
        raise UnfitOption(command, name) from None


def _attachment(index: int, file: Uploaded) -> dict[str, str]:
    return {"id": str(index), "filename": file.filename, "uploaded_filename": file.uploaded_filename}
