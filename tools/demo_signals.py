"""The signals that ask the demo to stop become an exception, wherever it is."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds until the exception is raised again. Python drops what a handler raises inside a finaliser.
_AGAIN_SECONDS = 1


class StoppedError(Exception):
    """A signal asked us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


class _Asked:
    """What the handler shares with the rest: the first signal that came, and whether it has to wait."""

    number = 0
    deferred = False


def heed() -> None:
    """Raise `StoppedError` from now on when a signal asks for it. A hangup that `nohup` hides stays hidden."""
    signal.signal(signal.SIGALRM, _stop)
    for number in _ASKING:
        if not (number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, _stop)


def ignore() -> None:
    """Clean up undisturbed: one signal is enough, and an impatient second must not cut short what follows."""
    signal.alarm(0)
    for number in _ASKING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Raise nothing in here, only at the end: for starting a child, which nobody may lose between two lines."""
    _Asked.deferred = True
    try:
        yield
    finally:
        _Asked.deferred = False
    if _Asked.number:
        raise StoppedError(_Asked.number)


def _stop(number: int, _frame: object) -> None:
    _Asked.number = _Asked.number or number
    signal.alarm(_AGAIN_SECONDS)
    if not _Asked.deferred:
        raise StoppedError(_Asked.number)
