"""What the bot says: the strings of `texts.toml`, filled in. No other module spells a sentence."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from localdiscord.apps.pika.runs import Request

#: A message holds 2,000 characters; the prompt gives way first, the rest of a text stays far below 400.
LONGEST_PROMPT = 1600


@cache
def load() -> Mapping[str, Any]:
    """Return the whole of `texts.toml`."""
    return tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))


def say(name: str, **values: object) -> str:
    """Return the top-level text `name`, its blanks filled in."""
    return str(load()[name]).format(**values)


def about(name: str, request: Request, user_id: str, **values: object) -> str:
    """Return the text `name` about `request`, addressed to `user_id`."""
    return say(name, mention=f"<@{user_id}>", details=details(request), **values)


def details(request: Request) -> str:
    """Return what was asked for, as the bot repeats it: the prompt, then one part for each further option."""
    parts = load()["parts"]
    said = {name: _shortened(text) for name, text in request.texts.items()}
    said |= dict.fromkeys(request.pictures, parts["attachment"])
    return "  ".join(parts[name].format(value=said[name]) for name in parts if name in said)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_PROMPT else text[: LONGEST_PROMPT - 1] + "…"
