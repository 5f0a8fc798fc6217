"""
Logging: one JSON line an event on stderr, or coloured text on a terminal.

Secrets travel as a type that prints masked; the scrubber here is the second net, for what a library or a header might
bring in. Floor 4: only `cli` sets logging up.
"""

import contextlib
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

from pikarelay.jobs.secret import scrub


def set_up(*, level: str, as_json: bool) -> None:
    """
    Send structlog's and the standard library's records to stderr, alike.

    Ours do not take the way through `logging`: it costs twice the time, and every answer waits for a line or two.
    """
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [
        structlog.processors.format_exc_info if as_json else _keep,
        _scrub_values,
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It tells of every connection; what we want to know of requests we log ourselves.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, root.level))
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
    stream = sys.stderr
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=lambda name="pikarelay": _LineLogger(name, stream),
        cache_logger_on_first_use=True,
    )


class _LineLogger:
    """Writes lines that are finished. What cannot be written is lost: no job may fail for a full disk or a closed pipe."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def _keep(_logger: object, _name: str, event: EventDict) -> EventDict:
    return event


def _scrub_values(_logger: object, _name: str, event: EventDict) -> EventDict:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in event.items()}
