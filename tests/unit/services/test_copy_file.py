"""One try to copy a result, and what follows from it."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.jobs.job import Status
from pikarelay.jobs.mirror import GIVE_UP_AFTER, SHORTEST_WAIT, CopyRecord, CopyState, KeptCopy
from pikarelay.services.copy_file import FileCopier
from pikarelay.services.ports import CopyFailed, CopyPlan
from pikarelay.services.refresh_links import LinkRefresher
from tests.factories import VIDEO, a_file, a_parent
from tests.fakes.clock import START, settle
from tests.fakes.mirror import FakeMirror, FakeSource
from tests.fakes.relay import FakeRelay

LEASE = timedelta(seconds=15)


@pytest.fixture
def source() -> FakeSource:
    source = FakeSource()
    source.files[VIDEO.url] = b"a video"
    return source


@pytest.fixture
def mirror() -> FakeMirror:
    return FakeMirror()


@pytest.fixture(autouse=True)
def _job(relay: FakeRelay) -> None:
    files = (
        a_file(copy_name="a.mp4"),
        a_file(url="https://cdn.example.org/2/still.png", copy_name="a-1.png"),
    )
    relay.store.jobs["parent"] = a_parent(status=Status.COMPLETED, attachments=files)
    relay.store._plan(CopyPlan(names=("a.mp4", "a-1.png"), due=START), "parent")


def a_copier(relay: FakeRelay, source: FakeSource, mirror: FakeMirror, seconds: float = 10.0) -> FileCopier:
    links = LinkRefresher(relay.store, relay.discord, relay.clock)
    return FileCopier(
        relay.store, links, source, mirror, relay.board, relay.clock, lambda: 0.5, total_seconds=seconds
    )


@pytest.fixture
def copier(relay: FakeRelay, source: FakeSource, mirror: FakeMirror) -> FileCopier:
    return a_copier(relay, source, mirror)


async def a_try(relay: FakeRelay, copier: FileCopier, name: str = "a.mp4") -> CopyRecord:
    """Claim what is due, try this one, and return how it stands then."""
    claimed = await relay.store.claim_copies(relay.clock.now(), LEASE, 10)
    await copier.copy(next(copy for copy in claimed if copy.name == name))
    return relay.store.copies[name]


async def test_copied(relay: FakeRelay, copier: FileCopier, mirror: FakeMirror) -> None:
    """The file is in the mirror under its name, and the store knows where and how large it is."""
    copy = await a_try(relay, copier)

    assert {"a.mp4": b"a video"} == mirror.files
    assert CopyState.DONE is copy.state
    assert KeptCopy(mirror="fake:1", size=7, media_type="video/mp4") == copy.kept
    assert (None, None) == (copy.due, copy.error)


async def test_each_file_has_its_own_link(relay: FakeRelay, copier: FileCopier, source: FakeSource) -> None:
    """The second copy is of the second file."""
    await a_try(relay, copier, "a-1.png")

    assert ["https://cdn.example.org/2/still.png"] == source.asked


async def test_waiters_are_woken(relay: FakeRelay, copier: FileCopier) -> None:
    """Whoever waits for the copy is woken when the store knows of it."""
    with relay.board.watch_copy("a.mp4") as tried:
        await a_try(relay, copier)

        assert tried.is_set()


async def test_links_that_end_are_renewed_first(
    relay: FakeRelay, copier: FileCopier, source: FakeSource
) -> None:
    """A copy that could not be made for days is made from a fresh link."""
    old, new = (
        f"https://cdn.example.org/1/video.mp4?ex={int((START + age).timestamp()):x}&is=1&hm=2&"
        for age in (-timedelta(days=1), timedelta(days=1))
    )
    relay.store.jobs["parent"] = a_parent(attachments=(a_file(url=old, proxy_url=old, copy_name="a.mp4"),))
    relay.discord.fresh_links = {old: new}
    source.files = {new: b"a video"}
    copy = await a_try(relay, copier)

    assert [new] == source.asked
    assert CopyState.DONE is copy.state


@pytest.mark.parametrize("side", ["source", "middle", "mirror"])
async def test_tried_again(
    relay: FakeRelay, copier: FileCopier, source: FakeSource, mirror: FakeMirror, side: str
) -> None:
    """Whatever side fails, the copy waits for its next try with the reason, and nothing of it is kept."""
    failure = CopyFailed("The bucket is away.")
    match side:
        case "source":
            source.files.clear()
        case "middle":
            source.breaks = failure
        case "mirror":
            mirror.out_of_order = failure
    copy = await a_try(relay, copier)

    assert (CopyState.WAITING, START + SHORTEST_WAIT) == (copy.state, copy.due)
    assert copy.error == ("Discord's CDN answered HTTP status 404." if side == "source" else str(failure))
    assert {} == mirror.files
    assert 0 == source.open_now


async def test_deadline(relay: FakeRelay, source: FakeSource, mirror: FakeMirror) -> None:
    """A try that takes too long ends, and lets go of the file; another one follows."""
    mirror.flows.clear()
    copy = await a_try(relay, a_copier(relay, source, mirror, seconds=0.01))

    assert "It was not done within 0.01 seconds." == copy.error
    assert CopyState.WAITING is copy.state
    assert 0 == source.open_now


async def test_given_up_after_a_week(relay: FakeRelay, copier: FileCopier, mirror: FakeMirror) -> None:
    """What could not be copied for a week has failed."""
    mirror.out_of_order = CopyFailed("The bucket is away.")
    await relay.clock.advance(GIVE_UP_AFTER)
    copy = await a_try(relay, copier)

    assert (CopyState.FAILED, None, "The bucket is away.") == (copy.state, copy.due, copy.error)


async def test_no_use_in_trying(relay: FakeRelay, copier: FileCopier, mirror: FakeMirror) -> None:
    """What can never be copied fails at once."""
    mirror.out_of_order = CopyFailed("It is too large.", is_final=True)
    copy = await a_try(relay, copier)

    assert (CopyState.FAILED, "It is too large.") == (copy.state, copy.error)


async def test_job_is_gone(relay: FakeRelay, copier: FileCopier, source: FakeSource) -> None:
    """A copy whose job was pruned meanwhile is not made."""
    relay.store._forget("parent")
    copy = await a_try(relay, copier)

    assert (CopyState.FAILED, []) == (copy.state, source.asked)


async def test_another_try_has_taken_over(relay: FakeRelay, copier: FileCopier, mirror: FakeMirror) -> None:
    """A try that outlived its claim decides nothing."""
    (first, _) = sorted(
        await relay.store.claim_copies(relay.clock.now(), LEASE, 10), key=lambda copy: copy.number
    )
    await relay.clock.advance(LEASE)
    await relay.store.claim_copies(relay.clock.now(), LEASE, 10)
    mirror.out_of_order = CopyFailed("no", is_final=True)
    await copier.copy(first)

    assert CopyState.WAITING is relay.store.copies["a.mp4"].state


async def test_cancelled(
    relay: FakeRelay, copier: FileCopier, source: FakeSource, mirror: FakeMirror
) -> None:
    """A try that is cancelled lets go of the file, and leaves its claim to run out."""
    mirror.flows.clear()
    trying = asyncio.ensure_future(a_try(relay, copier))
    await settle()
    trying.cancel()
    await settle()

    assert 0 == source.open_now
    assert (CopyState.WAITING, START + LEASE) == (
        relay.store.copies["a.mp4"].state,
        relay.store.copies["a.mp4"].due,
    )
