"""The bot's application commands, in the shape of PUT /applications/{app}/commands."""

from collections.abc import Sequence
from typing import Any

from localdiscord.apps.pika import texts

STRING = 3
ATTACHMENT = 11
FONTS = ("MODERN", "COMICS", "SANS SERIF", "BAUHAUS", "RETRO")

#: Command name to its options: type, and whether it must be given. Discord wants required ones first.
OPTIONS: dict[str, dict[str, tuple[int, bool]]] = {
    "create": {"prompt": (STRING, True), "image": (ATTACHMENT, False)},
    "animate": {"image": (ATTACHMENT, True), "prompt": (STRING, False)},
    "encrypt_text": {
        "message": (STRING, True),
        "prompt": (STRING, True),
        "font": (STRING, False),
        "image": (ATTACHMENT, False),
    },
    "encrypt_image": {
        "message": (ATTACHMENT, True),
        "prompt": (STRING, True),
        "image": (ATTACHMENT, False),
    },
}


def commands() -> Sequence[dict[str, Any]]:
    """Return the four commands of the bot."""
    return [_command(name, options) for name, options in OPTIONS.items()]


def _command(name: str, options: dict[str, tuple[int, bool]]) -> dict[str, Any]:
    said = texts.load()["commands"][name]
    return {
        "name": name,
        "type": 1,
        "description": said["description"],
        "options": [
            _option(option, type_, said[option], required=required)
            for option, (type_, required) in options.items()
        ],
    }


def _option(name: str, type_: int, description: str, *, required: bool) -> dict[str, Any]:
    option = {"name": name, "type": type_, "description": description, "required": required}
    if name == "font":
        option["choices"] = [{"name": font, "value": font} for font in FONTS]
    return option
