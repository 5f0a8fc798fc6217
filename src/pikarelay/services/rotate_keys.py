"""Replace the key that seals secrets, while everything goes on."""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from pikarelay.services.ports import Clock, KeyFacts, KeyStore

#: After each portion others get their turn.
_PAUSE = timedelta(milliseconds=5)

#: How soon a running server takes up a key that another process has made.
LEARN_EVERY = timedelta(seconds=5)
#: By then it has, also on a busy machine.
LEARNED_BY = LEARN_EVERY + timedelta(seconds=3)


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass through all secrets."""

    looked_at: int
    resealed: int
    left: int


#: Is told how far a pass has come.
Progress = Callable[[Pass], None]


class KeyRotation:
    """One for a server and for the command line. What one of them begins, any of them finishes."""

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        #: The newest key at the start, then that of the last pass. None before the first look.
        self._passed: int | None = None

    async def rotate(self, begun: Callable[[KeyFacts], None], progress: Progress) -> Pass:
        """
        Make a new data key, or go on with one that has not replaced all others yet, until it has.

        The second pass is for what servers have sealed before they knew of the key.
        """
        key = await self._keys.rotate(self._clock.now())
        begun(key)
        await self._pass(progress)
        await self._clock.sleep(LEARNED_BY)
        done = await self._pass(progress)
        await self._keys.finish(key.number, self._clock.now())
        return done

    async def catch_up(self) -> Pass | None:
        """
        Learn what keys others have made, and seal by the newest what this process has sealed by older ones.

        Goes on also with what another process has begun and not finished. None when there is nothing to do.
        """
        current = await self._keys.learn()
        *older, newest = await self._keys.keys()
        if current != newest.number:
            # It hangs on a root key that this process was not started with.
            return None
        is_done = not older or newest.finished is not None
        if is_done and self._passed in {None, current}:
            self._passed = current
            return None
        done = await self._pass(lambda _: None)
        await self._keys.finish(current, self._clock.now())
        self._passed = current
        return done

    async def _pass(self, progress: Progress) -> Pass:
        looked_at = resealed = left = 0
        async for portion in self._keys.reseal():
            looked_at += portion.looked_at
            resealed += portion.resealed
            left += portion.left
            progress(Pass(looked_at=looked_at, resealed=resealed, left=left))
            await self._clock.sleep(_PAUSE)
        return Pass(looked_at=looked_at, resealed=resealed, left=left)
