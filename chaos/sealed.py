"""
Stored secrets, put into a database and read out of it again, by code that is none of the server's.

The reader opens what is sealed as the format says it is sealed, with the root key alone: whether every row can still be read is
not for the store to say.
"""

import asyncio
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Table, column, and what of a row its secret is bound to.
_PLACES = (
    ("jobs", "discord_token", "job_id"),
    ("accounts", "discord_token", "length(caller_id) || '/' || caller_id || '/' || channel"),
    ("callback_secrets", "secret", "secret_id"),
    ("gateway_sessions", "session", "lower(hex(digest))"),
)
CALLER = "default"


def secret_of(number: int) -> str:
    """Return the token of the job with this number."""
    return f"MTE4{number:020}.Gsecre.{number:038}"


def job_of(number: int) -> str:
    return f"00sealed{number:018}"


class Reading(NamedTuple):
    """All secrets of a database, as they were at one moment."""

    #: By table and row; None for what does not open.
    texts: dict[tuple[str, str], str | None]
    #: How many each data key has sealed.
    by_key: Counter[int]
    newest: int

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        return [place for place, text in self.texts.items() if text is None]

    @property
    def is_done(self) -> bool:
        """Whether the newest key has sealed everything."""
        return set(self.by_key) <= {self.newest}


def read(folder: Path) -> Reading:
    """Open every secret in a data folder's database. A server may be at work on it."""
    root = AESGCM((folder / "root.key").read_bytes())
    with closing(
        sqlite3.connect(f"file:{folder / 'pikarelay.sqlite3'}?mode=ro", uri=True, timeout=30)
    ) as file:
        file.execute("BEGIN")
        keys = {
            number: AESGCM(root.decrypt(sealed[5:17], sealed[17:], f"data_keys|{number}|sealed|0".encode()))
            for number, sealed in file.execute("SELECT number, sealed FROM data_keys")
        }
        texts: dict[tuple[str, str], str | None] = {}
        by_key: Counter[int] = Counter()
        for table, column, place in _PLACES:
            for row, sealed in file.execute(f"SELECT {place}, {column} FROM {table}"):
                number = int.from_bytes(sealed[1:5], "big")
                by_key[number] += 1
                try:
                    bound = f"{table}|{row}|{column}|{number}".encode()
                    texts[table, row] = keys[number].decrypt(sealed[5:17], sealed[17:], bound).decode()
                except (InvalidTag, KeyError):
                    texts[table, row] = None
    return Reading(texts, by_key, max(keys))


async def fill(folder: Path, count: int) -> None:
    """Put so many completed jobs into a new database, each with a token of its own, all of the caller `default`."""
    from pikarelay.jobs.job import Caller, Job, Press, PressPhase, Status, Verb
    from pikarelay.jobs.secret import Secret
    from pikarelay.store.migrations import migrate, sqlite_url
    from pikarelay.store.root_key import KeySource, load_root_key
    from pikarelay.store.sqlite import SqliteStore

    path = folder / "pikarelay.sqlite3"
    migrate(sqlite_url(path))
    made = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    async with SqliteStore.open(path, root_key=load_root_key(KeySource(folder))) as store:
        caller = Caller(caller_id="0caller", name=CALLER, created=made)
        await store.add_caller(caller)

        async def put(number: int) -> None:
            job = Job(
                job_id=job_of(number), caller_id=caller.caller_id, verb=Verb.CREATE, status=Status.COMPLETED,
                created=made, updated=made, prompt="a kite", discord_token=Secret(secret_of(number)),
                channel="1180000000000000001", max_jobs=10,
                press=Press(phase=PressPhase.BOUND, nonce=f"{number:019}"),
            )  # fmt: skip
            await store.admit(caller.caller_id, [job.channel], lambda _executing: job)

        for start in range(0, count, 1000):
            await asyncio.gather(*(put(number) for number in range(start, min(start + 1000, count))))


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
