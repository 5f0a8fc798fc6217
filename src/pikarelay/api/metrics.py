"""
`/metrics`, for Prometheus: a page of its own, on an address of its own.

No label holds a token, an id, an address, a text or anything else that somebody could make more of: labels are names of
ours, so the number of series has an end.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from time import perf_counter
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from pikarelay import __version__
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.routing import Route
from pikarelay.jobs.callbacks import CallbackState
from pikarelay.jobs.job import FINAL, Status
from pikarelay.services.readiness import Readiness
from pikarelay.services.tally import Durations, Tally
from pikarelay.services.watch_figures import Counted, FiguresWatch

#: Seconds. Of the bounds that OpenTelemetry advises, those that tell our answers apart: a `GET` takes a millisecond, a POST
#: waits for the bot.
_BOUNDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0)

_Labelled = Mapping[str, float]

#: What there is none of is shown as none: an alert about what is absent never fires.
_JOBS = {status.value: 0 for status in Status if status not in FINAL}
_CALLBACKS = {state.value: 0 for state in (CallbackState.WAITING, CallbackState.DEAD)}
_TARGETS = dict.fromkeys(("healthy", "failing", "paused", "disabled"), 0)


class Sessions(Protocol):
    """What is asked of whoever holds the sessions at Discord."""

    def session_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many sessions there are by link and standing."""
        ...

    def invalid_answers(self) -> tuple[int, int]:
        """Return how many refused requests Discord holds against our address now, and at how many we stop."""
        ...


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the process: connections of clients, bytes of the disk, and how late things are, in seconds."""

    connections: Callable[[], int]
    free_bytes: Callable[[], int]
    disk_bytes: Callable[[], int]
    loop_lag: Callable[[], float]


class RequestMeter:
    """Counts and times requests, by the route that was found for them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "pikarelay_http_request_duration_seconds",
            "From a request's head to its answer.",
            ["route"],
            buckets=_BOUNDS,
            registry=self.registry,
        )
        self._answers = Counter(
            "pikarelay_http_answers", "Answers, by status.", ["code"], registry=self.registry
        )

    def started(self) -> float:
        return perf_counter()

    def answered(self, route: str, status: int, started: float) -> None:
        self._seconds.labels(route).observe(perf_counter() - started)
        self._answers.labels(str(status)).inc()


class Metrics:
    """The page."""

    def __init__(
        self,
        requests: RequestMeter,
        tally: Tally,
        figures: FiguresWatch,
        readiness: Readiness,
        sessions: Sessions,
        process: Process,
    ) -> None:
        self._registry = requests.registry
        self._tally = tally
        self._figures = figures
        self._readiness = readiness
        self._sessions = sessions
        self._process = process
        ProcessCollector(registry=self._registry)

    def table(self) -> list[Route]:
        return [Route(method="GET", path="/metrics", handler=self.show)]

    async def show(self, _: Exchange) -> Reply:
        ready = (await self._readiness.report()).is_ready
        counted = await self._figures.counted()
        page = CollectorRegistry()
        page.register(_Rest(lambda: [*self._of_store(counted), *self._of_process(ready=ready)]))
        body = generate_latest(self._registry) + generate_latest(page)
        return Reply(
            body=body, media_type=CONTENT_TYPE_LATEST.encode(), headers=((b"cache-control", b"no-store"),)
        )

    def _of_process(self, *, ready: bool) -> Iterator[Metric]:
        tally, (invalid, allowed) = self._tally, self._sessions.invalid_answers()
        yield _gauge("pikarelay_build", "Always 1.", {__version__: 1}, "version")
        yield _gauge("pikarelay_ready", "Whether work may be sent here.", float(ready))
        yield _gauge("pikarelay_connections", "Connections of clients.", self._process.connections())
        yield _gauge(
            "pikarelay_event_loop_lag_seconds",
            "The longest that anything waited for the event loop in the last minute.",
            self._process.loop_lag(),
        )
        yield _gauge(
            "pikarelay_database_write_seconds", "The last probing write.", self._readiness.write_seconds
        )
        with suppress(OSError):
            free, whole = self._process.free_bytes(), self._process.disk_bytes()
            yield _gauge("pikarelay_disk_free_bytes", "Room on the data folder's disk.", free)
            yield _gauge("pikarelay_disk_bytes", "What that disk holds in all.", whole)
        yield _counter("pikarelay_presses", "Presses and commands, by outcome.", tally.presses, "outcome")
        yield _counter("pikarelay_jobs_ended", "Jobs that ended, by status.", tally.jobs_ended, "status")
        yield _counter(
            "pikarelay_callback_attempts", "Tries of callbacks, by class.", tally.callback_attempts, "class"
        )
        yield _counter(
            "pikarelay_callback_attempt_seconds", "What tries took in all.", tally.callback_seconds, "class"
        )
        yield _histogram(
            "pikarelay_discord_request_duration_seconds",
            "Requests to Discord, answered or not.",
            tally.discord_requests,
            "operation",
        )
        sessions = GaugeMetricFamily(
            "pikarelay_gateway_sessions", "Sessions at Discord's Gateway.", labels=["link", "standing"]
        )
        for (link, standing), number in self._sessions.session_counts().items():
            sessions.add_metric([link, standing], number)
        yield sessions
        yield _gauge(
            "pikarelay_discord_invalid_requests",
            "Requests of the last ten minutes that Discord refused and holds against our address.",
            invalid,
        )
        yield _gauge("pikarelay_discord_invalid_requests_allowed", "At how many all requests stop.", allowed)

    def _of_store(self, counted: Counted | None) -> Iterator[Metric]:
        """Yield what the store says; nothing when it says nothing: an old figure would pass for a new one."""
        if counted is None:
            return
        its = counted.figures
        yield _gauge("pikarelay_jobs", "Unfinished jobs, by status.", _JOBS | its.jobs, "status")
        yield _gauge("pikarelay_presses_waiting", "Jobs whose press has not left.", its.presses_waiting)
        yield _gauge(
            "pikarelay_callbacks",
            "Callbacks that are not delivered, by state.",
            _CALLBACKS | its.callbacks,
            "state",
        )
        yield _gauge(
            "pikarelay_callback_targets", "Targets of callbacks, by health.", _TARGETS | its.targets, "health"
        )
        yield _gauge(
            "pikarelay_oldest_due_callback_seconds",
            "How long the callback has been due that is due the longest, of those that may be tried now.",
            counted.oldest_due.total_seconds(),
        )


class _Rest(Collector):
    """Everything that is made anew for each page."""

    def __init__(self, collect: Callable[[], list[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> list[Metric]:
        return self._collect()


def _gauge(name: str, text: str, value: float | _Labelled, label: str = "") -> Metric:
    if isinstance(value, Mapping):
        gauge = GaugeMetricFamily(name, text, labels=[label])
        for its, number in value.items():
            gauge.add_metric([its], number)
        return gauge
    return GaugeMetricFamily(name, text, value=value)


def _histogram(name: str, text: str, values: Mapping[str, Durations], label: str) -> Metric:
    histogram = HistogramMetricFamily(name, text, labels=[label])
    bounds = [*map(str, Durations.BOUNDS), "+Inf"]
    for its, durations in values.items():
        buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
        histogram.add_metric([its], buckets, durations.seconds)
    return histogram


def _counter(name: str, text: str, values: _Labelled, label: str) -> Metric:
    counter = CounterMetricFamily(name, text, labels=[label])
    for its, number in values.items():
        counter.add_metric([its], number)
    return counter
