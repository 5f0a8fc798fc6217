"""A link to a copy leads to the file, whatever has become of the copy."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from pikarelay.errors import DiscordUnavailable, RouteNotFound, Unavailable
from pikarelay.jobs.mirror import CopyState, KeptCopy
from pikarelay.services.find_file import PATIENCE, FileElsewhere, FileFinder, FileHere
from pikarelay.services.ports import CopyOutcome, CopyPlan
from pikarelay.services.refresh_links import LinkRefresher
from tests.factories import a_file, a_parent
from tests.fakes.clock import START, settle
from tests.fakes.mirror import FakeMirror
from tests.fakes.relay import FakeRelay

LEASE = timedelta(seconds=15)
NAME = "a.mp4"
KEPT = KeptCopy(mirror="fake:1", size=7, media_type="video/mp4")


def link(ends_in: timedelta) -> str:
    return f"https://cdn.example.org/1/video.mp4?ex={int((START + ends_in).timestamp()):x}&is=1&hm=2&"


FRESH = link(timedelta(days=1))


@pytest.fixture
def mirror() -> FakeMirror:
    return FakeMirror()


@pytest.fixture(autouse=True)
def _job(relay: FakeRelay) -> None:
    complete(relay, FRESH)
    relay.store._plan(CopyPlan(names=(NAME,), due=START), "parent")


def complete(relay: FakeRelay, url: str) -> None:
    relay.store.jobs["parent"] = a_parent(attachments=(a_file(url=url, proxy_url=url, copy_name=NAME),))


def a_finder(relay: FakeRelay, mirror: FakeMirror | None) -> FileFinder:
    links = LinkRefresher(relay.store, relay.discord, relay.clock)
    return FileFinder(relay.store, links, mirror, relay.board, relay.clock)


@pytest.fixture
def finder(relay: FakeRelay, mirror: FakeMirror) -> FileFinder:
    return a_finder(relay, mirror)


async def tried(relay: FakeRelay, outcome: CopyOutcome) -> None:
    (copy,) = await relay.store.claim_copies(relay.clock.now(), LEASE, 1)
    await relay.store.finish_copy(NAME, copy.attempt, outcome)
    relay.board.copy_tried(NAME)


async def copied(relay: FakeRelay, mirror: FakeMirror) -> None:
    mirror.files[NAME] = b"a video"
    await tried(relay, CopyOutcome(kept=KEPT))


async def test_copy_on_this_machine(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror) -> None:
    """A copy in a folder is the file itself, with its own type."""
    await copied(relay, mirror)

    assert FileHere(Path("/mirror/a.mp4"), "video/mp4") == await finder.find(NAME, "GET")
    assert [] == relay.discord.refreshed


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_copy_elsewhere(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror, method: str) -> None:
    """A copy in a bucket is a link that is good for the same method."""
    mirror.links = True
    await copied(relay, mirror)

    assert FileElsewhere(f"https://bucket.example/a.mp4?for={method}") == await finder.find(NAME, method)


async def test_unknown_name(finder: FileFinder) -> None:
    """A name that nobody was given is not found."""
    with pytest.raises(RouteNotFound):
        await finder.find("b.mp4", "GET")


async def test_waits_for_the_try_under_way(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror) -> None:
    """Whoever comes before the copy is there gets it as soon as it is, and no later."""
    asking = asyncio.ensure_future(finder.find(NAME, "GET"))
    await settle()
    assert not asking.done()
    await copied(relay, mirror)

    assert FileHere(Path("/mirror/a.mp4"), "video/mp4") == await asking
    assert START == relay.clock.now()


async def test_waits_no_longer_than_that(relay: FakeRelay, finder: FileFinder) -> None:
    """When the copy takes its time, Discord's own link is given out."""
    asking = asyncio.ensure_future(finder.find(NAME, "GET"))
    await relay.clock.advance(PATIENCE)

    assert FileElsewhere(FRESH) == await asking
    assert 0 == relay.clock.sleepers


