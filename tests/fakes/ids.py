"""Ids that can be foretold."""

from itertools import count


class FakeIds:
    """An `Ids`: job-1, job-2, …; cb-1, cb-2, …; file1, file2, …; and nonces from 9001 on."""

    def __init__(self) -> None:
        self._jobs = count(1)
        self._callbacks = count(1)
        self._files = count(1)
        self._nonces = count(9001)

    def job_id(self) -> str:
        return f"job-{next(self._jobs)}"

    def callback_id(self) -> str:
        return f"cb-{next(self._callbacks)}"

    def file_id(self) -> str:
        return f"file{next(self._files)}"

    def nonce(self) -> str:
        return str(next(self._nonces))
