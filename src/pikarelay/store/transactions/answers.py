"""Owed answers."""

from datetime import datetime

import msgspec

from pikarelay.jobs.job import Job
from pikarelay.services.ports import Giving, Holds, News, Refusal
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.jobs import check_held, job, withdraw
from pikarelay.store.vault import Vault

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Refusal).decode


def claim_refusal(job_id: str, now: datetime) -> Transaction[bool]:
    found = yield "answer_to_change", {"job_id": job_id}
    if not found:
        return False
    _job_id, until, state, _refusal = found[0]
    if state != "open" or until <= rows.to_ms(now):
        return False
    yield "update_answer", {"this_job": job_id, "state": "refusing", "refusal": None}
    return True


def spare(job_id: str) -> Transaction[None]:
    found = yield "answer_to_change", {"job_id": job_id}
    if found and found[0][2] == "refusing":
        yield "update_answer", {"this_job": job_id, "state": "open", "refusal": None}
        yield announce(News.CHANGED, job_id)


def refuse(
    job_id: str, refusal: Refusal, now: datetime, vault: Vault, holds: Holds | None, *, was_sent: bool
) -> Transaction[Job | None]:
    found = yield "answer_to_change", {"job_id": job_id}
    if not found or found[0][2] != "refusing" or found[0][1] <= rows.to_ms(now):
        # Too late: the answer was given with the job, or may be by now. Or it was refused before, and there is none.
        return (yield from job(job_id, vault))
    if holds is not None:
        yield from check_held(job_id, holds)
    kept = yield from withdraw(job_id, vault, was_sent=was_sent)
    state = ("open", None) if kept is not None else ("refused", _encode(refusal))
    yield "update_answer", {"this_job": job_id, "state": state[0], "refusal": state[1]}
    yield announce(News.CHANGED, job_id)
    return kept


def refusal(job_id: str) -> Transaction[Refusal | None]:
    found = yield "answer", {"job_id": job_id}
    return _decode(found[0][3]) if found and found[0][3] is not None else None


def give_answer(job_id: str, now: datetime) -> Transaction[Giving | Refusal]:
    found = yield "answer_to_change", {"job_id": job_id}
    if not found:
        return Giving.MAY
    _job_id, until, state, refused = found[0]
    if refused is not None:
        return _decode(refused)
    if state == "refusing" and until > rows.to_ms(now):
        return Giving.MUST_WAIT
    yield "update_answer", {"this_job": job_id, "state": "given", "refusal": None}
    return Giving.MAY


def close_answer(job_id: str) -> Transaction[None]:
    yield "delete_answer", {"job_id": job_id}


def owed_until(job_id: str) -> Transaction[datetime | None]:
    found = yield "answer", {"job_id": job_id}
    return rows.from_ms(found[0][1]) if found else None


def prune_answers(before: datetime) -> Transaction[None]:
    yield "prune_answers", {"before": rows.to_ms(before)}
