"""
The world: everything that exists, put together.

It has no sockets and no clock of its own. What it needs from outside comes in: the clock, a monotonic time, a
way to be called later, and somebody to hand interactions of in-process applications to.
"""

from collections.abc import Callable, Sequence
from typing import Any

from localdiscord.apps.application import Application as InProcess
from localdiscord.cdn.links import Links
from localdiscord.clock import Clock
from localdiscord.faults.armed import ArmedFaults
from localdiscord.faults.model import AppDo, Configure, Late, Silence
from localdiscord.limits.violations import RefusedTokens, Violation, Violations
from localdiscord.limits.windows import ClosedUntil
from localdiscord.wire.errors import RateLimited
from localdiscord.wire.interactions import interaction_create
from localdiscord.wire.messages import MessageWriter
from localdiscord.wire.places import channel_object
from localdiscord.world.audience import GUILDS, Audience
from localdiscord.world.commands import Commands
from localdiscord.world.directory import Directory
from localdiscord.world.files import Files
from localdiscord.world.interactions import Interactions
from localdiscord.world.ledger import Ledger
from localdiscord.world.messages import Messages
from localdiscord.world.models import Application, Channel, Guild, Interaction, Json, User
from localdiscord.world.presses import PressRules
from localdiscord.world.ready import Greeting
from localdiscord.world.rules import Rules
from localdiscord.world.sessions import Later, Session, Sessions
from localdiscord.world.snowflakes import Chance
from localdiscord.world.uploads import Uploads

#: Told of an interaction of an application that lives in this process.
Host = Callable[[Interaction], None]

SLOW_MODE_CODE = 20016