@pytest.mark.parametrize(
    "outcome",
    [CopyOutcome(retry_at=START + timedelta(hours=1), error="no"), CopyOutcome(error="too large")],
    ids=["tried again", "failed"],
)
async def test_no_wait_for_a_mirror_that_is_away(
    relay: FakeRelay, finder: FileFinder, outcome: CopyOutcome
) -> None:
    """While no try is under way nobody waits for one: Discord's link is given out at once."""
    await tried(relay, outcome)

    assert FileElsewhere(FRESH) == await finder.find(NAME, "GET")


async def test_failing_try_ends_the_wait(relay: FakeRelay, finder: FileFinder) -> None:
    """Whoever waited for a try that failed is not kept any longer."""
    asking = asyncio.ensure_future(finder.find(NAME, "GET"))
    await settle()
    await tried(relay, CopyOutcome(error="no"))

    assert FileElsewhere(FRESH) == await asking
    assert START == relay.clock.now()


async def test_discords_link_is_renewed(relay: FakeRelay, finder: FileFinder) -> None:
    """Without a copy, a link that has ended is exchanged for a fresh one."""
    ended = link(-timedelta(days=3))
    complete(relay, ended)
    relay.discord.fresh_links = {ended: FRESH}
    await tried(relay, CopyOutcome(error="no"))

    assert FileElsewhere(FRESH) == await finder.find(NAME, "GET")


async def refuse() -> None:
    raise DiscordUnavailable("Discord is away", may_have_happened=False)


async def test_no_dead_link(relay: FakeRelay, finder: FileFinder) -> None:
    """When there is no copy and Discord renews nothing, the request is put off: a link that has ended is no answer."""
    complete(relay, link(timedelta()))
    relay.discord.refreshing = refuse
    await tried(relay, CopyOutcome(error="no"))
    with pytest.raises(Unavailable):
        await finder.find(NAME, "GET")


async def test_last_seconds_of_a_link(relay: FakeRelay, finder: FileFinder) -> None:
    """A link that cannot be renewed is given out for as long as it is good."""
    ending = link(timedelta(seconds=1))
    complete(relay, ending)
    relay.discord.refreshing = refuse
    await tried(relay, CopyOutcome(error="no"))

    assert FileElsewhere(ending) == await finder.find(NAME, "GET")


async def test_without_a_mirror(relay: FakeRelay, mirror: FakeMirror) -> None:
    """When the mirror is switched off, the links that it gave out lead to Discord, made copies and waiting ones alike."""
    finder = a_finder(relay, None)
    assert FileElsewhere(FRESH) == await finder.find(NAME, "GET")
    await copied(relay, mirror)

    assert FileElsewhere(FRESH) == await finder.find(NAME, "GET")


async def test_another_mirror(relay: FakeRelay, mirror: FakeMirror) -> None:
    """A copy that another mirror holds is not looked for in this one."""
    await copied(relay, mirror)
    other = FakeMirror("fake:2")
    other.files = mirror.files

    assert FileElsewhere(FRESH) == await a_finder(relay, other).find(NAME, "GET")


async def test_file_has_vanished(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror) -> None:
    """A copy that somebody removed from the mirror by hand leads to Discord again."""
    await copied(relay, mirror)
    mirror.files.clear()

    assert FileElsewhere(FRESH) == await finder.find(NAME, "GET")


async def test_copy_outlives_its_job(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror) -> None:
    """A copy that is kept beyond its job can be read as before; one that never was made is not found."""
    await copied(relay, mirror)
    relay.store._forget("parent")

    assert isinstance(await finder.find(NAME, "GET"), FileHere)
    mirror.files.clear()
    with pytest.raises(RouteNotFound):
        await finder.find(NAME, "GET")


async def test_many_wait_for_one(relay: FakeRelay, finder: FileFinder, mirror: FakeMirror) -> None:
    """All who wait for a copy get it, and nothing is remembered of them."""
    asking = [asyncio.ensure_future(finder.find(NAME, "GET")) for _ in range(5)]
    await settle()
    asking[0].cancel()
    await settle()
    await copied(relay, mirror)
    found = await asyncio.gather(*asking[1:])

    assert [FileHere(Path("/mirror/a.mp4"), "video/mp4")] * 4 == found
    assert {} == relay.board._copies
    assert CopyState.DONE is relay.store.copies[NAME].state
