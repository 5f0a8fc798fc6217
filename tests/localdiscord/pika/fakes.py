"""A clock and a Discord small enough to hold in the head, for driving the bot without a server."""

import asyncio
import heapq
import itertools
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localdiscord.apps.application import File, Interaction, JsonObject
from localdiscord.apps.pika import Pika


class FakeClock:
    """Time that jumps to the next sleeper as soon as nothing else can happen."""

    def __init__(self) -> None:
        self.time = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._somebody_sleeps = asyncio.Event()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        wakes = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), wakes))
        self._somebody_sleeps.set()
        await wakes

    async def run(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run everything in `work` side by side to its end, started in the order given."""
        tasks = {asyncio.create_task(one) for one in work}
        while not all(task.done() for task in tasks):
            await self._settle()
            if self._sleepers:
                self._wake_next()
            elif running := {task for task in tasks if not task.done()}:
                await self._wait(running)
        await asyncio.gather(*tasks)

    async def _settle(self) -> None:
        # Many more rounds than the longest chain of awaits that needs no thread.
        for _ in range(30):
            await asyncio.sleep(0)

    def _wake_next(self) -> None:
        self.time, _, wakes = heapq.heappop(self._sleepers)
        wakes.set_result(None)

    async def _wait(self, running: set[asyncio.Task[None]]) -> None:
        """Return when a thread has come back, one way or the other."""
        self._somebody_sleeps.clear()
        somebody_sleeps = asyncio.create_task(self._somebody_sleeps.wait())
        await asyncio.wait({somebody_sleeps, *running}, return_when=asyncio.FIRST_COMPLETED)
        somebody_sleeps.cancel()


@dataclass
class Sent:
    """One message as it stands now."""

    id: str
    data: dict[str, Any]
    files: list[File]
    #: When it was created, on the bot's clock.
    at: float


@dataclass
class FakeDiscord:
    """The channel and the ledger; makes one `FakeResponder` per interaction."""

    clock: FakeClock = field(default_factory=FakeClock)
    #: Messages by id, in order of creation; a deleted one is gone.
    messages: dict[str, Sent] = field(default_factory=dict)
    #: Every method called, as (interaction id, name or callback's type, content).
    calls: list[tuple[str, str | int, str]] = field(default_factory=list)
    #: Every record: the event's name and its details.
    ledger: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: Data of every form opened.
    modals: list[JsonObject] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    #: Ids of interactions, messages and attachments alike.
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1000))

    def post(self, data: JsonObject, files: Sequence[File]) -> JsonObject:
        message = Sent(str(next(self.ids)), dict(data), list(files), self.clock.time)
        self.messages[message.id] = message
        return self.shown(message)

    def change(self, message_id: str, data: JsonObject, files: Sequence[File]) -> JsonObject:
        message = self.messages[message_id]
        message.data |= data
        message.files += files
        return self.shown(message)

    def shown(self, message: Sent) -> JsonObject:
        attachments = [{"id": f"{message.id}{number}"} for number in range(len(message.files))]
        return {"id": message.id, **message.data, "attachments": attachments}

    def command(self, command: str, files: Mapping[str, bytes] | None = None, **options: str) -> Interaction:
        """Return the interaction of a command whose attachment options are `files`."""
        attached = {}
        values: dict[str, str | int | float | bool] = dict(options)
        for name, data in (files or {}).items():
            values[name] = attachment_id = str(next(self.ids))
            self.uploads[attachment_id] = data
            attached[attachment_id] = {"id": attachment_id, "filename": "in.png"}
        return self._interaction(2, command=command, options=values, attachments=attached)

    def press(self, label: str, message: Sent) -> Interaction:
        """Return the interaction of pressing the button with this label."""
        buttons = message.data["components"][0]["components"]
        (custom_id,) = [button["custom_id"] for button in buttons if button["label"] == label]
        return self._interaction(3, custom_id=custom_id, message=self.shown(message))

    def submit(self, custom_id: str, **fields: str) -> Interaction:
        """Return the interaction of sending a form."""
        return self._interaction(5, custom_id=custom_id, options=dict(fields))

    def _interaction(self, type_: int, **details: Any) -> Interaction:
        number = str(next(self.ids))
        return Interaction(number, type_, "1", "2", None, "42", f"nonce-{number}", **details)

    async def play(self, pika: Pika, *interactions: Interaction) -> None:
        """Let `pika` answer all interactions, side by side, to the end."""
        await self.clock.run(*(self.answer(pika, one) for one in interactions))

    async def answer(self, pika: Pika, interaction: Interaction) -> None:
        """Let `pika` answer one interaction, while somebody else runs the clock."""
        await pika.on_interaction(interaction, FakeResponder(self, interaction.id))

    @property
    def results(self) -> list[Sent]:
        """The messages with a video, in the order in which the videos came."""
        return [self.messages[details["message_id"]] for name, details in self.ledger if name == "result"]


@dataclass
class FakeResponder:
    """Keeps Discord's order: one answer first, everything about the original only after it."""

    discord: FakeDiscord
    interaction_id: str
    answered: bool = False
    original: str | None = None

    async def callback(self, type_: int, data: JsonObject | None = None, files: Sequence[File] = ()) -> None:
        assert not self.answered
        self.answered = True
        self._call(type_, data or {})
        if type_ in {4, 5}:
            self.original = str(self.discord.post(data or {}, files)["id"])
        if type_ == 9:
            self.discord.modals.append(data or {})

    async def edit_original(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        self._call("edit_original", data)
        assert self.original is not None
        return self.discord.change(self.original, data, files)

    async def delete_original(self) -> None:
        self._call("delete_original", {})
        assert self.original is not None
        del self.discord.messages[self.original]

    async def followup(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        assert self.answered
        self._call("followup", data)
        return self.discord.post(data, files)

    async def send_message(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        self._call("send_message", data)
        return self.discord.post(data, files)

    async def edit_message(self, message_id: str, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        self._call("edit_message", data)
        return self.discord.change(message_id, data, files)

    async def delete_message(self, message_id: str) -> None:
        self._call("delete_message", {})
        del self.discord.messages[message_id]

    async def download(self, attachment_id: str) -> bytes:
        return self.discord.uploads[attachment_id]

    def record(self, event: str, **details: object) -> None:
        self.discord.ledger.append((event, {"interaction_id": self.interaction_id, **details}))

    def _call(self, name: str | int, data: JsonObject) -> None:
        self.discord.calls.append((self.interaction_id, name, str(data.get("content", ""))))
