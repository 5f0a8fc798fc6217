"""
Discord's links to attachments, which end after a day. Pure.

A link says itself when it ends: `ex` in its query is a time in seconds, hexadecimal (Discord's documentation, as of
2026-08). One without is taken to last.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from pikarelay.jobs.job import Attachment, Job, Status

#: A link that ends sooner is of no use to somebody who has just been given it.
LEAST_LEFT = timedelta(minutes=10)


def end_of(url: str) -> datetime | None:
    """Return when a link ends. None when it does not say."""
    # By hand: every poll of a finished job comes through here, and parsing a URL takes ten times as long.
    for mark in ("?ex=", "&ex="):
        start = url.find(mark)
        if start >= 0:
            text = url[start + len(mark) :].partition("&")[0]
            try:
                return datetime.fromtimestamp(int(text, 16), UTC)
            except (ValueError, OverflowError, OSError):
                return None
    return None


def stale_links(job: Job, now: datetime) -> tuple[str, ...]:
    """Return the links that a completed job gives out and that end about now; none of any other job."""
    if job.status is not Status.COMPLETED:
        return ()
    return tuple(
        url
        for attachment in job.attachments
        for url in (attachment.url, attachment.proxy_url)
        if (end := end_of(url)) is not None and end - now <= LEAST_LEFT
    )


def with_links(job: Job, fresh: Mapping[str, str]) -> Job:
    """Return the job with its links exchanged, old to new; a new one that leads elsewhere is not taken."""
    taken = {old: new for old, new in fresh.items() if _place(old) == _place(new)}

    def exchanged(attachment: Attachment) -> Attachment:
        return msgspec.structs.replace(
            attachment,
            url=taken.get(attachment.url, attachment.url),
            proxy_url=taken.get(attachment.proxy_url, attachment.proxy_url),
        )

    return msgspec.structs.replace(job, attachments=tuple(map(exchanged, job.attachments)))


def _place(url: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.scheme, parts.netloc, parts.path
