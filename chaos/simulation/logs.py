"""The services' log lines, which go into the world's book while a history runs."""

import logging
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from chaos.simulation.book import Book


@contextmanager
def into(book: Book, *, is_told: bool) -> Iterator[None]:
    """Note errors as defects; and every line, when the history is to be told."""

    def take(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        what = event.pop("event")
        if method in {"error", "critical", "exception"}:
            book.defects.append(f"{what} {event} {traceback.format_exc(limit=-3)}")
        if is_told:
            book.note("log", "{}", f"{what} {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.DEBUG if is_told else logging.ERROR
    structlog.configure(
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
