"""Copies of results: claimed, finished, asked for again, and forgotten when their job is gone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState
from pikarelay.services.ports import CopyOutcome, CopyPlan
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction


def insert_copies(plan: CopyPlan, job_id: str) -> Transaction[None]:
    for number, name in enumerate(plan.names):
        yield "insert_copy", rows.new_copy_params(name, job_id, number, plan.due)


def claim_copies(now: datetime, lease: timedelta, limit: int) -> Transaction[tuple[CopyRecord, ...]]:
    due = {"now": rows.to_ms(now), "leased_until": rows.to_ms(now + lease), "limit": limit}
    claimed = map(rows.copy_from, (yield "claim_copies", due))
    return tuple(sorted(claimed, key=lambda copy: (copy.begun, copy.name)))


def renew_copy(name: str, attempt: int, until: datetime) -> Transaction[bool]:
    this_try = {"this_copy": name, "this_attempt": attempt}
    return bool((yield "renew_copy", {**this_try, "leased_until": rows.to_ms(until)}))


def finish_copy(name: str, attempt: int, outcome: CopyOutcome) -> Transaction[bool]:
    this_try = {"this_copy": name, "this_attempt": attempt}
    return bool((yield "finish_copy", {**this_try, **rows.outcome_params(outcome)}))


def release_copies(now: datetime) -> Transaction[int]:
    return len((yield "release_copies", {"now": rows.to_ms(now), "due": rows.to_ms(now)}))


def next_copy() -> Transaction[datetime | None]:
    ((due,),) = yield "next_copy", {}
    return None if due is None else rows.from_ms(due)


def copy(name: str) -> Transaction[CopyRecord | None]:
    found = yield "mirror_copy", {"name": name}
    return rows.copy_from(found[0]) if found else None


def undone_copies(limit: int) -> Transaction[tuple[CopyRecord, ...]]:
    return tuple(map(rows.copy_from, (yield "undone_copies", {"limit": limit})))


def count_copies() -> Transaction[Mapping[CopyState, CopyCount]]:
    found = yield "count_copies", {}
    # PostgreSQL sums up big integers as decimals.
    return {CopyState(state): CopyCount(copies, int(size)) for state, copies, size in found}


def retry_copies(now: datetime, job_id: str | None) -> Transaction[int]:
    again = {"state": CopyState.WAITING.value, "due": rows.to_ms(now), "begun": rows.to_ms(now)}
    if job_id is None:
        return len((yield "retry_copies", again))
    return len((yield "retry_copies_of_job", {**again, "this_job": job_id}))


def abandoned_copies(limit: int, with_done: bool) -> Transaction[tuple[CopyRecord, ...]]:
    found = yield "abandoned_copies", {"limit": limit, "with_done": with_done}
    return tuple(map(rows.copy_from, found))


def forget_copies(names: Sequence[str]) -> Transaction[None]:
    for name in names:
        yield "forget_copy", {"name": name}
