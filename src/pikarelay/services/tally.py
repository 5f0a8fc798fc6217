"""
What has happened in this process since it started, counted for whoever watches over it.

Every name that is counted under comes from a short list of ours: no id, address, text or number of somebody else's is one.
"""

from bisect import bisect_left
from collections import Counter
from datetime import timedelta

from pikarelay.contract.callbacks import INTERRUPTED
from pikarelay.jobs.job import FINAL, Status
from pikarelay.services.ports import Delivery

#: What becomes of an attempt that was answered with 2xx.
DELIVERED = "delivered"
#: What became of a press. Discord took it, or would not now (429), or would not at all.
ACCEPTED, RATE_LIMITED, REFUSED = "accepted", "rate_limited", "refused"
#: The account's token or session is no good.
UNUSABLE = "unusable"
#: No answer, or none that says anything: it may have happened.
UNANSWERED = "unanswered"
#: Its job ended before it left.
NOT_SENT = "not_sent"

_PRESSES = (ACCEPTED, RATE_LIMITED, REFUSED, UNUSABLE, UNANSWERED, NOT_SENT)
_HTTP = "http_"
_ATTEMPTS = (
    *(DELIVERED, "dns", "blocked", "connect", "tls", "timeout", "protocol"),
    *("secret_unreadable", INTERRUPTED),
    *(f"{_HTTP}{kind}" for kind in ("1xx", "3xx", "4xx", "5xx", "other")),
)


#: What Discord is asked for, by the last part of its path: presses, what the bot said, places for pictures, fresh links, …
_OPERATIONS = (
    *("interactions", "messages", "attachments", "refresh-urls", "application-command-index", "gateway"),
    _OTHER := "other",
)


class Durations:
    """How many took how long."""

    #: Seconds, each bound included. A request to Discord is given up after fifteen.
    BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

    def __init__(self) -> None:
        #: Of those within each bound and above the one before; the last is of all others.
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, duration: timedelta) -> None:
        seconds = duration / timedelta(seconds=1)
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.seconds += seconds


class Tally:
    """Counts. Losing them with the process loses nothing else."""

    def __init__(self) -> None:
        #: By outcome.
        self.presses = Counter(dict.fromkeys(_PRESSES, 0))
        #: By the status that they ended with.
        self.jobs_ended = Counter({status.value: 0 for status in Status if status in FINAL})
        #: By class.
        self.callback_attempts = Counter(dict.fromkeys(_ATTEMPTS, 0))
        #: How long those took in all, by class.
        self.callback_seconds = dict.fromkeys(_ATTEMPTS, 0.0)
        #: Requests to Discord, answered or not, by operation.
        self.discord_requests = {operation: Durations() for operation in _OPERATIONS}

    def press(self, outcome: str) -> None:
        self.presses[outcome] += 1

    def job_ended(self, status: Status) -> None:
        self.jobs_ended[status.value] += 1

    def callback(self, delivery: Delivery) -> None:
        """Count one POST to a receiver."""
        name = attempt_class(delivery.error)
        self.callback_attempts[name] += 1
        self.callback_seconds[name] += delivery.duration / timedelta(seconds=1)

    def discord_request(self, path: str, duration: timedelta) -> None:
        """Count one request to Discord."""
        operation = path.rpartition("/")[2]
        durations = self.discord_requests.get(operation) or self.discord_requests[_OTHER]
        durations.add(duration)


def attempt_class(error: str | None) -> str:
    """Return the class of a try by its error: receivers choose their statuses, so `http_503` is one of `http_5xx`."""
    if error is None:
        return DELIVERED
    if error.startswith(_HTTP):
        kind = f"{_HTTP}{error.removeprefix(_HTTP)[:1]}xx"
        return kind if kind in _ATTEMPTS else f"{_HTTP}other"
    return error
