"""
What callers and operators do about callbacks: look at them, send them again, switch targets, change what they are signed with.

A replay sends the stored bytes under the stored id, with a fresh schedule. It is refused, with the reason, for a target that
the policy closes or that the operator has switched off.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import msgspec

from pikarelay.errors import InvalidValue, JobNotFound
from pikarelay.jobs.breaker import Health, held
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    CallbackState,
    Target,
)
from pikarelay.jobs.job import Caller
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    CallbackSecret,
    Clock,
    Ids,
    Store,
    TargetGuard,
)

#: Callbacks that one replay takes at most, and in one transaction.
REPLAYED_AT_MOST = 10_000
_AT_ONCE = 500
#: How long the secret before the newest is used beside it.
OLD_SECRET_LIVES = timedelta(hours=24)
_SECRET_BYTES = 32
_SWITCHED_OFF = "target is switched off by the operator"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay of many."""

    #: The jobs whose callbacks are due again.
    replayed: tuple[str, ...]
    #: Target to the reason why nothing is sent there.
    refused: Mapping[str, str]


class CallbackOffice:
    """One for the API and for the command line; `wake` tells the dispatcher of this process, if there is one."""

    def __init__(
        self,
        store: Store,
        guard: TargetGuard,
        clock: Clock,
        ids: Ids,
        random_bytes: Callable[[int], bytes],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._guard = guard
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes
        self._wake = wake

    async def show(
        self, job_id: str, caller_id: str | None = None
    ) -> tuple[CallbackRecord, Target | None, tuple[CallbackAttempt, ...]]:
        """Return a job's callback, its target, and its log. Raises `JobNotFound`, also for another caller's."""
        record = await self._store.callback(job_id)
        if record is None or caller_id not in {None, record.caller_id}:
            raise JobNotFound(job_id)
        targets = await self._store.targets(1, record.target)
        return record, targets[0] if targets else None, await self._store.attempts(job_id)

    async def undelivered(self, which: CallbackFilter, limit: int) -> tuple[CallbackRecord, ...]:
        """Return callbacks that wait or are dead, newest first."""
        return await self._store.undelivered(which, limit)

    async def replay(self, job_id: str, caller_id: str | None = None) -> str:
        """Send one job's callback again, delivered or not, and return its id. Raises `JobNotFound`, or `InvalidValue` with the reason."""
        record, _, _ = await self.show(job_id, caller_id)
        refusal = await self._refusal(record.target)
        if refusal is not None:
            raise InvalidValue(f"callback is not sent: {refusal}")
        if not await self._store.replay_callback(job_id, self._clock.now()):
            # Pruned, or its target switched off, a moment ago.
            raise JobNotFound(job_id)
        self._wake()
        return record.callback_id

    async def replay_dead(self, which: CallbackFilter) -> Replay:
        """Send all dead letters that are meant again, `REPLAYED_AT_MOST` of them, the newest first to be taken."""
        dead = msgspec.structs.replace(which, state=CallbackState.DEAD)
        records = await self._store.undelivered(dead, REPLAYED_AT_MOST)
        refused = await self._refusals({record.target for record in records})
        replayed: list[str] = []
        for target in sorted({record.target for record in records} - refused.keys()):
            meant = msgspec.structs.replace(dead, target=target)
            while len(replayed) < REPLAYED_AT_MOST:
                room = min(_AT_ONCE, REPLAYED_AT_MOST - len(replayed))
                some = await self._store.replay_dead(meant, self._clock.now(), room)
                replayed += some
                if len(some) < room:
                    break
        self._wake()
        return Replay(replayed=tuple(replayed), refused=refused)

    async def targets(self, limit: int) -> tuple[Target, ...]:
        """Return the targets, failing ones first."""
        return await self._store.targets(limit)

    async def switch(self, target: str, *, on: bool) -> None:
        """Enable a target with a clean slate, or disable it. Raises `InvalidValue` when there is none."""
        if not await self._store.put_health(target, Health() if on else held(self._clock.now())):
            raise InvalidValue(f"there is no target {target}")
        self._wake()

    async def rotate_secret(self, caller: Caller) -> str:
        """Make a new secret for the caller's callbacks and return it, this once. The old one lives for a day more."""
        text = "whsec_" + base64.b64encode(self._random_bytes(_SECRET_BYTES)).decode()
        now = self._clock.now()
        secret = CallbackSecret(
            secret_id=self._ids.job_id(), caller_id=caller.caller_id, secret=Secret(text), created=now
        )
        await self._store.rotate_callback_secret(secret, now + OLD_SECRET_LIVES)
        return text

    async def remove_secrets(self, caller: Caller) -> int:
        """Sign the caller's callbacks no more. Returns how many secrets there were."""
        return await self._store.remove_callback_secrets(caller.caller_id)

    async def secrets(self, caller: Caller) -> tuple[CallbackSecret, ...]:
        """Return those in use, newest first."""
        return await self._store.callback_secrets(caller.caller_id, self._clock.now())

    async def _refusals(self, targets: Iterable[str]) -> dict[str, str]:
        found = {target: await self._refusal(target) for target in sorted(targets)}
        return {target: refusal for target, refusal in found.items() if refusal is not None}

    async def _refusal(self, target: str) -> str | None:
        kept = await self._store.targets(1, target)
        if kept and kept[0].health.is_held:
            return _SWITCHED_OFF
        return await self._guard.refusal(target)
