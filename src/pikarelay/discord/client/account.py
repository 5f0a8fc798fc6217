"""One Discord account: its Gateway session, its requests, its pace, and what it knows of channels and commands."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import aiohttp
import msgspec
import structlog

from pikarelay.discord.client.gateway import Gateway, Live, OnSighting
from pikarelay.discord.client.pace import Pace
from pikarelay.discord.client.rest import Rest
from pikarelay.discord.client.transport import Transport
from pikarelay.discord.client.uploads import Uploads
from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.bot_messages import Prose
from pikarelay.discord.wire.commands import ListedCommand, read_index
from pikarelay.discord.wire.dispatches import DispatchReader
from pikarelay.discord.wire.interactions import UnfitOption, Uploaded, command_body, press_body
from pikarelay.discord.wire.messages import page_ids, read_messages
from pikarelay.discord.wire.payloads import WireError
from pikarelay.discord.wire.ratelimit import Route
from pikarelay.discord.wire.refusals import read_refusal
from pikarelay.discord.wire.session import IdentifyPace, SessionState, Stopped
from pikarelay.discord.wire.standing import AccountStanding, Standing
from pikarelay.errors import DiscordRefused, DiscordUnavailable
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ButtonPress, Clock, CommandRun, FileToUpload, Identity, UploadedFile

T = TypeVar("T")

PAGE = 100
#: A channel where more was said since the oldest open press is read no further: 5,000 messages.
MOST_PAGES = 50
#: How long it may take until we notice that Discord has ended a session.
SUCCESSOR_SECONDS = 15.0

log = structlog.get_logger()


class Setup(NamedTuple):
    """What all accounts share."""

    http: aiohttp.ClientSession
    transport: Transport
    uploads: Uploads
    clock: Clock
    jitter: Callable[[], float]
    prose: Prose
    find_url: Callable[[], Awaitable[str]]
    on_sighting: OnSighting
    #: Told whenever a session begins or goes on.
    on_live: Callable[[], None]
    application_id: str | None
    application_name: str
    press_interval: timedelta
    session_wait: timedelta
    may_connect: Callable[[Secret], bool]
    api_version: int
    intents: int | None


class DiscordAccount:
    """See the module. Begins to connect with `start`."""

    def __init__(
        self, token: Secret, setup: Setup, identify_pace: IdentifyPace, state: SessionState | None = None
    ) -> None:
        self._setup = setup
        self._token = token
        self._watched: set[str] = set()
        #: Channel to guild; None for a direct message.
        self._guild_ids: dict[str, str | None] = {}
        self._commands: dict[str, Mapping[str, ListedCommand]] = {}
        self._pace = Pace(setup.press_interval, clock=setup.clock, jitter=setup.jitter)
        self._rest = Rest(
            setup.transport, token, clock=setup.clock, jitter=setup.jitter, on_unusable=self._unusable
        )
        self._closing: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self.gateway = Gateway(
            setup.http,
            token,
            find_url=setup.find_url,
            reader=DispatchReader(setup.prose, self._watched.__contains__),
            on_sighting=setup.on_sighting,
            on_stopped=self._gateway_stopped,
            may_connect=lambda: setup.may_connect(token),
            on_live=setup.on_live,
            jitter=setup.jitter,
            version=setup.api_version,
            intents=setup.intents,
            state=state,
            identify_pace=identify_pace,
        )

    @property
    def standing(self) -> AccountStanding:
        """How Discord sees the account."""
        return self._rest.standing

    @property
    def limited_until(self) -> datetime | None:
        """Until when Discord refuses its presses because there were too many requests. None while it does not."""
        return self._rest.limited_until

    @property
    def watched(self) -> frozenset[str]:
        """The channels it listens to."""
        return frozenset(self._watched)

    def release(self) -> None:
        """Forget what Discord held against it: a person has taken care."""
        self._rest.standing = AccountStanding()

    async def stop(self) -> None:
        if self._closing is not None:
            await self._closing
        await self.gateway.stop()

    # The port's methods

    async def identify(self, channel: str) -> Identity:
        """Listen to `channel`, and say who the account is once its session is live."""
        self._rest.check()
        self._watched.add(channel)
        live = await self._live()
        guild_id = await self._guild_of(channel)
        if guild_id is not None:
            self.gateway.subscribe(guild_id)
        return Identity(user_id=live.user_id)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for the account's turn to press, and hold it."""
        return self._pace.turn()

    async def press_button(self, press: ButtonPress) -> None:
        self._rest.check()
        self._rest.check_interactions(press.channel_id)
        guild_id = await self._guild_of(press.channel_id)

        def body(session_id: str) -> bytes:
            return press_body(
                nonce=press.nonce,
                session_id=session_id,
                application_id=press.application_id,
                channel_id=press.channel_id,
                guild_id=guild_id,
                message_id=press.message_id,
                message_flags=press.message_flags,
                custom_id=press.custom_id,
                component_type=press.component_type,
            )

        await self._interact(press.channel_id, body, press.leave_by)

    async def find_command(self, channel: str, name: str, *, fresh: bool) -> ListedCommand | None:
        self._rest.check()
        if fresh or channel not in self._commands:
            self._commands[channel] = await self._read_commands(channel)
        return self._commands[channel].get(name)

    async def upload(self, channel: str, files: Sequence[FileToUpload]) -> tuple[UploadedFile, ...]:
        self._rest.check()
        self._rest.check_interactions(channel)
        uploaded = await self._setup.uploads.upload(self._rest, channel, files)
        return tuple(
            UploadedFile(filename=its.filename, uploaded_filename=its.uploaded_filename) for its in uploaded
        )

    async def run_command(self, run: CommandRun) -> None:
        self._rest.check()
        self._rest.check_interactions(run.channel_id)
        guild_id = await self._guild_of(run.channel_id)
        options = {
            name: value if isinstance(value, str) else Uploaded(value.filename, value.uploaded_filename)
            for name, value in run.options.items()
        }

        def body(session_id: str) -> bytes:
            return command_body(
                nonce=run.nonce,
                session_id=session_id,
                channel_id=run.channel_id,
                guild_id=guild_id,
                command=_listed(run),
                options=options,
            )

        try:
            await self._interact(run.channel_id, body, run.leave_by)
        except UnfitOption as error:
            # What Discord would say to it, without asking.
            raise DiscordRefused(400, str(error)) from None

    async def read_message(self, channel: str, message_id: str) -> BotMessage | None:
        # Users may not GET one message by its id, but may ask for those around it.
        page = await self._history(channel, {"around": message_id, "limit": "1"})
        found = self._understood(page)
        return next((message for message in found if message.id == message_id), None)

    async def read_history(self, channel: str, after: str) -> tuple[BotMessage, ...]:
        found: list[BotMessage] = []
        for _ in range(MOST_PAGES):
            page = await self._history(channel, {"after": after, "limit": str(PAGE)})
            found.extend(self._understood(page))
            ids = _trusted(page_ids, page)
            if len(ids) < PAGE:
                return tuple(found)
            after = max(ids, key=int)
        log.warning("discord.history_truncated", account=self._token.masked, channel=channel)
        return tuple(found)

    async def _interact(self, channel: str, body: Callable[[str], bytes], leave_by: timedelta | None) -> None:
        """
        POST one interaction in the name of the live session.

        Discord may have ended that session a moment ago, and refuses what comes in its name. Nothing was pressed then, so
        the interaction is posted once more, with the same nonce, in the name of the session that follows.
        """
        self._check_time(leave_by)
        live = await self._live()
        self._check_time(leave_by)
        try:
            await self._rest.interact(channel, body(live.session_id))
        except DiscordRefused as refused:
            if not read_refusal(refused.status, refused.details.encode()).is_session_gone:
                raise
            successor = await self._successor(live)
            if successor is None:
                raise
            self._check_time(leave_by)
            log.warning("press.session_was_gone", account=self._token.masked)
            await self._rest.interact(channel, body(successor.session_id))

    def _check_time(self, leave_by: timedelta | None) -> None:
        if leave_by is not None and self._setup.clock.elapsed() > leave_by:
            raise DiscordUnavailable("The press was held up for too long", may_have_happened=False)

    # Reads

    async def refresh_links(self, links: Sequence[str]) -> Mapping[str, str]:
        body = await self._rest.reserve(
            Route("POST /attachments/refresh-urls"),
            "/attachments/refresh-urls",
            msgspec.json.encode({"attachment_urls": list(links)}),
        )
        found = _trusted(lambda answer: payloads.read("links", answer, payloads.RefreshedLinks), body)
        return {its.original: its.refreshed for its in found.refreshed_urls if its.refreshed is not None}

    async def _history(self, channel: str, query: Mapping[str, str]) -> bytes:
        route = Route("GET /channels/{}/messages", channel)
        return await self._rest.read(route, f"/channels/{channel}/messages", query)

    def _understood(self, page: bytes) -> tuple[BotMessage, ...]:
        return _trusted(lambda body: read_messages(body, self._setup.prose), page)

    async def _read_commands(self, channel: str) -> Mapping[str, ListedCommand]:
        guild_id = await self._guild_of(channel)
        place, major = ("channels", channel) if guild_id is None else ("guilds", guild_id)
        route = Route(f"GET /{place}/{{}}/application-command-index", major)
        body = await self._rest.read(route, f"/{place}/{major}/application-command-index")
        return _trusted(
            lambda index: read_index(
                index,
                application_id=self._setup.application_id,
                application_name=self._setup.application_name,
            ),
            body,
        )

    async def _guild_of(self, channel: str) -> str | None:
        if self.gateway.is_private(channel):
            return None
        if channel not in self._guild_ids:
            route = Route("GET /channels/{}", channel)
            body = await self._rest.read(route, f"/channels/{channel}")
            self._guild_ids[channel] = _trusted(
                lambda found: payloads.read("channel", found, payloads.Channel).guild_id, body
            )
        return self._guild_ids[channel]

    # Standing

    async def _live(self) -> Live:
        """
        Return the live session, opening one if need be, or wait until there is one again.

        An account that has had none for longer than `session_wait` does not keep anybody waiting. Whatever goes wrong here,
        nothing was sent.
        """
        async with self._opening:
            if self._closing is not None:
                await self._closing
                self._closing = None
            # What went wrong meanwhile is not to be tried again.
            self._rest.check()
            if not self.gateway.is_running:
                await self.gateway.hang_up()
                self.gateway.start()
        patience = self._setup.session_wait.total_seconds() - self.gateway.offline_seconds
        live: Live | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, patience)):
                live = await self.gateway.wait_live()
        self._rest.check()
        if live is None:
            raise DiscordUnavailable("The account's Gateway session is not live", may_have_happened=False)
        return live

    async def _successor(self, ended: Live) -> Live | None:
        """
        Return the session that follows one which Discord has ended; None when it does not seem to have ended after all.

        Raises `DiscordUnavailable` when it has, and none follows for as long as presses wait.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SUCCESSOR_SECONDS):
                return await self.gateway.wait_live(after=ended)
        return None if self.gateway.live == ended else await self._live()

    def _gateway_stopped(self, stopped: Stopped) -> None:
        self._rest.standing = self._rest.standing.after_stop(stopped.remedy, stopped.reason)

    def _unusable(self, standing: Standing) -> None:
        # With any other standing the session may stay: what runs already can still be followed.
        if standing is Standing.TOKEN_INVALID and self._closing is None:
            self._closing = asyncio.create_task(self.gateway.hang_up())


def _listed(run: CommandRun) -> ListedCommand:
    command = run.command
    return ListedCommand(
        name=command.name,
        command_id=command.command_id,
        version=command.version,
        application_id=command.application_id,
        bot_id=command.bot_id,
        guild_id=command.guild_id,
        options=command.options,
    )


def _trusted(read: Callable[[bytes], T], body: bytes) -> T:
    """Read an answer, or say that there was no usable one."""
    try:
        return read(body)
    except WireError as error:
        raise DiscordUnavailable(str(error), may_have_happened=False) from None
