"""Discord, seen from accounts."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports.files import FileToUpload


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The Discord user behind a token, with a live Gateway session."""

    user_id: str


class ButtonPress(msgspec.Struct, frozen=True, kw_only=True):
    """A component interaction: press the button `custom_id` of a message."""

    nonce: str
    channel_id: str
    application_id: str
    message_id: str
    message_flags: int
    custom_id: str
    component_type: int = 2
    #: After then, by `Clock.elapsed`, it does not leave any more: whoever waits for it has given up by then. None: whenever it can.
    leave_by: timedelta | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A slash command as Discord's command index lists it."""

    name: str
    command_id: str
    version: str
    application_id: str
    #: The application's bot user.
    bot_id: str
    #: Set when the command exists in that guild only.
    guild_id: str | None = None
    #: Option name to Discord's option type (3 text, 11 attachment, …).
    options: Mapping[str, int] = {}


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that waits at Discord for the command that uses it: for a while, and for that channel."""

    filename: str
    #: The name that Discord gave it.
    uploaded_filename: str


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """A slash command with its options, by name."""

    nonce: str
    channel_id: str
    command: Command
    options: Mapping[str, str | UploadedFile]
    #: As of `ButtonPress`.
    leave_by: timedelta | None = None


class Discord(Protocol):
    """
    Discord, seen from accounts. Sessions are opened on demand and kept.

    Every method may raise `DiscordRefused`, `DiscordRateLimited`, `DiscordUnavailable` or `AccountUnusable` (all in
    `pikarelay.errors`). Reads are retried inside; `press_button` and `run_command` send one interaction at most.
    """

    async def identify(self, token: Secret, channel: str) -> Identity:
        """Return who the token is, once its Gateway session is live, and listen to `channel` from then on."""
        ...

    def turn(self, token: Secret) -> AbstractAsyncContextManager[None]:
        """Wait for the account's turn to press, which its pace gives, and hold it while inside."""
        ...

    async def press_button(self, token: Secret, press: ButtonPress) -> None:
        """Press once. Returns when Discord has accepted it, which says nothing about the bot."""
        ...

    async def find_command(
        self, token: Secret, channel: str, name: str, *, fresh: bool = False
    ) -> Command | None:
        """Look a command up in the channel's command index, from memory unless `fresh`."""
        ...

    async def upload(
        self, token: Secret, channel: str, files: Sequence[FileToUpload]
    ) -> tuple[UploadedFile, ...]:
        """
        Upload the files (ten at most) for a command in `channel`, in their order. Nothing is pressed by that.

        It may take minutes.
        """
        ...

    async def run_command(self, token: Secret, run: CommandRun) -> None:
        """Run once. Returns when Discord has accepted it."""
        ...

    async def read_message(self, token: Secret, channel: str, message_id: str) -> BotMessage | None: ...

    async def read_history(self, token: Secret, channel: str, after: str) -> tuple[BotMessage, ...]:
        """Return the channel's messages with ids greater than `after`, oldest first."""
        ...

    def release(self, token: Secret) -> None:
        """Use an account again that Discord had refused, because a person has taken care of it."""
        ...

    async def forget(self, token: Secret) -> None:
        """Close an account's session and forget all about it. A no-op for a token nobody asked for."""
        ...

    def tokens(self) -> frozenset[Secret]:
        """Return those for which there is a session, or was asked for one."""
        ...

    async def leave(self, token: Secret) -> None:
        """Close an account's session so that somebody else can go on with it."""
        ...

    async def refresh_links(self, token: Secret, links: Sequence[str]) -> Mapping[str, str]:
        """Return for links to attachments, 50 at most, ones that last a day from now; those that Discord knows."""
        ...

    def server_time(self) -> datetime:
        """Return Discord's time, estimated from its answers; our own clock before the first one."""
        ...


class AccountsWatcher(Protocol):
    """Who has to know that the accounts have changed."""

    async def accounts_changed(self) -> None:
        """Open the sessions of new accounts, and close those that nobody needs any more."""
        ...
