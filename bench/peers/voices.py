"""
The two bots' words, files and buttons. What they do with them, and when, is the same for both: `bench.peers.bot`.

Midjourney's texts have the shape that both libraries under comparison read with regular expressions; Pika's are those
of the local Discord's own Pika.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from PIL import Image

from localdiscord.apps.application import File, JsonObject
from localdiscord.apps.pika import texts, video
from localdiscord.apps.pika.commands import commands as pika_commands
from localdiscord.apps.pika.runs import Request

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One go at a prompt."""

    #: Names the run in file names and in buttons, as Midjourney does.
    id: UUID
    prompt: str
    user_id: str
    #: Whether it came by a button of another run's result.
    is_again: bool = False

    @property
    def mention(self) -> str:
        return f"<@{self.user_id}>"


class Voice(Protocol):
    """How a bot puts it."""

    name: str
    commands: Sequence[JsonObject]

    def waiting(self, run: Run) -> Data:
        """Return the first message."""
        ...

    def progress(self, run: Run, percent: int) -> tuple[Data, list[File]]: ...

    def result(self, run: Run) -> tuple[Data, list[File]]: ...

    def pressed(self, custom_id: str) -> str:
        """Return the id of the run whose button it is; empty for none of ours."""
        ...


class Midjourney:
    """One command, four pictures in a grid, and the buttons below it."""

    name = "Midjourney"
    commands: Sequence[JsonObject] = (
        {
            "name": "imagine",
            "type": 1,
            "description": "Create images with Midjourney",
            "options": [
                {"name": "prompt", "type": 3, "description": "The prompt to imagine", "required": True}
            ],
        },
    )

    def waiting(self, run: Run) -> Data:
        return {"content": self._said(run, "Waiting to start")}

    def progress(self, run: Run, percent: int) -> tuple[Data, list[File]]:
        """Show nothing at first, then previews, whose file name names the run."""
        preview = File(f"{run.id}_grid_0.webp", "image/webp", grid("WEBP"), 64, 64)
        return {"content": self._said(run, f"{percent}%) (fast")}, [preview] if percent else []

    def result(self, run: Run) -> tuple[Data, list[File]]:
        words = re.sub(r"[^a-z0-9]+", "_", run.prompt.lower())[:40]
        file = File(f"demo_{words}_{run.id}.png", "image/png", grid("PNG"), 64, 64)
        rows = [
            [self._button(f"{letter}{n}", f"MJ::JOB::{verb}::{n}::{run.id}") for n in range(1, 5)]
            for letter, verb in (("U", "upsample"), ("V", "variation"))
        ]
        components = [{"type": 1, "components": row} for row in rows]
        return {"content": self._said(run, "fast"), "components": components}, [file]

    def pressed(self, custom_id: str) -> str:
        match custom_id.split("::"):
            case ["MJ", "JOB", "variation", _, run_id]:
                return run_id
            case _:
                return ""

    @staticmethod
    def _said(run: Run, status: str) -> str:
        by = "Variations (Strong) by " if run.is_again else ""
        return f"**{run.prompt}** - {by}{run.mention} ({status})"

    @staticmethod
    def _button(label: str, custom_id: str) -> JsonObject:
        return {"type": 2, "style": 2, "label": label, "custom_id": custom_id}


class Pika:
    """The local Discord's Pika, answering in the same steps as the other bot."""

    name = "Pika"
    commands: Sequence[JsonObject] = pika_commands()

    def waiting(self, run: Run) -> Data:
        return {"content": self._said(run, "queued")}

    def progress(self, run: Run, percent: int) -> tuple[Data, list[File]]:
        return {"content": self._said(run, "progress", percent=percent)}, []

    def result(self, run: Run) -> tuple[Data, list[File]]:
        data = video.stamp(video.Scene(run.prompt, run.id.int))
        file = File(f"pika_{run.id}.mp4", video.CONTENT_TYPE, data, video.TINY.width, video.TINY.height)
        button = {"type": 2, "style": 2, "label": "Retry", "custom_id": f"pika:retry:{run.id}"}
        components = [{"type": 1, "components": [button]}]
        return {"content": self._said(run, "completed"), "components": components}, [file]

    def pressed(self, custom_id: str) -> str:
        match custom_id.split(":"):
            case ["pika", "retry", run_id]:
                return run_id
            case _:
                return ""

    @staticmethod
    def _said(run: Run, name: str, **values: object) -> str:
        return texts.about(name, Request("create", {"prompt": run.prompt}, {}), run.user_id, **values)


@cache
def grid(kind: str) -> bytes:
    """Return four fields of different colours as one picture; libraries cut it into tiles."""
    picture = Image.new("RGB", (64, 64))
    for place, colour in enumerate(("teal", "gold", "coral", "navy")):
        picture.paste(colour, (32 * (place % 2), 32 * (place // 2), 32 * (place % 2) + 32, 64))
    encoded = io.BytesIO()
    picture.save(encoded, kind)
    return encoded.getvalue()
