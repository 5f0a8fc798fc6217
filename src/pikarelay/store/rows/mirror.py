"""Copies of results."""

from datetime import datetime

from pikarelay.jobs.mirror import CopyRecord, CopyState, KeptCopy
from pikarelay.services.ports import CopyOutcome
from pikarelay.store.rows.columns import Params, Row, from_ms, from_ms_or_none, to_ms, to_ms_or_none
from pikarelay.store.rules import copy_state


def new_copy_params(name: str, job_id: str, number: int, begun: datetime) -> Params:
    return {
        "name": name,
        "job_id": job_id,
        "number": number,
        "state": CopyState.WAITING.value,
        "begun": to_ms(begun),
        "attempt": 0,
        "due": to_ms(begun),
        "error": None,
        **_kept_params(None),
    }


def outcome_params(outcome: CopyOutcome) -> Params:
    return {
        "state": copy_state(outcome).value,
        "due": to_ms_or_none(outcome.retry_at),
        "error": outcome.error,
        **_kept_params(outcome.kept),
    }


def _kept_params(kept: KeptCopy | None) -> Params:
    if kept is None:
        return {"mirror": None, "size": None, "media_type": None}
    return {"mirror": kept.mirror, "size": kept.size, "media_type": kept.media_type}


def copy_from(row: Row) -> CopyRecord:
    name, job_id, number, state, begun, attempt, due, error, mirror, size, media_type = row
    return CopyRecord(
        name=name,
        job_id=job_id,
        number=number,
        state=CopyState(state),
        begun=from_ms(begun),
        attempt=attempt,
        due=from_ms_or_none(due),
        error=error,
        kept=None if mirror is None else KeptCopy(mirror=mirror, size=size, media_type=media_type),
    )
