"""When links end, and what takes their place."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from pikarelay.jobs.job import Status
from pikarelay.jobs.links import LEAST_LEFT, end_of, stale_links, with_links
from tests.factories import VIDEO, a_parent

END = datetime(2026, 8, 2, 12, tzinfo=UTC)
STAMP = f"ex={int(END.timestamp()):x}&is=1&hm=2&"
URL = f"https://cdn.example.org/attachments/1/2/video.mp4?{STAMP}"
PROXY = f"https://media.example.org/attachments/1/2/video.mp4?a=b&{STAMP}"
NEW = "https://cdn.example.org/attachments/1/2/video.mp4?ex=7fffffff&is=3&hm=4&"
JOB = a_parent(attachments=(replace(VIDEO, url=URL, proxy_url=PROXY),))


@pytest.mark.parametrize(
    ("url", "end"),
    [
        (URL, END),
        (PROXY, END),
        ("https://cdn.example.org/video.mp4", None),
        ("https://cdn.example.org/video.mp4?ex=", None),
        ("https://cdn.example.org/video.mp4?ex=zz&is=1", None),
        ("https://cdn.example.org/video.mp4?ex=ffffffffffffffffffff", None),
        ("https://cdn.example.org/video.mp4?hex=64cd1a40", None),
        ("", None),
    ],
)
def test_end_of(url: str, end: datetime | None) -> None:
    """A link's end is read from it, and one that says none has none."""
    assert end == end_of(url)


def test_stale_ten_minutes_before_the_end() -> None:
    """Links are stale from ten minutes before their end on."""
    assert (URL, PROXY) == stale_links(JOB, END - LEAST_LEFT)
    assert () == stale_links(JOB, END - LEAST_LEFT - timedelta(seconds=1))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_other_jobs_give_out_no_links(status: Status) -> None:
    """Only a completed job shows attachments, so no other needs fresh ones."""
    assert () == stale_links(replace(JOB, status=status), END)


def test_links_are_exchanged() -> None:
    """A new link takes the old one's place, and nothing else of the job changes."""
    changed = with_links(JOB, {URL: NEW})

    assert (NEW, PROXY) == (changed.attachments[0].url, changed.attachments[0].proxy_url)
    assert JOB == with_links(changed, {NEW: URL})


@pytest.mark.parametrize("new", ["https://evil.example/video.mp4?ex=7fffffff", "http://[", ""])
def test_links_elsewhere_are_not_taken(new: str) -> None:
    """A link that leads to another place than the old one is not given to callers."""
    assert JOB == with_links(JOB, {URL: new})
