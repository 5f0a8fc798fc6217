"""
Logging: one JSON line an event on stderr, or coloured text on a terminal.

Secrets travel as a type that prints masked; the scrubber here is the second net, for what a library or a header might
bring in. Floor 4: only `cli` sets logging up.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

#: Discord's token form, our own tokens, and whatever follows an Authorization.
_SECRETS = re.compile(
    r"(?:mfa\.[\w-]{20,}|[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}|pkr_[0-9A-Za-z]{20,}|(?<=Bearer )[^\s\"']+)"
)
_SCRUBBED = "…secured…"


def scrub(text: str) -> str:
    """Return the text without anything that looks like a secret."""
    return _SECRETS.sub(_SCRUBBED, text)


def set_up(*, level: str, as_json: bool) -> None:
    """Send structlog's and the standard library's records down one pipe."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info if as_json else _keep,
        _scrub_values,
        renderer,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It tells of every connection; what we want to know of requests we log ourselves.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, root.level))
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _keep(_logger: object, _name: str, event: EventDict) -> EventDict:
    return event


def _scrub_values(_logger: object, _name: str, event: EventDict) -> EventDict:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in event.items()}
