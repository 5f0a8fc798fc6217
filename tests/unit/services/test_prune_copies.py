"""Copies go when their job has gone."""

import pytest
from msgspec.structs import replace

from pikarelay.jobs.mirror import KeptCopy
from pikarelay.services.ports import CopyFailed, CopyOutcome, CopyPlan
from pikarelay.services.prune_copies import CopyPruner
from tests.fakes.clock import START
from tests.fakes.mirror import FakeMirror
from tests.fakes.relay import FakeRelay


@pytest.fixture
def mirror() -> FakeMirror:
    return FakeMirror()


async def abandon(relay: FakeRelay, mirror: FakeMirror, *, done: int, undone: int = 0) -> None:
    """Add copies whose jobs are gone, made and not, and one whose job is there."""
    names = [f"done{n}.mp4" for n in range(done)] + [f"undone{n}.mp4" for n in range(undone)]
    relay.store._plan(CopyPlan(names=(*names, "live.mp4"), due=START), "parent")
    for name in (*names[:done], "live.mp4"):
        mirror.files[name] = b"x"
        kept = KeptCopy(mirror=mirror.name, size=1, media_type="video/mp4")
        await relay.store.finish_copy(name, 0, CopyOutcome(kept=kept))
    for name in names:
        relay.store.copies[name] = replace(relay.store.copies[name], job_id=None)


async def test_removed_and_forgotten(relay: FakeRelay, mirror: FakeMirror) -> None:
    """Any number of copies without a job leaves the mirror and the store; those of other jobs stay."""
    await abandon(relay, mirror, done=250, undone=3)

    assert 253 == await CopyPruner(relay.store, mirror, removes=True)()
    assert {"live.mp4"} == set(mirror.files) == set(relay.store.copies)


async def test_tidied(relay: FakeRelay, mirror: FakeMirror) -> None:
    """Each round also tidies the mirror, whatever else there is to do."""
    await CopyPruner(relay.store, mirror, removes=False)()

    assert 1 == mirror.tidied


async def test_kept_for_good(relay: FakeRelay, mirror: FakeMirror) -> None:
    """Where copies are to stay, they stay, and only those that will never be made are forgotten."""
    await abandon(relay, mirror, done=2, undone=2)
    await CopyPruner(relay.store, mirror, removes=False)()

    assert {"done0.mp4", "done1.mp4", "live.mp4"} == set(mirror.files) == set(relay.store.copies)


async def test_mirror_is_away(relay: FakeRelay, mirror: FakeMirror) -> None:
    """What cannot be removed now is remembered, and removed in a later round."""
    await abandon(relay, mirror, done=3)
    mirror.out_of_order = CopyFailed("The bucket is away.")
    pruner = CopyPruner(relay.store, mirror, removes=True)
    assert 0 == await pruner()
    assert 4 == len(relay.store.copies)
    mirror.out_of_order = None

    assert 3 == await pruner()
    assert {"live.mp4"} == set(mirror.files) == set(relay.store.copies)


async def test_mirror_is_off(relay: FakeRelay, mirror: FakeMirror) -> None:
    """Without a mirror, copies that were made are remembered until there is one again."""
    await abandon(relay, mirror, done=1, undone=1)

    assert 0 == await CopyPruner(relay.store, None, removes=True)()
    assert {"done0.mp4", "live.mp4"} == set(relay.store.copies)


async def test_another_mirror(relay: FakeRelay, mirror: FakeMirror) -> None:
    """What another mirror holds is forgotten and not looked for in this one."""
    await abandon(relay, mirror, done=1)
    other = FakeMirror("fake:2")
    other.files = {"done0.mp4": b"somebody else's"}

    assert 0 == await CopyPruner(relay.store, other, removes=True)()
    assert {"live.mp4"} == set(relay.store.copies)
    assert {"done0.mp4"} == set(other.files)
