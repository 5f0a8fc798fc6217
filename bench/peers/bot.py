"""
What both bots do with a press, in the manner of Midjourney.

They answer the interaction with a first message, edit that while they work, post the result as a new plain message
without any tie to the press, and delete the first one a moment later. Everything that comes of a press is noted in the
ledger under its interaction.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from bench.peers.voices import Run, Voice
from localdiscord.apps.application import Interaction, Responder
from localdiscord.clock import Clock

EPHEMERAL = 64
#: Edits between the first message and the result.
PERCENTS = (0, 31)
#: Results whose buttons work.
MEMORY = 5000
#: Red as each of the two libraries knows it: of an answer to the interaction, and of a reply.
ANSWER_RED, REPLY_RED = 16711680, 15548997

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times of the jobs that come from now on."""

    #: From the press to the first message.
    first: Seconds = 0.3
    #: From the press to the result, for the next jobs in the order in which they come; `usual` after those.
    durations: list[Seconds] = []
    usual: Seconds = 2.0
    #: From the result to the deletion of the first message.
    deletion: Seconds = 0.1
    #: How presses are refused: not at all, by an answer that only the presser sees, or by a reply to the first message.
    refusal: Literal["none", "ephemeral", "reply"] = "none"


class Bot:
    """An application of the local Discord."""

    def __init__(self, voice: Voice, *, clock: Clock, seed: int) -> None:
        self.name = voice.name
        self.commands = voice.commands
        self._voice = voice
        self._clock = clock
        # Repeatable on purpose; guards nothing.
        self._chance = Random(seed)
        self._settings = Settings()
        self._durations: deque[float] = deque()
        self._prompts: OrderedDict[str, str] = OrderedDict()

    def settings(self) -> dict[str, Any]:
        return dict(msgspec.to_builtins(self._settings))

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError for one that does not exist."""
        self._settings = msgspec.convert({**self.settings(), **changes}, Settings)
        self._durations = deque(self._settings.durations)

    async def on_interaction(self, interaction: Interaction, respond: Responder) -> None:
        settings = self._settings
        duration = self._durations.popleft() if self._durations else settings.usual
        run = self._run(interaction)
        await self._clock.sleep(settings.first)
        if settings.refusal == "ephemeral":
            await respond.callback(4, {**_refusal(ANSWER_RED), "flags": EPHEMERAL})
            respond.record("refused")
            return
        await respond.callback(4, self._voice.waiting(run))
        pause = max(0.0, duration - settings.first) / (len(PERCENTS) + 1)
        first_id = ""
        for percent in PERCENTS:
            await self._clock.sleep(pause)
            data, files = self._voice.progress(run, percent)
            first_id = str((await respond.edit_original(data, files))["id"])
        await self._clock.sleep(pause)
        if settings.refusal == "reply":
            reference = {"message_reference": {"message_id": first_id}}
            await respond.send_message({**_refusal(REPLY_RED), **reference})
            respond.record("refused")
            return
        await self._finish(run, respond)
        await self._clock.sleep(settings.deletion)
        await respond.delete_original()

    async def _finish(self, run: Run, respond: Responder) -> None:
        self._prompts[str(run.id)] = run.prompt
        while len(self._prompts) > MEMORY:
            self._prompts.popitem(last=False)
        data, files = self._voice.result(run)
        message = await respond.send_message(data, files)
        respond.record("result", message_id=message["id"], attachment_id=message["attachments"][0]["id"])

    def _run(self, interaction: Interaction) -> Run:
        run_id = UUID(int=self._chance.getrandbits(128), version=4)
        if interaction.type == 2:
            return Run(run_id, str(interaction.options["prompt"]), interaction.user_id)
        prompt = self._prompts[self._voice.pressed(interaction.custom_id or "")]
        return Run(run_id, prompt, interaction.user_id, is_again=True)


def _refusal(colour: int) -> dict[str, Any]:
    """Return what a moderated prompt is answered with."""
    embed = {
        "title": "Invalid prompt",
        "description": "Sorry! Our AI moderator thinks this prompt is probably against our community standards.",
        "footer": {"text": "decline-0123"},
        "color": colour,
    }
    return {"embeds": [embed]}
