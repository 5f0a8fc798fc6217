"""What holds for every store, whatever it is made of. Breaking one of these is a defect of ours, not of a caller's."""

from datetime import datetime

from pikarelay.jobs.callbacks import (
    CallbackState,
    Target,
)
from pikarelay.jobs.job import Job
from pikarelay.jobs.mirror import CopyState
from pikarelay.services.ports import CallbackOutcome, CopyOutcome


class AlreadyThere(Exception):
    """What was to be added has an id (or a nonce, or a digest) that is taken."""


class MoveRefused(Exception):
    """A store cannot be moved, or was not moved whole. The message says why, and what to do."""


def check_identity(before: Job, after: Job) -> None:
    """Raise ValueError for a change of what is fixed when a job is admitted."""
    for name in ("job_id", "caller_id", "channel", "verb", "created"):
        if getattr(before, name) != getattr(after, name):
            raise ValueError(f"{name} of a job never changes")
    if before.press.nonce != after.press.nonce:
        raise ValueError("the nonce of a job never changes")


#: What is said to have gone wrong with a callback whose target is disabled.
DISABLED = "disabled"


def target_due(target: Target, first: datetime | None) -> datetime | None:
    """Return when a target can next be tried, `first` being when the first of its callbacks is due."""
    if first is None or target.health.disabled is not None:
        return None
    return max(
        moment for moment in (first, target.busy_until, target.health.paused_until) if moment is not None
    )


def callback_state(outcome: CallbackOutcome) -> CallbackState:
    """Return the word for what follows from a try. Raises ValueError unless the outcome says exactly one thing."""
    said = [outcome.delivered, outcome.retry_at is not None, outcome.given_up]
    if said.count(True) != 1:
        raise ValueError("the outcome of a try is one of: delivered, tried again, given up")
    return (CallbackState.DELIVERED, CallbackState.WAITING, CallbackState.DEAD)[said.index(True)]


def copy_state(outcome: CopyOutcome) -> CopyState:
    """Return the word for what follows from a try. Raises ValueError for a copy that is made and yet to be made."""
    if outcome.kept is not None and outcome.retry_at is not None:
        raise ValueError("a copy that was made is not tried again")
    if outcome.kept is not None:
        return CopyState.DONE
    return CopyState.FAILED if outcome.retry_at is None else CopyState.WAITING
