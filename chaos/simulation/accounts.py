"""
The server's side of Discord: what `pikarelay.discord.client` is to the real one, without sockets.

It dies with its process. What it has handed over to Discord goes on.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import msgspec

from chaos.simulation.book import Book
from chaos.simulation.channels import Channels
from chaos.simulation.interactions import Interactions
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.plan import Plan
from chaos.simulation.session_client import OnSighting, SessionClient
from chaos.simulation.streams import Streams
from pikarelay.discord.client.pace import Pace
from pikarelay.errors import DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ButtonPress,
    Clock,
    Command,
    CommandRun,
    FileToUpload,
    Identity,
    KeptSession,
    UploadedFile,
)


class Accounts:
    """The port `Discord`, and the port `Sessions`."""

    def __init__(
        self,
        plan: Plan,
        book: Book,
        loop: VirtualLoop,
        clock: Clock,
        channels: Channels,
        interactions: Interactions,
        streams: Streams,
        on_sighting: OnSighting,
        user_of: Mapping[str, str],
    ) -> None:
        self._plan = plan
        self._book = book
        self._loop = loop
        self._clock = clock
        self._channels = channels
        self._interactions = interactions
        self._streams = streams
        self._on_sighting = on_sighting
        self._user_of = user_of
        self._chance = Random(f"{plan.seed} accounts {len(book.starts)}")
        self._accounts: dict[str, _Account] = {}
        self._resume: dict[bytes, KeptSession] = {}
        self._commands: dict[str, Command] = {}
        #: The ids of all sessions that there were.
        self._lived: set[str] = set()

    # As a worker of the server

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        for account in self._accounts.values():
            await account.session.stop()

    def cut(self) -> None:
        """Close all connections, as a system does for a process that is gone."""
        for account in self._accounts.values():
            account.session.cut()

    # The port of sessions

    def sessions(self) -> Mapping[bytes, KeptSession]:
        live = {
            _digest(token): kept
            for token, account in self._accounts.items()
            if (kept := account.session.kept()) is not None
        }
        return {**self._resume, **live}

    def lives(self) -> int:
        self._lived |= {kept.session_id for kept in self.sessions().values()}
        return len(self._lived)

    def resume(self, sessions: Mapping[bytes, KeptSession]) -> None:
        self._resume.update(sessions)

    # The port

    async def identify(self, token: Secret, channel: str) -> Identity:
        session = self._account(token).session
        await session.wait_live(self._plan.first_message)
        return Identity(user_id=session.user_id)

    def turn(self, token: Secret) -> AbstractAsyncContextManager[None]:
        return self._account(token).pace.turn()

    async def press_button(self, token: Secret, press: ButtonPress) -> None:
        await self._interact(token, press)

    async def upload(
        self, token: Secret, channel: str, files: Sequence[FileToUpload]
    ) -> tuple[UploadedFile, ...]:
        await self._read("upload")
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 30.0)))
        return tuple(
            UploadedFile(filename=file.filename, uploaded_filename=f"1/{file.filename}") for file in files
        )

    async def run_command(self, token: Secret, run: CommandRun) -> None:
        await self._interact(token, run)

    async def find_command(
        self, token: Secret, channel: str, name: str, *, fresh: bool = False
    ) -> Command | None:
        if fresh or channel not in self._commands:
            await self._read("find_command")
            self._commands[channel] = self._interactions.command
        return self._commands[channel]

    async def read_message(self, token: Secret, channel: str, message_id: str) -> BotMessage | None:
        await self._read("read_message")
        message = self._channels.message(channel, message_id)
        renamed = self._interactions.renamed.get(message_id)
        if message is None or renamed is None:
            return message
        return _renamed(message, renamed)

    async def read_history(self, token: Secret, channel: str, after: str) -> tuple[BotMessage, ...]:
        try:
            await self._read("read_history")
        except (DiscordUnavailable, DiscordRefused, DiscordRateLimited):
            self._book.reads[channel].append((self._book.now, False))
            raise
        self._book.reads[channel].append((self._book.now, True))
        found = self._channels.history(channel, after)
        self._book.note("server", "reads {} messages of {}", len(found), channel)
        self._book.moment("history read")
        await asyncio.sleep(self._chance.choice((0.0, 0.1, 1.0)))
        return found

    def release(self, token: Secret) -> None:
        return

    def tokens(self) -> frozenset[Secret]:
        return frozenset(map(Secret, self._accounts))

    async def forget(self, token: Secret) -> None:
        if (account := self._accounts.pop(token.reveal(), None)) is not None:
            await account.session.stop()

    async def refresh_links(self, token: Secret, links: Sequence[str]) -> Mapping[str, str]:
        return {}

    def server_time(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._plan.skew + self._plan.doubt)

    # Inside

    async def _interact(self, token: Secret, sent: ButtonPress | CommandRun) -> None:
        account = self._account(token)
        if account.limited_until > self._loop.time():
            raise DiscordRateLimited("{}", 1.0, was_sent=False)
        self._check_time(sent)
        await account.session.wait_live(self._plan.first_message)
        self._check_time(sent)
        self._book.note("server", "presses {}", sent.nonce)
        self._book.moment("press leaves")
        await asyncio.sleep(self._chance.choice((0.0, 0.005)))
        # Shielded: what has left cannot be called back by who stops waiting for its answer.
        post = self._interactions.post(account.session.user_id, sent)
        refusal = await asyncio.shield(self._loop.in_world(post))
        if isinstance(refusal, DiscordRateLimited):
            account.limited_until = self._loop.time() + (refusal.retry_after or 0.0)
        if refusal is not None:
            raise refusal

    def _check_time(self, sent: ButtonPress | CommandRun) -> None:
        if sent.leave_by is not None and self._clock.elapsed() > sent.leave_by:
            raise DiscordUnavailable("The press was held up for too long", may_have_happened=False)

    async def _read(self, what: str) -> None:
        chance, plan = self._chance, self._plan
        await asyncio.sleep(chance.choice((0.01, 0.1, 1.0)))
        if self._book.calm is not None or chance.random() >= plan.read_trouble:
            return
        self._book.note("discord", "does not answer {}", what)
        await asyncio.sleep(chance.choice((0.0, 4.0)))
        raise chance.choice(
            (
                DiscordUnavailable("Discord answered HTTP status 502", may_have_happened=False, status=502),
                DiscordRateLimited("{}", 40.0),
                DiscordRefused(403, "{}"),
            )
        )

    def _account(self, token: Secret) -> "_Account":
        revealed = token.reveal()
        if revealed not in self._accounts:
            pace = Pace(self._plan.press_interval, clock=self._clock, jitter=self._chance.random)
            kept = self._resume.pop(_digest(revealed), None)
            session = SessionClient(
                self._user_of[revealed],
                self._book,
                self._loop,
                self._streams,
                self._on_sighting,
                self._chance,
                kept,
            )
            self._accounts[revealed] = _Account(pace, session)
        return self._accounts[revealed]


@dataclass
class _Account:
    """What there is for one token."""

    pace: Pace
    session: SessionClient
    #: Until when Discord's last 429 holds.
    limited_until: float = 0.0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _renamed(message: BotMessage, custom_id: str) -> BotMessage:
    buttons = tuple(msgspec.structs.replace(button, custom_id=custom_id) for button in message.buttons)
    return msgspec.structs.replace(message, buttons=buttons)
