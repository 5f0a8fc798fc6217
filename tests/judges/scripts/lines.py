"""
How a judge talks to its test: orders come as JSON lines on standard input, reports leave on standard output.

Every order `{"id": n, "do": name, …}` is answered by `{"event": "done", "id": n, "result": …}` or by
`{"event": "error", "id": n, "error": …}`. All other reports come when they come. What the library logs from
warnings up is a report too. The end of standard input ends the judge.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Action = Callable[..., Awaitable[Any]]


def tell(event: str, **details: Any) -> None:
    """Report something."""
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


class Reporter(logging.Handler):
    """Reports what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        tell("log", level=record.levelname, logger=record.name, message=record.getMessage())


def report_logs() -> None:
    """Make every log record from warnings up a report, and nothing else."""
    logging.basicConfig(level=logging.WARNING, handlers=[Reporter()], force=True)


async def serve(actions: Mapping[str, Action]) -> None:
    """Carry out orders, one after the other, until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        order = json.loads(line)
        number, action = order.pop("id"), actions[order.pop("do")]
        try:
            tell("done", id=number, result=await action(**order))
        except Exception as error:  # noqa: BLE001 - whatever the library raises is the test's to judge
            tell("error", id=number, error=f"{type(error).__name__}: {error}")
