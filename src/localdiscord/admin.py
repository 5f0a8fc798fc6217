"""What an operator or a test may do to the world from outside, as plain methods; the admin routes call the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from localdiscord.clock import Clock, WallClock
from localdiscord.faults.model import Close, Cut, Fault, InvalidSession, Reconnect
from localdiscord.gateway.edge import Gateway
from localdiscord.limits.rest import RestLimits
from localdiscord.wire import errors
from localdiscord.world.models import Application, Channel, Json, User
from localdiscord.world.sessions import Session
from localdiscord.world.world import World

AUTHENTICATION_FAILED = 4004


class Admin:
    """The hand that moves the world."""

    def __init__(self, world: World, gateway: Gateway, limits: RestLimits, clock: Clock) -> None:
        self._world = world
        self._gateway = gateway
        self._limits = limits
        self._clock = clock

    # --- who and where ----------------------------------------------------------------------------------

    def create_user(self, username: str | None = None) -> Json:
        """Add a user with a direct message channel to every in-process application."""
        directory = self._world.directory
        user = directory.add_user(username or f"user{len(directory.users) + 1}")
        for application, _ in self._world.installed().values():
            self._world.open_direct_channel(user, application.bot)
        return self.user(user)

    def user(self, user: User) -> Json:
        """Return the user with its token and its direct message channels, by application name."""
        directory = self._world.directory
        channels: Json = {}
        for channel in directory.direct_channels_of(user.id):
            for other in channel.recipient_ids:
                application = directory.application_of(other)
                if application is not None:
                    channels[application.name] = str(channel.id)
        return {
            "id": str(user.id),
            "username": user.username,
            "token": user.token,
            "token_valid": user.token_valid,
            "dm_channels": channels,
        }

    def create_application(self, name: str, *, distinct_bot_id: bool = False) -> Json:
        """Add an application for a bot in another process."""
        application = self._world.directory.add_application(name, distinct_bot_id=distinct_bot_id)
        return self.application(application)

    def application(self, application: Application) -> Json:
        return {
            "id": str(application.id),
            "name": application.name,
            "bot_id": str(application.bot.id),
            "token": application.bot.token,
            "public_key": application.public_key,
            "commands": [
                {"id": str(each.id), "name": each.spec["name"], "version": str(each.version)}
                for each in application.commands.values()
            ],
            "in_process": application.name in self._world.installed(),
        }

    def create_guild(self, name: str, members: Sequence[str], member_count: int | None = None) -> Json:
        """Add a guild of these users (and bots); it may claim more members than it has."""
        guild = self._world.add_guild(name, [int(each) for each in members], member_count)
        return self.guild(guild.id)

    def guild(self, guild_id: int) -> Json:
        guild = self._world.directory.guilds[guild_id]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "member_count": guild.member_count,
            "members": [str(each) for each in guild.member_ids],
            "channels": [
                {"id": str(each.id), "name": each.name} for each in self._world.directory.channels_of(guild)
            ],
        }

    def open_dm(self, user_id: str, application_id: str) -> Json:
        application = self.find_application(application_id)
        channel = self._world.open_direct_channel(self.find_user(user_id), application.bot)
        return {"channel_id": str(channel.id)}

    def find_user(self, user_id: str) -> User:
        user = self._world.directory.users.get(int(user_id)) if user_id.isdigit() else None
        if user is None:
            raise errors.unknown_user()
        return user

    def find_application(self, id_or_name: str) -> Application:
        applications = self._world.directory.applications
        if id_or_name.isdigit() and int(id_or_name) in applications:
            return applications[int(id_or_name)]
        for application in applications.values():
            if application.name.lower() == id_or_name.lower():
                return application
        raise errors.unknown_application()

    # --- what is done to them ---------------------------------------------------------------------------

    def revoke(self, user_id: str) -> None:
        """Make the token worthless: REST answers 401, open sessions are closed with 4004 and forgotten."""
        user = self.find_user(user_id)
        user.token_valid = False
        for session in self._world.sessions.of(user.id):
            self._world.sessions.end(session)
            self._world.sessions.disturb(session, Close(AUTHENTICATION_FAILED))

    def new_token(self, user_id: str) -> Json:
        return {"token": self._world.directory.renew_token(self.find_user(user_id))}

    def disturb(self, sessions: Sequence[Session], strike: Cut | Close | Reconnect | InvalidSession) -> int:
        """Cut, close, op 7 or op 9 for these sessions, now; return how many there were."""
        for session in sessions:
            self._world.sessions.disturb(session, strike)
        return len(sessions)

    def sessions_of(self, session_or_user_id: str) -> list[Session]:
        """Return the session of that id, or all of that user's."""
        session = self._world.sessions.get(session_or_user_id)
        if session is not None:
            return [session]
        return self._world.sessions.of(self.find_user(session_or_user_id).id)

    def ask_heartbeats(self, session_or_user_id: str) -> int:
        return self._gateway.ask_heartbeats(self.sessions_of(session_or_user_id))

    def arm(self, fault: Mapping[str, Any] | Fault) -> str:
        """Arm a fault, given whole or as JSON; return its id. Raises `msgspec.ValidationError` or `ValueError`."""
        if not isinstance(fault, Fault):
            fault = msgspec.convert(fault, Fault)
        return self._world.faults.arm(fault)

    def advance_clock(self, seconds: float) -> float:
        """Move the clock forward and return the new time; heartbeats and rate limits do not notice."""
        if not isinstance(self._clock, WallClock):
            raise TypeError("this clock is moved by whoever made it")
        self._clock.advance(seconds)
        return self._clock.now()

    def slow_mode(self, channel_id: str, seconds: int) -> None:
        self.find_channel(channel_id).slow_mode = seconds

    def find_channel(self, channel_id: str) -> Channel:
        channel = self._world.directory.channels.get(int(channel_id)) if channel_id.isdigit() else None
        if channel is None:
            raise errors.unknown_channel()
        return channel

    def outdate_commands(self, id_or_name: str) -> None:
        """Give the application's commands new versions: what a client cached is outdated."""
        self._world.commands.outdate(self.find_application(id_or_name))

    def configure(self, id_or_name: str, settings: Mapping[str, Any]) -> bool:
        """Hand settings to an in-process application; False when it takes none."""
        return self._world.configure(self.find_application(id_or_name), dict(settings))

    def settings(self, id_or_name: str) -> Json:
        """Return what the application says of its settings, if it says anything."""
        for name, (_, app) in self._world.installed().items():
            if name.lower() == id_or_name.lower():
                settings = getattr(app, "settings", None)
                return dict(settings() if callable(settings) else settings or {})
        raise errors.unknown_application()

    # --- what can be known ------------------------------------------------------------------------------

    def state(self) -> Json:
        """Return all there is, in numbers and names."""
        world, directory = self._world, self._world.directory
        return {
            "time": world.clock.now(),
            "users": [self.user(each) for each in directory.users.values() if not each.bot],
            "applications": [self.application(each) for each in directory.applications.values()],
            "guilds": [self.guild(each) for each in directory.guilds],
            "channels": [self._channel(each) for each in directory.channels.values()],
            "sessions": [
                {
                    "id": each.id,
                    "user_id": str(each.user.id),
                    "seq": each.seq,
                    "connected": each.connection is not None,
                }
                for each in world.sessions.all()
            ],
            "counters": {
                "violations": world.violations.total,
                "ledger": len(world.ledger),
                "presses": world.ledger.presses.total(),
                "double_presses": sum(1 for count in world.ledger.presses.values() if count > 1),
                "invalid_requests": self._limits.invalid_requests(world.monotonic()),
            },
        }

    def _channel(self, channel: Channel) -> Json:
        return {
            "id": str(channel.id),
            "type": channel.type,
            "name": channel.name,
            "guild_id": None if channel.guild_id is None else str(channel.guild_id),
            "recipients": [str(each) for each in channel.recipient_ids],
            "slow_mode": channel.slow_mode,
            "messages": len(self._world.messages.history(channel.id)),
        }
