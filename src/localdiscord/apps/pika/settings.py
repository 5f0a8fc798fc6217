"""What can be changed about the bot while it runs. Values are checked here and nowhere else."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

Behaviour = Literal[
    "plain",
    "respond",
    "edit_in_place",
    "reply",
    "moderated",
    "failed",
    "silent",
    "modal",
    "delete_queued",
]
#: A behaviour, or one drawn for each interaction.
Choice = Literal[Behaviour, "random"]
#: What one can do with the bot: its commands, and its buttons.
Action = Literal["create", "animate", "encrypt_text", "encrypt_image", "retry", "remix"]

Seconds = Annotated[float, Meta(ge=0)]
#: H.264 in yuv420p needs even numbers of pixels.
Pixels = Annotated[int, Meta(ge=32, le=4096, multiple_of=2)]

#: How often `random` picks each behaviour, unless `weights` says otherwise: mostly those that bring a video.
WEIGHTS: dict[Behaviour, float] = {
    "plain": 4,
    "respond": 2,
    "edit_in_place": 2,
    "reply": 2,
    "delete_queued": 2,
    "moderated": 1,
    "failed": 1,
    "silent": 1,
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bot's settings. Every one can be given to `Pika.configure` by its name."""

    #: Decides everything that is left to chance: run seeds, custom_ids, and the picks of `random`.
    seed: int
    #: Seconds from an interaction to its result; 0 does everything at once.
    speed: Seconds
    behaviour: Choice
    #: Behaviour of one command or button, where it differs from `behaviour`.
    per_action: dict[Action, Choice] = {}
    #: Shares of the behaviours for `random`; one that is absent is never picked.
    weights: dict[Behaviour, Annotated[float, Meta(ge=0)]] = msgspec.field(default_factory=WEIGHTS.copy)
    #: Seconds for the next jobs, one each, in the order in which they come; `speed` again for those after.
    durations: list[Seconds] = []
    #: Order in which jobs finish, as places in their order of arrival: [2, 1, 0] reverses every three jobs. A job
    #: then waits until all before it in this list have finished, and so for the whole group to arrive.
    finish_order: list[int] = []
    #: Edits that tell of the progress, between queued and result.
    progress_edits: Annotated[int, Meta(ge=0, le=10)] = 1
    #: A prompt or message with one of these words in it is moderated, whatever the behaviour. Case does not matter.
    moderation_words: list[Annotated[str, Meta(min_length=1)]] = msgspec.field(
        default_factory=lambda: ["forbidden"]
    )
    #: How moderation shows: the queued message is edited, or only the presser sees an ephemeral answer.
    moderation_style: Literal["edited", "ephemeral", "random"] = "edited"
    #: When `delete_queued` deletes: before or after the result appears.
    deletion: Literal["before", "after", "random"] = "after"
    #: `full` draws at the size below, some 0.1 s of processor time each; `tiny` draws the same at 64x36 in a few
    #: milliseconds; `stamped` encodes one tiny video for all, and gives each copy its own bytes by a `free` box
    #: that names prompt and seed: for load tests, where only the bytes must differ.
    video: Literal["full", "tiny", "stamped"] = "full"
    width: Pixels = 1024
    height: Pixels = 576
    #: Length of the video.
    length: Annotated[float, Meta(ge=0.5, le=10)] = 1.5

    def __post_init__(self) -> None:
        if sorted(self.finish_order) != list(range(len(self.finish_order))):
            raise ValueError("finish_order must hold each place from 0 up exactly once")
        if not any(self.weights.values()):
            raise ValueError("weights must leave something to pick")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """
        Return these settings with `changes` made; what is not named stays.

        Raises ValueError, with a sentence that says which value is wrong, for a name or a value that does not exist.
        """
        return msgspec.convert({**self.as_dict(), **changes}, type(self))

    def as_dict(self) -> dict[str, Any]:
        """Return all settings by name, as JSON has them."""
        return dict(msgspec.to_builtins(self))
