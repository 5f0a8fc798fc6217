"""Callers: made, changed and removed."""

from datetime import UTC, datetime

import pytest

from pikarelay.jobs.job import Status
from pikarelay.services.configure_caller import (
    CallerBusy,
    CallerOffice,
    CallerTaken,
    CallerUnknown,
    Subscription,
)
from pikarelay.services.ports import ApiToken
from tests.factories import a_job, a_parent
from tests.fakes.clock import START, FakeClock
from tests.fakes.ids import FakeIds
from tests.fakes.store import FakeStore

LAST_DAY = datetime(2026, 12, 31, tzinfo=UTC)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def office(store: FakeStore) -> CallerOffice:
    return CallerOffice(store, FakeClock(), FakeIds())


async def test_added(store: FakeStore, office: CallerOffice) -> None:
    """A caller is kept as it was added, and found by its name."""
    added = await office.add("agency", Subscription(until=LAST_DAY), "https://example.com/")

    assert (True, LAST_DAY, "https://example.com/") == (
        added.has_subscription,
        added.subscribed_until,
        added.reply_url,
    )
    assert added == await office.named("agency")
    assert (added,) == await store.callers()


async def test_names_are_taken_once(store: FakeStore, office: CallerOffice) -> None:
    """A second caller of a name is refused by name, and the first one stays as it is."""
    first = await office.add("agency")

    with pytest.raises(CallerTaken, match="agency"):
        await office.add("agency", Subscription(is_there=False))
    assert (first,) == await store.callers()


async def test_only_the_default_is_made_on_demand(store: FakeStore, office: CallerOffice) -> None:
    """The default caller is made when it is first asked for, once; nobody else is."""
    one, other = await office.named(), await office.named()

    assert one == other
    with pytest.raises(CallerUnknown, match="agenci"):
        await office.named("agenci")
    assert (one,) == await store.callers()


async def test_subscription_and_address_are_changed_apart(store: FakeStore, office: CallerOffice) -> None:
    """What is changed of a caller leaves the rest as it was."""
    caller = await office.add("agency", reply_url="https://example.com/")

    ended = await office.subscribe(caller, Subscription(is_there=False))
    lasting = await office.subscribe(ended, Subscription(until=LAST_DAY))
    silent = await office.configure(lasting, None)

    assert (False, None, "https://example.com/") == (
        ended.has_subscription,
        ended.subscribed_until,
        ended.reply_url,
    )
    assert (True, LAST_DAY) == (lasting.has_subscription, lasting.subscribed_until)
    assert (LAST_DAY, None) == (silent.subscribed_until, silent.reply_url)
    assert (silent,) == await store.callers()


async def test_change_by_an_old_record(store: FakeStore, office: CallerOffice) -> None:
    """Who read a caller a while ago undoes nothing that others have changed since."""
    read = await office.add("agency")
    await office.subscribe(read, Subscription(is_there=False))
    addressed = await office.configure(read, "https://example.com/")
    subscribed = await office.subscribe(read, Subscription(until=LAST_DAY))

    assert (False, "https://example.com/") == (addressed.has_subscription, addressed.reply_url)
    assert (True, "https://example.com/") == (subscribed.has_subscription, subscribed.reply_url)
    assert (subscribed,) == await store.callers()


async def test_removed_caller_does_not_come_back(store: FakeStore, office: CallerOffice) -> None:
    """A change of a caller that was removed meanwhile is refused by its name, and leaves nobody."""
    read = await office.add("agency")
    await office.remove(read)

    with pytest.raises(CallerUnknown, match="agency"):
        await office.configure(read, "https://example.com/")
    with pytest.raises(CallerUnknown, match="agency"):
        await office.subscribe(read, Subscription())
    assert () == await store.callers()


async def test_removed(store: FakeStore, office: CallerOffice) -> None:
    """A removed caller takes its jobs along, however many, and leaves those of others."""
    caller = await office.add("agency")
    for number in range(250):
        job = a_parent(job_id=f"job-{number}", caller_id=caller.caller_id)
        store.jobs[job.job_id] = job
    store.jobs["theirs"] = a_parent(job_id="theirs", caller_id="somebody")

    assert 250 == await office.remove(caller)
    assert ["theirs"] == list(store.jobs)
    assert () == await store.callers()


async def test_busy_caller_is_not_removed(store: FakeStore, office: CallerOffice) -> None:
    """A caller with an executing job stays with all that it has, but gets no new jobs, and is removed once that one has ended."""
    caller = await office.add("agency")
    token = ApiToken(token_id="t1", caller_id=caller.caller_id, hint="pkr_", created=START)
    await store.add_api_token(token, b"d")
    store.jobs["job"] = a_job(job_id="job", caller_id=caller.caller_id, status=Status.PROGRESS)

    with pytest.raises(CallerBusy, match=r"agency .* its API tokens are revoked, .* still execute: job\."):
        await office.remove(caller)
    assert [START] == [its.revoked for its in await store.api_tokens()]
    assert (caller,) == await store.callers()
    store.jobs["job"] = a_parent(job_id="job", caller_id=caller.caller_id)
    assert 1 == await office.remove(caller)
    assert () == await store.callers()


async def test_job_of_a_request_under_way(office: CallerOffice, store: FakeStore) -> None:
    """A job that a request made, and gave up, while its caller was being removed is removed with the rest."""
    caller = await office.add("agency")
    remove = store.remove_caller

    async def late(caller_id: str) -> bool:
        store.jobs["late"] = a_parent(job_id="late", caller_id=caller_id)
        return await remove(caller_id)

    store.remove_caller = late  # type: ignore[method-assign]

    assert 1 == await office.remove(caller)
    assert {} == store.jobs


async def test_default_reply_url(store: FakeStore, office: CallerOffice) -> None:
    """The default address is kept with the caller, and None takes it away."""
    caller = await office.add("agency")

    changed = await office.configure(caller, "http://example.com/")
    removed = await office.configure(changed, None)

    assert "http://example.com/" == changed.reply_url
    assert None is removed.reply_url
    assert removed == store.kept_callers[caller.caller_id]
