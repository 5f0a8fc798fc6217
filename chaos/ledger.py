"""
Append-only ledgers, outside the server: one JSON object a line, written before it is believed.

Every entry has `event`, `at` (CLOCK_MONOTONIC in nanoseconds, comparable over all processes of the machine) and `order`,
a count that all ledgers of one run share: of two entries it says which was made first.
"""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Ledger:
    """One ledger. `note` hands the line to the system; `synced` returns when it is on the disk."""

    def __init__(self, path: Path, order: Iterator[int]) -> None:
        self.path = path
        self._order = order
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._noted = 0
        self._synced = 0
        self._syncing = asyncio.Lock()

    def note(self, event: str, **fields: Any) -> Entry:
        entry: Entry = {"event": event, "at": time.monotonic_ns(), "order": next(self._order), **fields}
        self.write(entry)
        return entry

    def write(self, entry: Entry) -> None:
        """Append a line as it is; for what another process has stamped already."""
        os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._noted += 1

    async def synced(self) -> None:
        """Return when all that was noted before the call is on the disk. Calls at once share one sync."""
        wanted = self._noted
        async with self._syncing:
            if self._synced < wanted:
                covered = self._noted
                await asyncio.to_thread(os.fdatasync, self._file)
                self._synced = covered

    async def noted(self, event: str, **fields: Any) -> Entry:
        """Note, and return when it is on the disk."""
        entry = self.note(event, **fields)
        await self.synced()
        return entry

    def close(self) -> None:
        os.close(self._file)


class Ledgers:
    """The four of one run, in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        order = itertools.count(1)
        self.folder = folder
        self.client = Ledger(folder / "client.jsonl", order)
        self.upstream = Ledger(folder / "upstream.jsonl", order)
        self.receiver = Ledger(folder / "receiver.jsonl", order)
        self.killer = Ledger(folder / "killer.jsonl", order)

    def close(self) -> None:
        for ledger in (self.client, self.upstream, self.receiver, self.killer):
            ledger.close()


def read_entries(path: Path) -> list[Entry]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
