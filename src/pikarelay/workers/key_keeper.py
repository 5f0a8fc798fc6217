"""Takes up data keys that other processes have made, and finishes rotations that were begun."""

import structlog

from pikarelay.services.ports import Clock
from pikarelay.services.rotate_keys import LEARN_EVERY, KeyRotation
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)


class KeyKeeper:
    """Looks every few seconds, the first time at once: a rotation that was killed goes on with the next start."""

    def __init__(self, rotation: KeyRotation, clock: Clock) -> None:
        self._rotation = rotation
        self._clock = clock
        self._loop = Loop("key_keeper", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        done = await self._rotation.catch_up()
        if done is not None:
            _log.info("keys.resealed", looked_at=done.looked_at, resealed=done.resealed, left=done.left)
        await self._clock.sleep(LEARN_EVERY)
