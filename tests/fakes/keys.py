"""The keys of a store that has only numbers: which key has sealed which secret."""

from collections.abc import AsyncIterator
from datetime import datetime

from msgspec.structs import replace

from pikarelay.services.ports import KeyFacts, Resealed

_PORTION = 10


class FakeKeys:
    """A `KeyStore`. Tests may look into it, and be another process."""

    def __init__(self, secrets: int = 0) -> None:
        self.all = [KeyFacts(number=1, root_fingerprint="root")]
        #: By which key each secret is sealed.
        self.sealed_by = [1] * secrets
        #: Which key this process knows of.
        self.known = 1
        #: The newest that this process can open.
        self.openable = 1_000
        self.passes = 0

    async def keys(self) -> tuple[KeyFacts, ...]:
        return tuple(self.all)

    async def learn(self) -> int:
        self.known = max(key.number for key in self.all if key.number <= self.openable)
        return self.known

    async def rotate(self, now: datetime) -> KeyFacts:
        if len(self.all) == 1 or self.all[-1].finished is not None:
            self.all.append(KeyFacts(number=len(self.all) + 1, root_fingerprint="root", created=now))
        await self.learn()
        return self.all[-1]

    async def reseal(self) -> AsyncIterator[Resealed]:
        self.passes += 1
        for start in range(0, len(self.sealed_by), _PORTION):
            portion = self.sealed_by[start : start + _PORTION]
            self.sealed_by[start : start + _PORTION] = [self.known] * len(portion)
            yield Resealed(
                looked_at=len(portion), resealed=sum(number != self.known for number in portion), left=0
            )

    async def finish(self, number: int, now: datetime) -> None:
        self.all[number - 1] = replace(self.all[number - 1], finished=self.all[number - 1].finished or now)
