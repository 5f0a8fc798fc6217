"""
A request that its caller has named (by the header `Idempotency-Key`) makes one job, however often it is sent.

The name's use is committed with the job, so no crash comes between the two. Whoever repeats a request that is still
being answered waits for that answer; later ones get the job as it is by then. What was refused has made no job, and its
name is free. Where the first caller hung up while its job was being refused, a repetition waits for what comes of that.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from pikarelay.errors import ApiError, InvalidValue, Unavailable
from pikarelay.jobs.job import Caller, Status
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.answers import Answers
from pikarelay.services.ports import KEY_LIFETIME, Clock, KeyedJob, KeyTaken, Store
from pikarelay.services.submit_job import Submitted

Submit = Callable[[], Awaitable[Submitted]]


class _UnderWay(msgspec.Struct, frozen=True):
    """A named request that is being answered in this process."""

    digest: bytes
    answer: asyncio.Future[Submitted]


class AnswerOnce:
    """Lets the first of equal requests through, and answers the others with what came of it."""

    def __init__(self, store: Store, answers: Answers, clock: Clock) -> None:
        self._store = store
        self._answers = answers
        self._clock = clock
        #: By caller and key.
        self._under_way: dict[tuple[str, str], _UnderWay] = {}

    async def __call__(self, caller: Caller, key: RequestKey | None, submit: Submit) -> Submitted:
        """
        Call `submit`, unless the request was made before. `submit` must hand the key on to `Store.admit`.

        Raises what `submit` raises, and `InvalidValue` when the key was used for another request.
        """
        if key is None:
            return await submit()
        place = (caller.caller_id, key.text)
        if (first := self._under_way.get(place)) is not None:
            _check_same(first.digest, key)
            # Shielded: one who hangs up takes the answer from nobody else.
            return msgspec.structs.replace(await asyncio.shield(first.answer), is_repeat=True)
        # No await since the look-up: of two at once, one is the first.
        answer: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._under_way[place] = _UnderWay(key.digest, answer)
        try:
            submitted = await self._first_or_stored(caller, key, submit)
        except BaseException as error:
            answer.set_exception(error if isinstance(error, ApiError) else Unavailable())
            # Looked at, so that nobody misses it when nobody waits.
            answer.exception()
            raise
        else:
            answer.set_result(submitted)
            return submitted
        finally:
            del self._under_way[place]

    async def _first_or_stored(self, caller: Caller, key: RequestKey, submit: Submit) -> Submitted:
        if (stored := await self._stored(caller, key)) is not None:
            return stored
        try:
            return await submit()
        except KeyTaken:
            # Another process was faster.
            if (stored := await self._stored(caller, key)) is not None:
                return stored
            raise Unavailable from None

    async def _stored(self, caller: Caller, key: RequestKey) -> Submitted | None:
        kept = await self._kept(caller, key)
        if kept is not None and kept.job.status is Status.CREATED:
            # Of this one a refusal may be under way, which takes it back.
            await self._answers.give(kept.job.job_id)
            kept = await self._kept(caller, key)
        return None if kept is None else Submitted(kept.job, 200, is_repeat=True)

    async def _kept(self, caller: Caller, key: RequestKey) -> KeyedJob | None:
        since = self._clock.now() - KEY_LIFETIME
        kept = await self._store.job_by_key(caller.caller_id, key.text, since)
        if kept is not None:
            _check_same(kept.digest, key)
        return kept


def _check_same(digest: bytes, key: RequestKey) -> None:
    if digest != key.digest:
        raise InvalidValue("Idempotency-Key was used with another request")
