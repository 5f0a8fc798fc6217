"""Admissions: tried until one of several channels has room for certain, and looked for when nobody confirmed them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from pikarelay.errors import OutcomeUnknown, Unavailable
from pikarelay.jobs.job import Job
from pikarelay.jobs.requests import RequestKey
from pikarelay.store import transactions
from pikarelay.store.runner import Runner
from pikarelay.store.vault import Vault

#: Seconds between the looks for a job whose admission nobody confirmed.
_LOOK_AFTER = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)

#: How often one of several channels is chosen that somebody else fills meanwhile, before all of them are locked.
_DRAWS = (False,) * 8 + (True,)


async def admitted(
    runner: Runner,
    vault: Vault,
    caller_id: str,
    channels: Sequence[str],
    decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
    key: RequestKey | None,
    answer_until: datetime | None,
) -> Job:
    """As `JobStore.admit`."""
    decided: list[Job] = []

    def remember(executing: Mapping[str, tuple[str, ...]]) -> Job:
        decided.append(decide(executing))
        return decided[-1]

    its = caller_id, channels, remember, key, answer_until, vault
    try:
        for locks_all in _DRAWS:
            job = await runner.write_soon(transactions.jobs.admit, *its, locks_all=locks_all)
            if job is not None:
                return job
    except OutcomeUnknown:
        return await _look_for(decided[-1], runner, vault)
    raise AssertionError


async def _look_for(decided: Job, runner: Runner, vault: Vault) -> Job:
    """Return the job that may have been admitted. Nobody may be told that there is none, and be pressed for."""
    for pause in _LOOK_AFTER:
        await asyncio.sleep(pause)
        try:
            job = await runner.write(
                transactions.jobs.job_once_admitted, decided.job_id, decided.channel, vault
            )
        except Unavailable:
            continue
        if job is None:
            break
        return job
    raise Unavailable
