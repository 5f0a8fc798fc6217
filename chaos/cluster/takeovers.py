"""How long the sessions of a worker that was struck were nobody's, by the local Discord's ledger."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from chaos.judge import Violation
from chaos.stage import Stage

_NS = 1_000_000_000
#: So long is waited for all sessions to be taken over.
_PATIENCE_SECONDS = 45.0
#: For each kind of strike: what is allowed of the median, and of the 99th percentile.
ALLOWED = {
    "kill": (3.0, 10.0),
    "unplugged": (20.0, 20.0),
    "parted from the database": (20.0, 20.0),
    "stopped": (20.0, 20.0),
}


class Takeovers:
    """Strikes, and when Discord saw each session's next owner."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen_to = stage._tail_from
        #: By kind of strike: seconds, one for each session.
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.missed: list[str] = []
        self.resumed = 0
        self.begun_anew = 0

    async def watch(self, kind: str, users: set[str], at: int, struck: str | None = None) -> None:
        """
        Return when all these users' sessions have been gone on with since `at`, or when that takes too long.

        `struck` is the address of whoever had them, if that is theirs alone: what they do themselves does not count.
        """
        left = set(users)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while left and time.monotonic() < deadline:
            for entry in await self._news():
                is_begun = entry["event"] in {"resumed", "identified"} and entry["monotonic_ns"] > at
                if is_begun and entry["user_id"] in left and entry["remote"] != struck:
                    left.discard(entry["user_id"])
                    self.seconds[kind].append((entry["monotonic_ns"] - at) / _NS)
                    self.resumed += entry["event"] == "resumed"
                    self.begun_anew += entry["event"] == "identified"
            await asyncio.sleep(0.2)
        self.missed += [f"{kind}: session of {user}" for user in sorted(left)]

    async def _news(self) -> list[dict[str, Any]]:
        page = await self._stage.upstream.ask("GET", f"/ledger?since={self._seen_to}&limit=5000")
        if page["entries"]:
            self._seen_to = page["entries"][-1]["seq"]
        entries: list[dict[str, Any]] = page["entries"]
        return entries

    def lines(self) -> list[str]:
        return [
            f"taken over, {kind}: {len(took)} sessions, median {statistics.median(took):.1f} s, "
            f"p99 {percentile(took, 99):.1f} s, most {max(took):.1f} s"
            for kind, took in sorted(self.seconds.items())
        ] + [f"{self.resumed} sessions resumed, {self.begun_anew} begun anew"]

    def judge(self, wanted: Collection[str]) -> list[Violation]:
        """Say where a takeover took longer than promised. Those of the kinds `wanted` must have been."""
        found = [Violation("takeover", each, "was never taken over") for each in self.missed]
        found += [Violation("takeover", kind, "none was seen") for kind in wanted if kind not in self.seconds]
        for kind, took in self.seconds.items():
            median, worst = ALLOWED[kind]
            if statistics.median(took) > median:
                found.append(
                    Violation("takeover", kind, f"median {statistics.median(took):.1f} s, {median} s allowed")
                )
            if percentile(took, 99) > worst:
                found.append(
                    Violation("takeover", kind, f"p99 {percentile(took, 99):.1f} s, {worst} s allowed")
                )
        return found


def percentile(values: list[float], of: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * of // 100)]
