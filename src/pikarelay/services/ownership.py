"""What this worker holds, in memory. The store decides; this only says under which epoch it was said so."""

import time
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import MappingProxyType

from pikarelay.jobs.job import Job
from pikarelay.jobs.ownership import channel_name, session_name
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Hold


class Holdings:
    """Names and epochs. Implements `Holds`; may be asked from any thread."""

    def __init__(self, worker_id: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._worker_id = worker_id
        self._monotonic = monotonic
        #: Until when nobody can have taken over, on that clock.
        self._certain_until = -inf
        #: Both are replaced as a whole, never changed: whoever reads one meanwhile sees the one or the other.
        self._epochs: Mapping[str, int] = MappingProxyType({})
        self._leaving: frozenset[str] = frozenset()

    @property
    def worker_id(self) -> str:
        return self._worker_id

    @property
    def epochs(self) -> Mapping[str, int]:
        return self._epochs

    def hold(self, name: str) -> Hold | None:
        epoch = self._epochs.get(name)
        return None if epoch is None else Hold(self._worker_id, epoch)

    def is_kept(self, name: str) -> bool:
        return name in self._epochs and name not in self._leaving

    def keeps_channel(self, channel: str) -> bool:
        return self.is_kept(channel_name(channel))

    def keeps_seat(self, job: Job) -> bool:
        """Whether the job is this worker's to press: its channel and its session are."""
        return self.keeps_channel(job.channel) and self.keeps_session(job.discord_token)

    def keeps_session(self, token: Secret) -> bool:
        """Whether the token's session is this worker's to open."""
        return self.is_kept(session_name(token))

    def may_connect(self, token: Secret) -> bool:
        """
        Whether the token's session is this worker's for certain.

        Whoever has stood still for long believes in what it held until it has looked, and another has gone on with it.
        """
        return self._monotonic() < self._certain_until and self.keeps_session(token)

    def trust(self, until: float) -> None:
        """Be certain of everything until then: so long the store lets nobody take over."""
        self._certain_until = max(self._certain_until, until)

    def take(self, epochs: Mapping[str, int]) -> None:
        self._epochs = MappingProxyType({**self._epochs, **epochs})
        self._leaving -= epochs.keys()

    def leave(self, names: Iterable[str]) -> None:
        """Begin nothing with these any more. What has begun may end, until `let_go`."""
        self._leaving |= frozenset(names)

    def let_go(self, names: Iterable[str]) -> None:
        gone = frozenset(names)
        self._epochs = MappingProxyType({n: e for n, e in self._epochs.items() if n not in gone})
        self._leaving -= gone
