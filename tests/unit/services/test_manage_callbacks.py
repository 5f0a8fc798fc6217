"""Looking at callbacks, sending them again, switching targets, and what callbacks are signed with."""

import base64
from datetime import timedelta

import pytest

from pikarelay.errors import InvalidValue, JobNotFound
from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import CallbackFilter, CallbackState
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.manage_callbacks import OLD_SECRET_LIVES, CallbackOffice
from tests.factories import a_caller, a_press, a_running_job
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

CLOSED = "https://inside.example:443"


class FakeGuard:
    """Closes one target."""

    async def refusal(self, url: str) -> str | None:
        return "target address is not public" if url == CLOSED else None


@pytest.fixture
def office(relay: FakeRelay) -> CallbackOffice:
    numbers = iter(range(99))
    return CallbackOffice(
        relay.store,
        FakeGuard(),
        relay.clock,
        relay.ids,
        lambda size: bytes([next(numbers)]) * size,
        relay.board.callback_due.set,
    )


async def dead(relay: FakeRelay, *job_ids: str, host: str = "hook.example") -> None:
    """End jobs whose callbacks nobody took."""
    for job_id in job_ids:
        relay.store.jobs[job_id] = a_running_job(
            job_id, reply_url=f"https://{host}/x?key=k", press=a_press(nonce=job_id)
        )
        await relay.recorder.record(job_id, Cancelled())
        kept = relay.store.callbacks[job_id]
        kept.due, kept.state, kept.error = None, CallbackState.DEAD, "connect"
    await relay.store.put_health(f"https://{host}:443", Health())
    relay.board.callback_due.clear()


async def test_show(relay: FakeRelay, office: CallbackOffice) -> None:
    """A callback is shown to its job's owner and to the operator; to others it is as if there were none."""
    await dead(relay, "job-1")
    record, target, log = await office.show("job-1", "caller-1")

    assert ("job-1", "connect", ()) == (record.job_id, record.error, log)
    assert target is not None
    assert "https://hook.example:443" == record.target == target.target
    assert (record, target, log) == await office.show("job-1")
    for job_id, caller in (("job-1", "caller-2"), ("none", "caller-1")):
        with pytest.raises(JobNotFound):
            await office.show(job_id, caller)


async def test_replay_of_one(relay: FakeRelay, office: CallbackOffice) -> None:
    """A replayed callback is due at once, and the dispatcher is woken."""
    await dead(relay, "job-1")
    await office.replay("job-1", "caller-1")

    assert START == await relay.store.next_callback()
    assert relay.board.callback_due.is_set()


async def test_replay_of_anothers(relay: FakeRelay, office: CallbackOffice) -> None:
    """Nobody replays another caller's callback."""
    await dead(relay, "job-1")

    with pytest.raises(JobNotFound):
        await office.replay("job-1", "caller-2")
    assert await relay.store.next_callback() is None


@pytest.mark.parametrize("why", ["target address is not public", "target is switched off by the operator"])
async def test_refused_replays(relay: FakeRelay, office: CallbackOffice, why: str) -> None:
    """Where nothing may be sent nothing is made due, and the reason is told, for one as for many."""
    host = "inside.example" if "public" in why else "off.example"
    await dead(relay, "job-1", "job-2", host=host)
    if "operator" in why:
        await office.switch("https://off.example:443", on=False)
    replay = await office.replay_dead(CallbackFilter(caller_id="caller-1"))

    assert ((), {f"https://{host}:443": why}) == (replay.replayed, replay.refused)
    with pytest.raises(InvalidValue, match=f"callback is not sent: {why}"):
        await office.replay("job-1")
    assert await relay.store.next_callback() is None


async def test_replay_of_many(relay: FakeRelay, office: CallbackOffice) -> None:
    """All dead letters that are meant are due again, more than one transaction holds included."""
    many = [f"job-{number}" for number in range(1200)]
    await dead(relay, *many)
    await dead(relay, "other", host="other.example")
    replay = await office.replay_dead(CallbackFilter(target="https://hook.example:443"))

    assert set(many) == set(replay.replayed)
    assert len(many) == len(replay.replayed)
    assert {} == replay.refused
    left = await office.undelivered(CallbackFilter(state=CallbackState.DEAD), 10)
    assert ["other"] == [record.job_id for record in left]


async def test_switch(relay: FakeRelay, office: CallbackOffice) -> None:
    """A target that is switched on begins anew; one that nobody knows cannot be switched."""
    await dead(relay, "job-1")
    await office.switch("https://hook.example:443", on=False)
    (off,) = await office.targets(10)
    await office.switch("https://hook.example:443", on=True)
    (on,) = await office.targets(10)

    assert (START, True) == (off.health.disabled, off.health.is_held)
    assert Health() == on.health
    with pytest.raises(InvalidValue, match="there is no target"):
        await office.switch("https://nowhere.example:443", on=True)


async def test_secrets(relay: FakeRelay, office: CallbackOffice) -> None:
    """A new secret has 32 random bytes, the old one lives a day beside it, and both can be taken away."""
    old = await office.rotate_secret(a_caller())
    await relay.clock.advance(timedelta(hours=1))
    new = await office.rotate_secret(a_caller())
    both = [kept.secret.reveal() for kept in await office.secrets(a_caller())]
    await relay.clock.advance(OLD_SECRET_LIVES)
    one = [kept.secret.reveal() for kept in await office.secrets(a_caller())]

    assert ([new, old], [new]) == (both, one)
    assert 32 == len(base64.b64decode(new.removeprefix("whsec_")))
    assert 2 == await office.remove_secrets(a_caller())
    assert () == await office.secrets(a_caller())
