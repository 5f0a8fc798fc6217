"""The `Retry-After` header: seconds, or a date. A hint from a stranger, so it is bounded, and ignored when odd."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(hours=10)

_SECONDS = re.compile(r"[0-9]+", re.ASCII)
#: More digits than any hint within bounds has.
_MANY_DIGITS = 9


def parse_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Return the wait, between none and `LONGEST`. None when there is no header, or no sense in it."""
    if text is None:
        return None
    stripped = text.strip()
    if _SECONDS.fullmatch(stripped):
        seconds = stripped.lstrip("0") or "0"
        return LONGEST if len(seconds) > _MANY_DIGITS else min(timedelta(seconds=int(seconds)), LONGEST)
    try:
        moment = parsedate_to_datetime(stripped)
        # RFC 9110 dates are in GMT; a date without a zone is read so.
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return min(max(aware - now, timedelta(0)), LONGEST)
    except (ValueError, OverflowError):
        return None
