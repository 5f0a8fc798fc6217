"""How busy other programs keep the machine, for what is measured depends on them."""

import os
import resource
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class OthersBusy:
    """How many cores other programs keep busy, from its making on. Ours must have ended to be told from them."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._busy = _busy_seconds() - _own_seconds()

    def cores(self) -> float:
        others = _busy_seconds() - _own_seconds() - self._busy
        return max(0.0, others / (time.monotonic() - self._begin))


def _busy_seconds() -> float:
    """Return the time that all cores together have worked since the machine started."""
    user, nice, system, _idle, _waiting, irq, soft_irq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, soft_irq))) / _TICKS


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
