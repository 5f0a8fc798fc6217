"""Discord as an account sees it, without a socket."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from pikarelay.errors import AccountUnusable
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ButtonPress,
    Clock,
    Command,
    CommandRun,
    FileToUpload,
    Identity,
    UploadedFile,
)

USER = "7001"
BOT = "8001"
APPLICATION = "8002"

#: What happens when a press reaches Discord: an exception to raise, or something to do before the 204.
Answer = Exception | Callable[[], Awaitable[None]] | None


class FakeDiscord:
    """
    A `Discord` that keeps what it is asked and answers as scripted.

    Answers in `answers` are used up one by one, by presses and commands alike; after them everything is accepted.
    """

    def __init__(self, clock: Clock) -> None:
        #: Old link to new, and who asked for which.
        self.fresh_links: dict[str, str] = {}
        self.refreshed: list[tuple[str, tuple[str, ...]]] = []
        #: Awaited in each such request; may raise.
        self.refreshing: Callable[[], Awaitable[object]] | None = None
        self._clock = clock
        self.user_id = USER
        #: Presses and commands in the order in which they came, refused ones included.
        self.interactions: list[ButtonPress | CommandRun] = []
        self.answers: deque[Answer] = deque()
        #: Awaited by every upload; may raise.
        self.uploading: Callable[[], Awaitable[object]] | None = None
        #: The contents of all files that were uploaded.
        self.uploaded: list[bytes] = []
        #: How many hold or wait for a turn.
        self.turns = 0
        #: Raised by `identify`, as long as it is set.
        self.not_ready: Exception | None = None
        #: Raised by `identify`, each once.
        self.defects: deque[Exception] = deque()
        #: (token, channel) of every session asked for.
        self.listening: list[tuple[str, str]] = []
        #: By name. A `fresh` look-up moves `fresh_commands` here first.
        self.commands: dict[str, Command] = {"create": create_command("1")}
        self.fresh_commands: dict[str, Command] = {}
        self.fresh_lookups = 0
        #: By message id.
        self.messages: dict[str, BotMessage] = {}
        #: Awaited with the channel by every reading of a history.
        self.reading: Callable[[str], Awaitable[object]] | None = None
        #: Raised by every read, as long as it is set.
        self.unreadable: Exception | None = None
        #: (channel, after) of every history that was read.
        self.histories_read: list[tuple[str, str]] = []
        self.messages_read: list[str] = []
        #: Tokens that tried to read a history, in order, and those that Discord refuses.
        self.readers: list[str] = []
        self.unusable: set[str] = set()
        #: Tokens whose accounts were to be used again, and those whose sessions were closed.
        self.released: list[str] = []
        self.forgotten: list[str] = []
        #: Tokens whose sessions were left to others.
        self.left: list[str] = []

    @property
    def presses(self) -> list[ButtonPress]:
        return [each for each in self.interactions if isinstance(each, ButtonPress)]

    @property
    def runs(self) -> list[CommandRun]:
        return [each for each in self.interactions if isinstance(each, CommandRun)]

    @property
    def nonces(self) -> list[str]:
        return [each.nonce for each in self.interactions]

    async def identify(self, token: Secret, channel: str) -> Identity:
        await asyncio.sleep(0)
        self.listening.append((token.reveal(), channel))
        if self.defects:
            raise self.defects.popleft()
        if self.not_ready is not None:
            raise self.not_ready
        return Identity(user_id=self.user_id)

    @asynccontextmanager
    async def turn(self, token: Secret) -> AsyncIterator[None]:
        self.turns += 1
        try:
            yield
        finally:
            self.turns -= 1

    async def press_button(self, token: Secret, press: ButtonPress) -> None:
        await self._interact(press)

    async def upload(
        self, token: Secret, channel: str, files: Sequence[FileToUpload]
    ) -> tuple[UploadedFile, ...]:
        await asyncio.sleep(0)
        if self.uploading is not None:
            await self.uploading()
        for file in files:
            self.uploaded.append(b"".join([chunk async for chunk in file.read()]))
        return tuple(
            UploadedFile(filename=file.filename, uploaded_filename=f"up/{file.filename}") for file in files
        )

    async def run_command(self, token: Secret, run: CommandRun) -> None:
        await self._interact(run)

    async def find_command(
        self, token: Secret, channel: str, name: str, *, fresh: bool = False
    ) -> Command | None:
        await asyncio.sleep(0)
        self._read()
        if fresh:
            self.fresh_lookups += 1
            self.commands |= self.fresh_commands
        return self.commands.get(name)

    async def refresh_links(self, token: Secret, links: Sequence[str]) -> Mapping[str, str]:
        await asyncio.sleep(0)
        self.refreshed.append((token.reveal(), tuple(links)))
        if self.refreshing is not None:
            await self.refreshing()
        return {link: self.fresh_links[link] for link in links if link in self.fresh_links}

    async def read_message(self, token: Secret, channel: str, message_id: str) -> BotMessage | None:
        await asyncio.sleep(0)
        self.messages_read.append(message_id)
        self._read()
        return self.messages.get(message_id)

    async def read_history(self, token: Secret, channel: str, after: str) -> tuple[BotMessage, ...]:
        await asyncio.sleep(0)
        self.readers.append(token.reveal())
        if token.reveal() in self.unusable:
            raise AccountUnusable("no")
        self._read()
        if self.reading is not None:
            await self.reading(channel)
        self.histories_read.append((channel, after))
        shown = [m for m in self.messages.values() if m.channel_id == channel and int(m.id) > int(after)]
        return tuple(sorted(shown, key=lambda message: int(message.id)))

    def release(self, token: Secret) -> None:
        self.released.append(token.reveal())

    def tokens(self) -> frozenset[Secret]:
        gone = {*self.left, *self.forgotten}
        return frozenset(Secret(token) for token, _ in self.listening if token not in gone)

    async def leave(self, token: Secret) -> None:
        await asyncio.sleep(0)
        self.left.append(token.reveal())

    async def forget(self, token: Secret) -> None:
        await asyncio.sleep(0)
        self.forgotten.append(token.reveal())

    def server_time(self) -> datetime:
        return self._clock.now()

    async def _interact(self, interaction: ButtonPress | CommandRun) -> None:
        self.interactions.append(interaction)
        await asyncio.sleep(0)
        answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            await answer()

    def _read(self) -> None:
        if self.unreadable is not None:
            raise self.unreadable


def create_command(version: str) -> Command:
    """Return the bot's `create` as the command index lists it."""
    return Command(
        name="create",
        command_id="600",
        version=version,
        application_id=APPLICATION,
        bot_id=BOT,
        options={"prompt": 3, "image": 11},
    )
