"""
The judge: says from the world's book alone which promises a history has broken. Pure.

Every check is a function that yields a sentence for each thing that is wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from chaos.simulation.book import Book
from chaos.simulation.confusion import is_past_knowing, may_confuse
from chaos.simulation.plan import Plan
from pikarelay.contract.bodies import job_body
from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.reconciliation import SPACING
from pikarelay.services.expire_jobs import GRACE
from tests.fakes.clock import START

_RANK = {Status.CREATED: 0, Status.STARTED: 1, Status.PROGRESS: 2}
_FINAL_RANK = 3
_TIMED_OUT = frozenset({"Pika did not answer in time", "Outcome of the press is unknown"})
#: A look of the lifeline, and the reading of some channels.
_LATE_SECONDS = 30.0
#: Between two readings of a channel's history, at most, after some that failed.
_SPACING_SECONDS = 60.0
#: From when a video is there until a reading of the history that has just begun is over.
_SEEN_SECONDS = 6.0
#: The routine of reading histories, its jitter, and the reading.
_ROUTINE_SECONDS = 100.0

Check = Callable[[Plan, Book], Iterator[str]]


def judge(plan: Plan, book: Book) -> list[str]:
    """Return everything that is wrong with a history."""
    return [text for check in CHECKS for text in check(plan, book)]


def nothing_is_unexplained(_plan: Plan, book: Book) -> Iterator[str]:
    """No exception of the server's own."""
    yield from (f"defect: {text}" for text in book.defects)


def all_comes_to_an_end(_plan: Plan, book: Book) -> Iterator[str]:
    """Some time after the trouble is over all is done, and nothing is kept in memory about it."""
    if book.quiet is None:
        yield "liveness: it never became quiet"
    yield from (f"leak: {text}" for text in book.leaks)


def videos_are_own(_plan: Plan, book: Book) -> Iterator[str]:
    """A completed job has the video of its own press, and one that the bot refused has its own refusal."""
    for job in _jobs(book):
        if job.status is Status.COMPLETED:
            cause = book.cause_of_video.get(job.attachments[0].id)
        elif job.message_id is not None:
            cause = book.cause_of_message.get(job.message_id)
        else:
            continue
        if (cause is None or cause.nonce != job.press.nonce) and not is_past_knowing(book, job, cause):
            what = "video" if job.status is Status.COMPLETED else "message"
            yield f"{what}: {job.job_id} ({job.press.nonce}) has that of {cause and cause.nonce}"


def presses_happen_once(_plan: Plan, book: Book) -> Iterator[str]:
    """A job is pressed once at most; only what Discord refused as outdated is pressed again, as it is now."""
    nonces = Counter(attempt.nonce for attempt in book.attempts if attempt.has_happened)
    for nonce, times in nonces.items():
        if times > 1:
            yield f"press: {nonce} was pressed {times} times"
    fates: dict[str, list[str]] = {}
    for attempt in book.attempts:
        fates.setdefault(attempt.nonce, []).append(attempt.fate)
    for nonce, its in fates.items():
        if any(fate != "stale" for fate in its[:-1]):
            yield f"press: {nonce} was sent again after {its}"


def requests_make_one_job(_plan: Plan, book: Book) -> Iterator[str]:
    """A request makes one job at most, however often it is repeated under its name."""
    made: dict[str, list[str]] = {}
    for job in _jobs(book):
        made.setdefault(job.reply_ref or "", []).append(job.job_id)
    for request, jobs in made.items():
        if len(jobs) > 1:
            yield f"request: {request} made {jobs}"
    for request_ in book.requests:
        told = {answer.job.job_id for answer in request_.answers}
        if len(told) > 1:
            yield f"request: {request_.number} was answered with {told}"


