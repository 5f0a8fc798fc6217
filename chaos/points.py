"""
Durable steps of a server, seen from outside: every statement that writes, every commit, press, callback and uploaded file.

Nothing in the server marks them. The child process wraps what the steps go through (the SQLite connection, the account's
`interact`, the callback sender, the HTTP answer) and counts. A step's name is appended to a file before it is taken, so
that the file of a killed process ends with the step that it died at.
"""

import os
import signal
import sqlite3
from collections import Counter as TallyCounter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

#: Statements that are no step of their own: they read, or mark where a transaction begins.
_NOT_DURABLE = ("SELECT", "PRAGMA", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "WITH RECURSIVE")


class Counter:
    """Counts steps by name, over all threads of the process, and ends it at one of them."""

    def __init__(self, points: str, at: Sequence[Any] | None, after: str | None) -> None:
        self._file = os.open(points, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._at = None if at is None else (str(at[0]), int(at[1]))
        self._after = after
        self._counts: TallyCounter[str] = TallyCounter()

    def reach(self, name: str) -> None:
        if self._after is not None:
            if not os.path.exists(self._after):  # noqa: PTH110  # called at every step
                return
            self._after = None
        self._counts[name] += 1
        os.write(self._file, f"{name}\n".encode())
        if (name, self._counts[name]) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(points: str, at: Sequence[Any] | None = None, after: str | None = None) -> None:
    """
    Count from now on, or from when the file `after` is there; at step `at`, a name and which step of that name it is,
    the process dies as it stands. A number alone would not do: what runs side by side takes its steps in any order.

    Without `at` it only counts.
    """
    counter = Counter(points, at, after)
    _wrap_sqlite(counter.reach)
    _wrap_press(counter.reach)
    _wrap_callback(counter.reach)
    _wrap_answer(counter.reach)
    _wrap_upload(counter.reach)


def _wrap_sqlite(reach: Callable[[str], None]) -> None:
    class Counted(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            words = sql.split(maxsplit=3)
            if words[0] == "COMMIT":
                reach("before COMMIT")
                done = super().execute(sql, *parameters)
                reach("after COMMIT")
                return done
            if not sql.lstrip().startswith(_NOT_DURABLE):
                reach(f"before {_named(sql)}")
            return super().execute(sql, *parameters)

    setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Counted))


def _named(sql: str) -> str:
    words = sql.replace("(", " ").split()
    target = {"INSERT": 2, "DELETE": 2, "UPDATE": 1}.get(words[0])
    return words[0] if target is None else f"{words[0]} {words[target]}"


def _around(name: str, method: Any, reach: Callable[[str], None]) -> Any:
    async def counted(*args: Any, **kwargs: Any) -> Any:
        reach(f"before {name}")
        try:
            return await method(*args, **kwargs)
        finally:
            reach(f"after {name}")

    return counted


def _wrap_press(reach: Callable[[str], None]) -> None:
    from pikarelay.discord.client.rest import Rest

    setattr(Rest, "interact", _around("press", Rest.interact, reach))


def _wrap_callback(reach: Callable[[str], None]) -> None:
    from pikarelay.callbacks.sender import HttpCallbackSender

    setattr(HttpCallbackSender, "send", _around("callback", HttpCallbackSender.send, reach))


def _wrap_upload(reach: Callable[[str], None]) -> None:
    from pikarelay.store.files import FileSink

    def around(name: str, method: Any) -> Any:
        def counted(*args: Any) -> Any:
            reach(f"before {name}")
            method(*args)
            reach(f"after {name}")

        return counted

    setattr(FileSink, "_write", around("upload write", FileSink._write))
    setattr(FileSink, "_publish", around("upload publish", FileSink._publish))


def _wrap_answer(reach: Callable[[str], None]) -> None:
    from pikarelay.services.board import Board

    close = Board.close_answer

    def counted(self: Board, job_id: str) -> None:
        reach("after answer")
        close(self, job_id)

    setattr(Board, "close_answer", counted)
