"""Which account runs a command."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from pikarelay.errors import MissingValue, TooManyJobs
from pikarelay.jobs.admission import DEFAULT_MAX_JOBS, admit
from pikarelay.jobs.job import Account, Caller, Job, Press
from pikarelay.jobs.requests import CommandRequest
from pikarelay.jobs.secret import Secret


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A token on a channel, and how many jobs this request may see executing there."""

    channel: str
    discord_token: Secret
    max_jobs: int


def candidates(request: CommandRequest, accounts: Sequence[Account], *, required: str) -> tuple[Seat, ...]:
    """
    Return the seats that the request may take.

    `discord` and `channel` both given: that one, configured or not. Only `channel`: its account. Neither: every
    account. Raises `MissingValue(required)` when that leaves none, or when `discord` comes without `channel`.
    """
    token, channel, max_jobs = request.common.discord_token, request.common.channel, request.common.max_jobs
    if token is not None and channel is not None:
        return (Seat(channel=channel, discord_token=token, max_jobs=max_jobs or DEFAULT_MAX_JOBS),)
    seats = tuple(
        Seat(channel=a.channel, discord_token=a.discord_token, max_jobs=max_jobs or a.max_jobs)
        for a in accounts
        if channel in {None, a.channel}
    )
    if token is not None or not seats:
        raise MissingValue(required)
    return seats


def choose(seats: Sequence[Seat], executing: Mapping[str, Sequence[str]], draw: float) -> Seat:
    """
    Return one of the seats with room, each as likely as the others; `draw` is a random number in [0, 1).

    All full: `TooManyJobs` with the sum of their limits and all their jobs.
    """
    free = [seat for seat in seats if len(executing.get(seat.channel, ())) < seat.max_jobs]
    if free:
        return free[int(draw * len(free))]
    if len(seats) == 1:
        admit(executing.get(seats[0].channel, ()), seats[0].max_jobs)
    everything = [job_id for seat in seats for job_id in executing.get(seat.channel, ())]
    raise TooManyJobs(sum(seat.max_jobs for seat in seats), everything)


def plan(
    request: CommandRequest, seat: Seat, *, caller: Caller, job_id: str, nonce: str, now: datetime
) -> Job:
    """Return the job that running the command on that seat makes."""
    return Job(
        job_id=job_id,
        caller_id=caller.caller_id,
        verb=request.verb,
        created=now,
        updated=now,
        prompt=request.prompt,
        message=request.message,
        message_image=request.message_image,
        font=request.font,
        image=request.image,
        discord_token=seat.discord_token,
        channel=seat.channel,
        max_jobs=seat.max_jobs,
        reply_url=request.common.reply_url or caller.reply_url,
        reply_ref=request.common.reply_ref,
        press=Press(nonce=nonce),
    )
