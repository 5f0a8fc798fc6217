"""
Whether this server can take work, for proxies and for managers of services.

It can when the database takes a write, the disk has room, the secrets' key opens what it seals, the schema serves this version,
and the server does not end. That Discord cannot be reached does not make it unready: no other server could either, and jobs
can still be read. Whoever asks, and however often, there is one look a second.
"""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from pikarelay.errors import Unavailable
from pikarelay.services.looking import Patient, Remembered, StillAsking
from pikarelay.services.ports import Condition, WatchedStore

_log = structlog.get_logger(__name__)

#: How long a look is good for, and how long the database has for one.
_GOOD_FOR_SECONDS = 1.0
_PATIENCE_SECONDS = 1.0

OK = "ok"


class Report(msgspec.Struct, frozen=True):
    """What was looked at, each with `ok` or what is the matter."""

    checks: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        return not self.troubles

    @property
    def troubles(self) -> tuple[str, ...]:
        """Return what is not well."""
        return tuple(name for name, found in self.checks.items() if found != OK)


class Readiness:
    """Looks, and remembers for a second what it saw."""

    def __init__(
        self,
        store: WatchedStore,
        free_bytes: Callable[[], int],
        least_free: int,
        seconds: Callable[[], float],
    ) -> None:
        self._store = store
        self._free_bytes = free_bytes
        self._least_free = least_free
        #: A clock that only goes forward.
        self._seconds = seconds
        self._is_ending = False
        self._probing = Patient[Condition](_PATIENCE_SECONDS)
        self._seen = Remembered(self._look, _GOOD_FOR_SECONDS, seconds)
        self._was_ready = True
        #: How long the last write took, as far as it was waited for.
        self.write_seconds = 0.0

    def end(self) -> None:
        """Be ready no more, from the next question on."""
        self._is_ending = True

    async def report(self) -> Report:
        """Say how things are now, or were less than a second ago. Answers within little more than a second."""
        report = Report({"serving": "ending" if self._is_ending else OK, **await self._seen.get()})
        if report.is_ready != self._was_ready:
            self._was_ready = report.is_ready
            _log.warning("server.readiness_changed", is_ready=report.is_ready, checks=dict(report.checks))
        return report

    async def _look(self) -> dict[str, str]:
        return {**await self._of_store(), "disk": self._of_disk()}

    async def _of_store(self) -> dict[str, str]:
        began = self._seconds()
        try:
            condition = await self._probing.ask(self._store.probe)
        except StillAsking:
            return {"database": "takes no write within a second"}
        except Unavailable:
            return {"database": "takes no write"}
        except Exception:  # noqa: BLE001 - whatever it is, there is no readiness with it
            _log.exception("server.probe_failed")
            return {"database": "takes no write"}
        finally:
            self.write_seconds = self._seconds() - began
        return {
            "database": OK,
            "schema": OK if condition.has_schema else "does not serve this version",
            "key": OK if condition.has_key else "does not open what it seals",
        }

    def _of_disk(self) -> str:
        try:
            has_room = self._free_bytes() >= self._least_free
        except OSError:
            return "cannot be looked at"
        return OK if has_room else "has no room"
