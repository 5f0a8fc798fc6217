"""What was asked of the bot, and its memory of it: the buttons of a result need no more than their custom_id."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

#: How many results keep working buttons. Pictures are kept small, so this is some hundred MB at worst.
MEMORY = 5000


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants to see."""

    #: Name of the command that it began with, also when it came by a button.
    command: str
    #: Option name to text: `prompt`, `message`, `font`.
    texts: Mapping[str, str]
    #: Option name to a file: `image`, `message`.
    pictures: Mapping[str, bytes]
    #: Whether the files were already made small pictures, or empty when they were none.
    is_prepared: bool = False

    @property
    def prompt(self) -> str:
        """Return the prompt, empty when none was given."""
        return self.texts.get("prompt", "")


@dataclass(frozen=True, slots=True)
class Run:
    """One go at a request. The same request twice is two runs, with different seeds and so different videos."""

    #: Unguessable and unique; part of the custom_ids of the result's buttons.
    id: str
    request: Request
    seed: int

    def custom_id(self, button: str) -> str:
        """Return the custom_id of `button` on this run's result."""
        return f"pika:{button}:{self.id}"


def pressed(custom_id: str) -> tuple[str, str]:
    """Return the button's name and the run's id of a custom_id, both empty when it is none of ours."""
    match custom_id.split(":"):
        case ["pika", button, run_id]:
            return button, run_id
        case _:
            return "", ""


class Memory:
    """The latest runs, by id; the oldest are forgotten."""

    def __init__(self, size: int = MEMORY) -> None:
        self._size = size
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def keep(self, run: Run) -> None:
        """Remember `run`. Call this before its buttons are shown: they may be pressed at once."""
        self._runs[run.id] = run
        while len(self._runs) > self._size:
            self._runs.popitem(last=False)

    def recall(self, run_id: str) -> Run | None:
        """Return the run with this id, None when there never was one or it was too long ago."""
        return self._runs.get(run_id)