def answers_are_true(_plan: Plan, book: Book) -> Iterator[str]:
    """A job that a caller was told of is there in the end, and ended; one that was withdrawn is not."""
    for request in book.requests:
        for answer in request.answers:
            if book.shown.get(answer.job.job_id) is None:
                yield f"answer: {answer.job.job_id} was acknowledged, and is unknown now"
    for job_id in book.withdrawn:
        if book.shown.get(job_id) is not None or book.tries.get(job_id):
            yield f"answer: {job_id} was withdrawn, and is shown or called back about"


def status_moves_forward(_plan: Plan, book: Book) -> Iterator[str]:
    """The status moves forward, an ended job shows what it showed, and `updated` never goes back."""
    for job_id, commits in book.commits.items():
        for (_, before), (_, after) in pairwise(commits):
            ranks = (_RANK.get(before.status, _FINAL_RANK), _RANK.get(after.status, _FINAL_RANK))
            if ranks[0] > ranks[1] or before.updated > after.updated:
                yield f"status: {job_id} went from {before.status} to {after.status}"
            if before.is_final and job_body(before) != job_body(after):
                yield f"status: {job_id} had ended and is shown as another"
            order = list(PressPhase)
            if order.index(before.press.phase) > order.index(after.press.phase):
                yield f"status: {job_id}'s press went from {before.press.phase} to {after.press.phase}"


def channels_have_room(_plan: Plan, book: Book) -> Iterator[str]:
    """No channel runs more jobs than it may."""
    for job_id, running in book.admissions.items():
        if running > book.last(job_id).max_jobs:
            yield f"capacity: {job_id} was admitted as one of {running}"


def jobs_end_in_time(plan: Plan, book: Book) -> Iterator[str]:
    """Every job ends, once, by its deadline and not before; time in which no server ran is not counted."""
    for job_id, commits in book.commits.items():
        if job_id in book.withdrawn:
            continue
        ends = [index for index, (_, job) in enumerate(commits) if job.is_final]
        if not ends:
            yield f"deadline: {job_id} never ended"
            continue
        at, ended = commits[ends[0]]
        deadline = _deadline(plan, commits[ends[0] - 1][1])
        if ended.error in _TIMED_OUT and at < deadline - 0.01:
            yield f"deadline: {job_id} was given up {deadline - at:.1f} s early"
        late = at - _judged(plan, book, commits[ends[0] - 1][1], at) - _down(book, deadline, at)
        if late > _LATE_SECONDS + 40 * plan.store_wait:
            yield f"deadline: {job_id} ended {late:.1f} s late"


def presses_leave(plan: Plan, book: Book) -> Iterator[str]:
    """A job waits in vain only behind others of its channel."""
    for job in _jobs(book):
        if job.status is not Status.FAILED or job.error not in _TIMED_OUT or job.press.sent is not None:
            continue
        begin = book.commits[job.job_id][0][0]
        others = [its for its in book.commits.values() if its[0][1].channel == job.channel]
        if len(others) == 1:
            yield f"turn: {job.job_id} waited for nobody since {begin:.1f}"


def videos_arrive(plan: Plan, book: Book) -> Iterator[str]:
    """A job whose video came into the channel while it was open completes with it, and soon."""
    jobs = book.by_nonce()
    for cause in book.interactions:
        job_id = jobs.get(cause.nonce)
        if job_id is None or job_id in book.withdrawn or cause.shown is None:
            continue
        at, ended = next((at, job) for at, job in book.commits[job_id] if job.is_final)
        if (
            at < cause.shown + _SEEN_SECONDS + 4 * plan.store_wait
            or ended.status is Status.CANCELLED
            or may_confuse(plan, book, ended, at)
        ):
            continue
        reads = [(t, ok) for t, ok in book.reads[cause.channel] if cause.shown <= t <= at]
        if ended.status is not Status.COMPLETED:
            there = f"{at - cause.shown:.1f} s"
            yield f"video: {job_id} {ended.status} ({ended.error}) although its video had been there for {there}"
            continue
        hindered = [t for t, ok in reads if not ok] + [t for t in book.starts if cause.shown <= t <= at]
        late = at - max([cause.shown, *hindered])
        if late > _ROUTINE_SECONDS + 40 * plan.store_wait:
            yield f"video: {job_id} was given its video {late:.1f} s late"


