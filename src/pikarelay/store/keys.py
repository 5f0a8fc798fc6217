"""
The `KeyStore` port on any SQL engine: data keys, and which of them has sealed what.

A secret is sealed anew only while it is what was read: whoever replaced it meanwhile has sealed it by a newer key already, or is
found by the next pass.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from pikarelay.services.ports import KeyFacts, Resealed
from pikarelay.store import transactions
from pikarelay.store.root_key import RootKey
from pikarelay.store.rows import SEALED_COLUMNS
from pikarelay.store.runner import Runner
from pikarelay.store.vault import DataKey, Vault, key_number

#: Secrets looked at in one query, and sealed in one transaction: some milliseconds of work.
LOOKED_AT_ONCE = 400
RESEALED_AT_ONCE = 100


class SqlKeys:
    """The keys of one store."""

    def __init__(self, runner: Runner, vault: Vault) -> None:
        self._runner = runner
        self._vault = vault

    @property
    def root(self) -> RootKey:
        """The root key that this process was started with."""
        return self._vault.root

    async def keys(self) -> tuple[KeyFacts, ...]:
        return tuple(map(_facts, await self._runner.read(transactions.vault.known_data_keys)))

    async def learn(self) -> int:
        self._vault.learn(await self._runner.read(transactions.vault.known_data_keys))
        return self._vault.current

    async def rotate(self, now: datetime) -> KeyFacts:
        key = await self._runner.write(transactions.vault.rotate_data_key, self._vault.root, now)
        self._vault.learn([key])
        return _facts(key)

    async def reseal(self) -> AsyncIterator[Resealed]:
        newest = self._vault.current
        for column in SEALED_COLUMNS:
            after = column.start
            while found := await self._runner.read(
                transactions.vault.sealed_after, column, after, LOOKED_AT_ONCE
            ):
                after = found[-1][:-1]
                old = [row for row in found if key_number(row[-1]) != newest]
                done = 0
                for start in range(0, len(old), RESEALED_AT_ONCE):
                    portion = old[start : start + RESEALED_AT_ONCE]
                    done += await self._runner.write(transactions.vault.reseal, column, portion, self._vault)
                yield Resealed(looked_at=len(found), resealed=done, left=len(old) - done)

    async def finish(self, number: int, now: datetime) -> None:
        await self._runner.write(transactions.vault.finish_data_key, number, now)

    async def hang_on(self, root: RootKey) -> int:
        """Seal the data keys by another root key, all at once. Raises `WrongKey`. What this process has open stays open."""
        return await self._runner.write(transactions.vault.hang_on, root, self._vault.root)


def _facts(key: DataKey) -> KeyFacts:
    return KeyFacts(
        number=key.number, root_fingerprint=key.root_fingerprint, created=key.created, finished=key.finished
    )
