"""
Logging: one JSON line an event on stderr, or coloured text for people.

Secrets travel as a type that prints masked; the scrubber here is the second net, for what a library or a header might
bring in. What a stranger sent may stand in a line and may not end it, nor steer the terminal that shows it. A traceback is
shown without the variables of its frames: those hold what must not be printed. Floor 4: only `cli` sets logging up.
"""

import contextlib
import logging
import sys
from collections.abc import Mapping
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
        structlog.processors.format_exc_info,
        _scrub_values,
        *((structlog.processors.JSONRenderer(),) if as_json else (_tame_values, _for_people())),
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
    logging.captureWarnings(True)
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


def _for_people() -> structlog.dev.ConsoleRenderer:
    # A traceback comes as text by then, and is printed as it is.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _scrub_values(_logger: object, _name: str, event: EventDict) -> EventDict:
    return {key: _scrubbed(value) for key, value in event.items()}


def _scrubbed(value: Any) -> Any:
    """Return a value as it may be written, whatever is inside it."""
    match value:
        case str():
            return scrub(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {scrub(str(key)): _scrubbed(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_scrubbed(inner) for inner in value]
        case _:
            # What the renderer would make of it.
            return scrub(repr(value))


def _tame_values(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Let no text end its line. JSON needs none of this: there every text is escaped."""
    tamed = {key: _on_one_line(value) if isinstance(value, str) else value for key, value in event.items()}
    if isinstance(traceback := event.get("exception"), str):
        # Set in, so that none of its lines can pass for the beginning of another event.
        tamed["exception"] = "\n".join("    " + _on_one_line(line) for line in traceback.splitlines())
    return tamed


def _on_one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