def callbacks_arrive(plan: Plan, book: Book) -> Iterator[str]:
    """Each ended job's callback is delivered, and not again unless the process that had sent it died."""
    for job in _jobs(book):
        if job.reply_url is None:
            continue
        tries = book.tries.get(job.job_id, [])
        was_given_up = book.sends[job.job_id] >= len(plan.schedule) or job.job_id in book.gone
        if not any(each.was_taken for each in tries) and not was_given_up:
            yield f"callback: {job.job_id} was never called back about"
        for first, again in pairwise([each for each in tries if each.was_told]):
            if first.life == again.life:
                yield f"callback: {job.job_id} was delivered again for nothing"


def callbacks_say_the_same(_plan: Plan, book: Book) -> Iterator[str]:
    """A callback has one id and the same bytes on every try: those that GET has."""
    for job_id, tries in book.tries.items():
        if len({(each.callback.callback_id, each.callback.body) for each in tries}) > 1:
            yield f"callback: {job_id} has callbacks of different ids or bytes"
        if any(each.callback.body != book.shown.get(job_id) for each in tries):
            yield f"callback: {job_id} was called back about in other words than GET has"


def answers_come_first(_plan: Plan, book: Book) -> Iterator[str]:
    """No callback comes in before its job's POST was answered."""
    for request in book.requests:
        for answer in request.answers:
            tries = book.tries.get(answer.job.job_id, [])
            if not answer.is_repeat and any(each.order < answer.order for each in tries):
                yield f"callback: {answer.job.job_id} was called back about before its POST was answered"


CHECKS: tuple[Check, ...] = (
    nothing_is_unexplained,
    videos_are_own,
    presses_happen_once,
    requests_make_one_job,
    answers_are_true,
    status_moves_forward,
    channels_have_room,
    jobs_end_in_time,
    presses_leave,
    videos_arrive,
    callbacks_arrive,
    callbacks_say_the_same,
    answers_come_first,
    all_comes_to_an_end,
)


def _jobs(book: Book) -> Iterator[Job]:
    """Yield the jobs that callers are shown, as they are in the end."""
    return (book.last(job_id) for job_id in book.commits if job_id not in book.withdrawn)


def _deadline(plan: Plan, job: Job) -> float:
    """Return when an unfinished job's time is up, as docs/job-lifecycle.md has it."""
    is_unheard = job.press.phase in {PressPhase.SENT, PressPhase.ACCEPTED}
    allowed = plan.first_message if is_unheard else plan.whole_job
    return ((job.press.sent or job.created) + allowed - START).total_seconds()


def _judged(plan: Plan, book: Book, job: Job, at: float) -> float:
    """Return by when an overdue job is judged: when its channel can be read, which is not at any moment."""
    deadline = _deadline(plan, job)
    reads = [(t, ok) for t, ok in book.reads[job.channel] if deadline - _SPACING_SECONDS <= t <= at]
    if all(ok for _, ok in reads):
        return deadline + SPACING.total_seconds()
    given_up = deadline + (plan.whole_job + GRACE).total_seconds()
    return next((t for t, ok in reads if ok and t > deadline), given_up) + _SPACING_SECONDS


def _down(book: Book, begin: float, end: float) -> float:
    """Return for how long no server ran between the two."""
    downs = zip(book.ends, [*book.starts[1:], float("inf")], strict=False)
    return sum(max(0.0, min(end, up) - max(begin, down)) for down, up in downs)


def counts(plan: Plan, book: Book) -> Counter[str]:
    """Return how much was at stake."""
    numbers = Counter(f"{job.status.value}" for job in _jobs(book))
    numbers["jobs"] = len(book.commits)
    numbers["presses"] = sum(attempt.has_happened for attempt in book.attempts)
    numbers["callbacks"] = len(book.tries)
    numbers["deaths"] = len(book.ends)
    return numbers