class World:
    """All of the local Discord that is not a socket."""

    def __init__(
        self,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        monotonic_ns: Callable[[], int],
        later: Later,
        seed: int = 0,
        rules: Rules | None = None,
    ) -> None:
        self.clock = clock
        self.monotonic = monotonic
        self.later = later
        self.rules = rules or Rules()
        self.chance = Chance(clock, seed)
        self.violations = Violations()
        self.refused = RefusedTokens()
        self.faults = ArmedFaults(monotonic)
        self.ledger = Ledger(clock, monotonic_ns)
        self.links = Links(clock, self.chance.text(32).encode(), lifetime_seconds=self.rules.link_lifetime)
        self.directory = Directory(self.chance, clock)
        self.sessions = Sessions(self.chance, self.rules, self.faults, later)
        self.uploads = Uploads(self.chance, clock, self.links, self.rules.file_limit)
        self.files = Files(self.chance, self.uploads, self.rules.file_limit)
        self.messages = Messages(
            directory=self.directory,
            files=self.files,
            chance=self.chance,
            clock=clock,
            ledger=self.ledger,
            nonce_memory=self.rules.nonce_memory,
        )
        self.writer = MessageWriter(self.directory.users, self.links, self.messages.find)
        self.audience = Audience(self.directory, self.sessions, self.writer)
        self.messages.audience = self.audience
        self.commands = Commands(self.directory, self.chance)
        self.greeting = Greeting(self.directory)
        self.interactions = Interactions(
            directory=self.directory,
            sessions=self.sessions,
            messages=self.messages,
            audience=self.audience,
            press_rules=PressRules(
                directory=self.directory,
                sessions=self.sessions,
                messages=self.messages,
                commands=self.commands,
                files=self.files,
                links=self.links,
            ),
            violations=self.violations,
            ledger=self.ledger,
            chance=self.chance,
            clock=clock,
            rules=self.rules,
            later=later,
            hand_over=self._hand_over,
        )
        self._hosts: dict[int, tuple[InProcess, Host]] = {}
        self._told_slow = ClosedUntil()
        self._spoke_at: dict[tuple[int, int], float] = {}

    # --- making things ----------------------------------------------------------------------------------

    def install(self, app: InProcess, host: Host) -> Application:
        """Let an application live in here: register it with its commands, and hand it its interactions."""
        application = self.directory.add_application(app.name)
        self.commands.register(application, app.commands)
        self._hosts[application.id] = (app, host)
        return application

    def installed(self) -> dict[str, tuple[Application, InProcess]]:
        """Return the applications that live in here, by name."""
        return {app.name: (self.directory.applications[each], app) for each, (app, _) in self._hosts.items()}

    def open_direct_channel(self, one: User, other: User) -> Channel:
        """Return the channel between the two, and announce it to both when it is new."""
        channel, is_new = self.directory.direct_channel(one.id, other.id)
        if is_new:
            for user in (one, other):
                if not user.bot:
                    payload = channel_object(channel, user.id, self.directory.users)
                    self.audience.tell_user(user.id, "CHANNEL_CREATE", payload)
        return channel

    def add_guild(self, name: str, members: Sequence[int], claimed_members: int | None = None) -> Guild:
        """Add a guild and announce it to the sessions of its members."""
        guild = self.directory.add_guild(name, list(members), claimed_members)
        for member in guild.member_ids:
            for session in self.sessions.of(member):
                self.announce_guild(guild, session)
        return guild

    def announce_guild(self, guild: Guild, session: Session) -> None:
        """Send GUILD_CREATE, unless the session's intents exclude it."""
        if session.intents is None or session.intents & GUILDS:
            self.audience.tell(session, "GUILD_CREATE", self.greeting.guild(guild, session))

    # --- rules between things ---------------------------------------------------------------------------

    def check_slow_mode(self, user: User, channel: Channel) -> None:
        """
        Raise when the channel is slow and the user spoke or pressed just now; bots are exempt.

        To be told once is no violation; to come again before the time is over is.
        """
        if not channel.slow_mode or user.bot:
            return
        now = self.monotonic()
        left = self._spoke_at.get((user.id, channel.id), -1e9) + channel.slow_mode - now
        if left <= 0:
            return
        key = f"{user.id} {channel.id}"
        if self._told_slow.left(key, now) and not self._told_slow.was_in_flight(key, now):
            self.violations.count(Violation.REQUEST_INSIDE_429_WINDOW, channel_id=str(channel.id))
        self._told_slow.close(key, now, left)
        raise RateLimited(left, "user", SLOW_MODE_CODE)

    def note_spoken(self, user: User, channel: Channel) -> None:
        """Start the pause slow mode asks for."""
        self._spoke_at[user.id, channel.id] = self.monotonic()

    # --- handing over -----------------------------------------------------------------------------------

    def _hand_over(self, interaction: Interaction) -> None:
        application = self.directory.applications[interaction.application_id]
        strike = self.faults.strike("app", AppDo, self._app_facts(application, interaction))
        match strike:
            case Silence():
                return
            case Late(seconds=seconds):
                self.later(seconds, lambda: self._deliver(application, interaction))
                return
            case Configure(settings=settings):
                self._configure_or_note(application, settings)
        self._deliver(application, interaction)

    def configure(self, application: Application, settings: dict[str, Any]) -> bool:
        """Hand settings to an in-process application; False when it takes none."""
        app = self._hosts[application.id][0] if application.id in self._hosts else None
        configure = getattr(app, "configure", None)
        if configure is None:
            return False
        configure(settings)
        return True

    def _configure_or_note(self, application: Application, settings: dict[str, Any]) -> None:
        """Settings the application will not have are a mistake of whoever armed the fault, not of the press."""
        try:
            self.configure(application, settings)
        except ValueError as error:
            self.ledger.note("configure_refused", application=application.name, reason=str(error))

    @staticmethod
    def _app_facts(application: Application, interaction: Interaction) -> dict[str, str | None]:
        return {
            "application": application.name,
            "user_id": str(interaction.user_id),
            "command": interaction.data.get("name"),
            "custom_id": interaction.data.get("custom_id"),
        }

    def _deliver(self, application: Application, interaction: Interaction) -> None:
        if application.id in self._hosts:
            self._hosts[application.id][1](interaction)
            return
        if not self.sessions.of(application.bot.id):
            return
        self.audience.tell_user(
            application.bot.id, "INTERACTION_CREATE", self._for_bot(application, interaction)
        )

    def _for_bot(self, application: Application, interaction: Interaction) -> Json:
        guild = None if interaction.guild_id is None else self.directory.guilds[interaction.guild_id]
        return interaction_create(
            interaction,
            channel=self.directory.channels[interaction.channel_id],
            guild=guild,
            bot_id=application.bot.id,
            users=self.directory.users,
            writer=self.writer,
            attachment_size_limit=self.rules.file_limit,
        )
