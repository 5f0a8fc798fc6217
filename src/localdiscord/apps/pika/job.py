"""The steps that the manners of answering have in common. What differs between them is in `behaviours`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from localdiscord.apps.application import File, Interaction, JsonObject, Responder
from localdiscord.apps.pika import texts
from localdiscord.apps.pika.finish_order import FinishOrder
from localdiscord.apps.pika.runs import Run
from localdiscord.apps.pika.settings import Settings
from localdiscord.clock import Clock

EPHEMERAL = 64
#: The part of a job's time after which it is announced as queued. The real bot took about two of some thirty seconds.
QUEUED_AFTER = 0.2

#: Something that changes the message which tells of the progress.
Edit = Callable[[JsonObject], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Job:
    """One interaction that asks for a video, and all that is needed to answer it."""

    interaction: Interaction
    respond: Responder
    run: Run
    settings: Settings
    #: Seconds from the interaction to the result.
    duration: float
    #: Drawn for this job alone, from 0 up to 1; decides between styles.
    chance: float
    clock: Clock
    order: FinishOrder
    #: Renders the run's video, and remembers the run for its buttons.
    finish: Callable[[Run, Settings], Awaitable[File]]

    # What it says.

    def text(self, name: str, **values: object) -> dict[str, Any]:
        """Return the data of a message that says `name` about this job."""
        return {"content": texts.about(name, self.run.request, self.interaction.user_id, **values)}

    def result(self) -> dict[str, Any]:
        """Return the data of the result's message: its text and its buttons."""
        buttons = [
            {"type": 2, "style": 2, "label": label, "custom_id": self.run.custom_id(button)}
            for button, label in texts.load()["buttons"].items()
        ]
        return {**self.text("completed"), "components": [{"type": 1, "components": buttons}]}

    # What it does.

    async def acknowledge(self) -> None:
        """Answer the interaction without a lasting message: silently for a button, else with an ephemeral one."""
        if self.interaction.type == 3:
            await self.respond.callback(6)
        else:
            await self.respond.callback(4, {"content": texts.say("received"), "flags": EPHEMERAL})

    async def pause_before_queued(self) -> None:
        """Wait as long as the bot takes to announce the job."""
        await self.clock.sleep(self.duration * QUEUED_AFTER)

    async def post_queued(self, reference: str | None = None) -> str:
        """Announce the job in a plain message, a reply to `reference` if given, and return the message's id."""
        await self.pause_before_queued()
        message = await self.respond.send_message(self.text("queued") | referring_to(reference))
        self.record("queued", message)
        return str(message["id"])

    def editing(self, message_id: str) -> Edit:
        """Return what changes the plain message `message_id`."""

        async def edit(data: JsonObject) -> object:
            return await self.respond.edit_message(message_id, data)

        return edit

    @asynccontextmanager
    async def rendered(self, edit: Edit) -> AsyncIterator[File]:
        """Take the job's time and tell of its progress; then, when its turn has come, hold the video for posting."""
        async with self.order.turn() as turn:
            file = await self.finish(self.run, self.settings)
            steps = self.settings.progress_edits
            pause = self.duration * (1 - QUEUED_AFTER) / (steps + 1)
            for step in range(1, steps + 1):
                await self.clock.sleep(pause)
                await edit(self.text("progress", percent=100 * step // (steps + 1)))
            await self.clock.sleep(pause)
            await turn.wait()
            yield file

    async def post_result(self, file: File, reference: str | None = None) -> None:
        """Post the video in a new plain message, a reply to `reference` if given."""
        message = await self.respond.send_message(self.result() | referring_to(reference), [file])
        self.record("result", message)

    def record(self, event: str, message: JsonObject | None = None) -> None:
        """Note in the ledger, which knows the interaction, what became of it. Without a message when its id is not known."""
        attachments = message["attachments"] if message else ()
        self.respond.record(
            event,
            message_id=message["id"] if message else None,
            attachment_id=attachments[0]["id"] if attachments else None,
            run_seed=self.run.seed,
        )


def referring_to(message_id: str | None) -> dict[str, Any]:
    """Return what makes a message a reply to `message_id`; nothing for None."""
    # A reply must not fail because somebody deleted what it answers.
    return (
        {"message_reference": {"message_id": message_id, "fail_if_not_exists": False}} if message_id else {}
    )
