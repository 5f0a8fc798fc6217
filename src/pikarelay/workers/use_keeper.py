"""Writes down when API tokens were last used."""

from contextlib import suppress
from datetime import timedelta

from pikarelay.errors import Unavailable
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.ports import Clock
from pikarelay.workers.loop import Loop

_EVERY = timedelta(minutes=1)


class UseKeeper:
    """Writes once a minute, all tokens in one transaction, and once more at the end. A crash costs the last minute."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._loop = Loop("use_keeper", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        with suppress(Unavailable):
            await self._authenticator.keep_uses()

    async def _once(self) -> None:
        await self._clock.sleep(_EVERY)
        # What cannot be written now can be in a minute. It is no defect.
        with suppress(Unavailable):
            await self._authenticator.keep_uses()
