"""Links of finished jobs are exchanged before they end, when somebody asks."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pikarelay.errors import DiscordUnavailable, Unavailable
from pikarelay.jobs.job import Job
from pikarelay.services.refresh_links import AFTER_FAILURE, PATIENCE, LinkRefresher
from tests.factories import TOKEN, VIDEO, a_parent
from tests.fakes.clock import START, settle
from tests.fakes.relay import FakeRelay


def link(host: str, ends_in: timedelta) -> str:
    return f"https://{host}/1/video.mp4?ex={int((START + ends_in).timestamp()):x}&is=1&hm=2&"


OLD, OLD_PROXY = (link(host, timedelta(minutes=5)) for host in ("cdn.example.org", "media.example.org"))
NEW, NEW_PROXY = (link(host, timedelta(days=1)) for host in ("cdn.example.org", "media.example.org"))


@pytest.fixture
def job(relay: FakeRelay) -> Job:
    relay.discord.fresh_links = {OLD: NEW, OLD_PROXY: NEW_PROXY}
    job = a_parent(attachments=(replace(VIDEO, url=OLD, proxy_url=OLD_PROXY),))
    relay.store.jobs[job.job_id] = job
    return job


@pytest.fixture
def links(relay: FakeRelay) -> LinkRefresher:
    return LinkRefresher(relay.store, relay.discord, relay.clock)


def urls(job: Job) -> tuple[str, str]:
    return job.attachments[0].url, job.attachments[0].proxy_url


async def test_exchanged_and_kept(relay: FakeRelay, job: Job, links: LinkRefresher) -> None:
    """Stale links are exchanged in one request in the name of the job's account, kept, and not asked for again."""
    fresh = await links.fresh(job)
    again = await links.fresh(relay.job(job.job_id))

    assert (NEW, NEW_PROXY) == urls(fresh) == urls(again)
    assert fresh == relay.job(job.job_id)
    assert job.updated == fresh.updated
    assert [(TOKEN, (OLD, OLD_PROXY))] == relay.discord.refreshed


async def test_fresh_ones_cost_nothing(relay: FakeRelay, links: LinkRefresher) -> None:
    """A job whose links last is returned as it is, without a word to Discord or the store."""
    job = a_parent(attachments=(replace(VIDEO, url=NEW, proxy_url=NEW_PROXY),))

    assert job is await links.fresh(job)
    assert [] == relay.discord.refreshed
    assert 0 == relay.store.calls["change"]


async def test_many_ask_one_request(relay: FakeRelay, job: Job, links: LinkRefresher) -> None:
    """Of ten who ask for a job at once, one request results, and all get the new links."""
    found = await asyncio.gather(*(links.fresh(job) for _ in range(10)))

    assert {(NEW, NEW_PROXY)} == {urls(its) for its in found}
    assert 1 == len(relay.discord.refreshed)


async def refuse() -> None:
    raise DiscordUnavailable("Discord is away", may_have_happened=False)


async def test_failure_keeps_the_old_links(relay: FakeRelay, job: Job, links: LinkRefresher) -> None:
    """When Discord does not answer, the old links stay, and for a minute nobody asks again."""
    relay.discord.refreshing = refuse
    first = await links.fresh(job)
    second = await links.fresh(job)
    relay.discord.refreshing = None
    await relay.clock.advance(AFTER_FAILURE)
    third = await links.fresh(job)

    assert job == first == second
    assert (NEW, NEW_PROXY) == urls(third)
    assert 2 == len(relay.discord.refreshed)


async def test_unknown_links_stay(relay: FakeRelay, job: Job, links: LinkRefresher) -> None:
    """A link that Discord does not know is kept as it is, and asked for no more than once a minute."""
    relay.discord.fresh_links = {OLD: NEW}
    fresh = await links.fresh(job)
    await links.fresh(fresh)

    assert (NEW, OLD_PROXY) == urls(fresh)
    assert 1 == len(relay.discord.refreshed)


async def test_slow_discord_is_not_waited_for(relay: FakeRelay, job: Job, links: LinkRefresher) -> None:
    """Whoever asks gets the old links after five seconds; the new ones are kept when they come."""
    answered = asyncio.Event()
    relay.discord.refreshing = answered.wait
    asking = asyncio.ensure_future(links.fresh(job))
    await relay.clock.advance(PATIENCE)
    found = await asking
    answered.set()
    await settle()

    assert (OLD, OLD_PROXY) == urls(found)
    assert (NEW, NEW_PROXY) == urls(relay.job(job.job_id))


async def test_full_disk(
    relay: FakeRelay, job: Job, links: LinkRefresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing can be stored, the job is answered as it is."""

    async def change(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(relay.store, "change", change)

    assert job == await links.fresh(job)
