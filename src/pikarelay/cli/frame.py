"""
What every command does: find the settings, open what it works on, print, and say in one line what is wrong.

Floor 4. Nothing here knows any particular command.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from cyclopts import Parameter

from pikarelay import logs
from pikarelay.bootstrap.offices import Offices, open_offices
from pikarelay.errors import ApiError
from pikarelay.jobs.secret import scrub
from pikarelay.services.configure_caller import CallerBusy, CallerTaken, CallerUnknown
from pikarelay.services.keep_orphans import NotAssignable
from pikarelay.settings import Settings, SettingsError
from pikarelay.store.backup import BackupRefused
from pikarelay.store.migrations import DatabaseUnreachable, SchemaOutdated
from pikarelay.store.root_key import KeyUnusable, WrongKey
from pikarelay.store.rules import MoveRefused
from pikarelay.store.sqlite_file import DatabaseDamaged
from pikarelay.store.vault import DataKeyDamaged

T = TypeVar("T")


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Which server's data a command works on."""

    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None
    "Settings file in TOML. Environment: PIKARELAY_CONFIG."

    data_folder: Path | None = None
    "Folder of the database, the root key and the uploads. Environment: PIKARELAY_DATA_FOLDER."


class Refusal(Exception):
    """A command cannot do what it was asked; the message says why, in one line."""


#: What is wrong with what was given. The message may repeat that; a token in the wrong place is not repeated.
_GIVEN = (Refusal, NotAssignable, CallerBusy, CallerTaken, CallerUnknown)
#: What an operator can mend; each message says how.
_MENDABLE = (
    SchemaOutdated,
    DatabaseUnreachable,
    BackupRefused,
    DatabaseDamaged,
    DataKeyDamaged,
    MoveRefused,
)


def load_settings(where: Where | None, flags: dict[str, Any] | None = None) -> Settings:
    """Put the settings together; `flags` go by dotted name, and None is not set."""
    where = where or Where()
    folder = None if where.data_folder is None else str(where.data_folder)
    file = where.config or os.environ.get("PIKARELAY_CONFIG")

    def load() -> Settings:
        text = Path(file).read_text(encoding="utf-8") if file else ""
        return Settings.load(os.environ, text, {"store.data_folder": folder, **(flags or {})})

    return reporting(load)


def in_offices(where: Where | None, work: Callable[[Offices], Awaitable[None]]) -> None:
    """Do `work` on a server's data, whether the server runs or not."""
    settings = load_settings(where)
    logs.set_up(level="warning", as_json=False)

    async def inside() -> None:
        async with open_offices(settings) as offices:
            await work(offices)

    run(inside())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work)

    reporting(run)


def reporting(work: Callable[[], T]) -> T:
    """Run it, and turn what an operator can mend into one line and a status: 1, 2 for settings, 78 for the root key."""
    try:
        return work()
    except SettingsError as error:
        fail("\n".join(error.problems), status=2)
    except ApiError as error:
        fail(scrub(error.message))
    except _GIVEN as error:
        fail(scrub(str(error)))
    except (KeyUnusable, WrongKey) as error:
        fail(str(error), status=os.EX_CONFIG)
    except _MENDABLE as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def fail(line: str, status: int = 1) -> NoReturn:
    """Say why on stderr, and end."""
    sys.stderr.write(line + "\n")
    sys.exit(status)


def read_secret(prompt: str) -> str:
    """Read a line from stdin, unseen when somebody types it."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(prompt)
    return sys.stdin.readline()


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
