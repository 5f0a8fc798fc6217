"""The recorded payloads, each kept with a sentence on where its shape comes from."""

import json
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[3] / "fixtures" / "discord"


def payload(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["payload"]


def encoded(name: str, **changes: Any) -> bytes:
    return json.dumps(payload(name) | changes).encode()


def raw(name: str, **changes: Any) -> msgspec.Raw:
    return msgspec.Raw(encoded(name, **changes))
