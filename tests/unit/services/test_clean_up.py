"""What nobody is promised any more goes, and nothing else."""

from datetime import timedelta

from pikarelay.jobs.job import Status, Upload
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.clean_up import CleanUp
from pikarelay.services.ports import KEY_LIFETIME, CopyPlan
from pikarelay.services.prune_copies import CopyPruner
from tests.factories import a_job
from tests.fakes.mirror import FakeMirror
from tests.fakes.relay import FakeRelay

KEEP = timedelta(days=31)
MILLISECOND = timedelta(milliseconds=1)


def an_upload(key: str) -> Upload:
    return Upload(size=1, type="image/png", key=key)


async def clean_up(relay: FakeRelay) -> None:
    await CleanUp(
        relay.store, relay.uploads, relay.clock, KEEP, CopyPruner(relay.store, None, removes=True)
    )()


async def test_files_live_as_long_as_their_job(relay: FakeRelay) -> None:
    """With an old job go its files, in the same round; those of a younger one, and of an unfinished one, stay."""
    old = relay.clock.now() - KEEP - MILLISECOND
    relay.store.jobs = {
        "old": a_job(
            "old", status=Status.COMPLETED, updated=old, image=an_upload("a"), message_image=an_upload("b")
        ),
        "open": a_job("open", updated=old, image=an_upload("c")),
        "young": a_job("young", status=Status.FAILED, message_image=an_upload("d")),
    }
    relay.uploads.files = dict.fromkeys("abcd", b"x")
    await clean_up(relay)

    assert ["c", "d"] == list(relay.uploads.files)


async def test_young_files_are_left_alone(relay: FakeRelay) -> None:
    """A file without a job goes when it is an hour old: before, its job may be on its way."""
    hour = timedelta(hours=1)
    relay.uploads.files = dict.fromkeys(["young", "old"], b"x")
    relay.uploads.finished = {
        "young": relay.clock.now() - hour,
        "old": relay.clock.now() - hour - MILLISECOND,
    }
    await clean_up(relay)

    assert ["young"] == list(relay.uploads.files)


async def test_many_files(relay: FakeRelay) -> None:
    """Any number of files is looked through."""
    relay.uploads.files = {f"{n}": b"x" for n in range(1100)}
    relay.store.jobs = {"job": a_job("job", image=an_upload("700"))}
    await clean_up(relay)

    assert ["700"] == list(relay.uploads.files)


async def test_old_keys_are_forgotten(relay: FakeRelay) -> None:
    """Keys of requests are forgotten after a day, not before."""
    for name in ("first", "last"):
        job = a_job(name, created=relay.clock.now(), press=a_job(name).press)
        await relay.store.admit("caller-1", [], lambda _, job=job: job, RequestKey(text=name, digest=b"d"))  # type: ignore[misc]
        relay.store.jobs.clear()
        await relay.clock.advance(MILLISECOND)
    await relay.clock.advance(KEY_LIFETIME - MILLISECOND)
    await clean_up(relay)

    assert {("caller-1", "last")} == set(relay.store.keys)


async def test_copies_go_with_their_job(relay: FakeRelay) -> None:
    """With an old job go its copies, in the same round."""
    mirror = FakeMirror()
    mirror.files = {"a.mp4": b"x"}
    old = relay.clock.now() - KEEP - MILLISECOND
    relay.store.jobs = {"old": a_job("old", status=Status.COMPLETED, updated=old)}
    relay.store._plan(CopyPlan(names=("a.mp4",), due=old), "old")
    pruner = CopyPruner(relay.store, mirror, removes=True)
    await CleanUp(relay.store, relay.uploads, relay.clock, KEEP, pruner)()

    assert {} == mirror.files
    assert {} == relay.store.copies
