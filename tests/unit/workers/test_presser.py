"""The lanes: one channel's presses one after the other, and none lost, none twice."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from pikarelay.errors import DiscordRateLimited
from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.jobs.messages import InteractionFailed
from pikarelay.jobs.ownership import EVERYTHING, session_name
from pikarelay.jobs.secret import Secret
from pikarelay.workers.presser import Presser
from tests.factories import CHANNEL, TOKEN, a_job, a_message, a_press, a_result, a_running_job, snowflake
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

SECOND = timedelta(seconds=1)
OTHER = "1180000000000000002"


def put(relay: FakeRelay, job_id: str, **its: Any) -> Job:
    """Store a job with a prompt and a nonce of its own, and queue its press."""
    its = {"prompt": f"prompt {job_id}", "press": a_press(nonce=f"n-{job_id}")} | its
    job = relay.store.jobs[job_id] = a_job(job_id, **its)
    relay.presser.put(job)
    return job


async def test_one_unbound_press_at_a_time(relay: FakeRelay) -> None:
    """The next press leaves when the bot has answered the one before, and at once then."""
    for name in "abc":
        put(relay, name)
    await settle()
    assert ["n-a"] == relay.discord.nonces
    await relay.clock.advance(10 * SECOND)
    assert ["n-a"] == relay.discord.nonces
    await relay.say("a", a_message())
    await settle()

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_slow_bot(relay: FakeRelay) -> None:
    """After twenty seconds of silence the next press leaves."""
    put(relay, "a")
    put(relay, "b")
    await relay.clock.advance(20 * SECOND - timedelta(milliseconds=1))
    assert ["n-a"] == relay.discord.nonces
    await relay.clock.advance(timedelta(milliseconds=1))

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_unheard_ghost_is_looked_for(relay: FakeRelay) -> None:
    """What is left of a cancelled job, and not announced, holds up its likes until the channel's history was read."""
    ghost = relay.store.jobs["g"] = a_running_job("g", prompt="prompt a", status=Status.CANCELLED)
    put(relay, "a")
    await relay.clock.advance(60 * SECOND)
    assert [] == relay.discord.nonces
    await relay.history.catch_up([ghost])
    await relay.clock.advance(5 * SECOND)

    assert ["n-a"] == relay.discord.nonces


async def test_channels_do_not_wait_for_each_other(relay: FakeRelay) -> None:
    """Two channels press side by side."""
    put(relay, "a")
    put(relay, "b", channel=OTHER)
    await settle()

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_same_prompt_waits_for_the_result(relay: FakeRelay) -> None:
    """Until a bot's results identify their press, a second job with the prompt waits for the first one's result."""
    put(relay, "a", prompt="kite")
    put(relay, "b", prompt="kite")
    put(relay, "c", prompt="boat")
    await settle()
    await relay.say("a", a_message())
    await settle()
    assert ["n-a", "n-c"] == relay.discord.nonces
    await relay.say("c", a_message(id=a_message().id + "1"))
    await relay.say("a", a_result())
    await settle()

    assert ["n-a", "n-c", "n-b"] == relay.discord.nonces


async def test_identifying_bot_runs_the_same_prompt_side_by_side(relay: FakeRelay) -> None:
    """Once a result named its press, the same prompt runs as often as it is asked for."""
    put(relay, "a", prompt="kite")
    await settle()
    await relay.say("a", a_result())
    for number, name in enumerate("bc"):
        put(relay, name, prompt="kite")
        await settle()
        await relay.say(name, a_message(id=f"{a_message().id}{number}"))
    await settle()

    assert ["n-a", "n-b", "n-c"] == relay.discord.nonces
    assert [Status.STARTED] * 2 == [relay.job(name).status for name in "bc"]


async def test_lane_does_not_spin(relay: FakeRelay) -> None:
    """A lane whose way is not free asks the store every five seconds, not all the time."""
    put(relay, "a")
    put(relay, "b")
    await settle()
    before = relay.store.calls["sightings"]
    await relay.clock.advance(5 * SECOND - timedelta(milliseconds=1))
    await settle(500)
    assert before == relay.store.calls["sightings"]
    await relay.clock.advance(timedelta(milliseconds=1))
    await settle(500)

    assert before + 1 == relay.store.calls["sightings"]


@pytest.mark.parametrize("steps", range(25))
async def test_put_while_a_lane_ends_is_not_lost(relay: FakeRelay, steps: int) -> None:
    """Wherever in the life of a lane a press is put, it leaves."""
    put(relay, "a")
    for _ in range(steps):
        await asyncio.sleep(0)
    put(relay, "b", channel=CHANNEL)
    await relay.clock.advance(20 * SECOND)

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_retry_of_a_failed_interaction(relay: FakeRelay) -> None:
    """After a bot's silence the same button leaves again at once, and its video is its own, also where only the prompt says so."""
    relay.retry()
    await relay.clock.advance(SECOND)
    nonce = relay.job().press.nonce
    await relay.accept("job-1")
    await relay.see(InteractionFailed(nonce=nonce, interaction_id=f"1{nonce}", reason=2))
    relay.retry()
    await relay.clock.advance(SECOND)
    await relay.accept("job-2")
    for message in (a_message(id=snowflake(9 * SECOND)), a_result(id=snowflake(10 * SECOND))):
        await relay.see(message)

    assert 2 == len(relay.discord.presses)
    assert [Status.FAILED, Status.COMPLETED] == [relay.job(name).status for name in ("job-1", "job-2")]


async def test_store_failure_keeps_the_press(relay: FakeRelay) -> None:
    """While the store is out of order nothing leaves; when it is back, everything does, once."""
    relay.store.broken.add("sightings")
    put(relay, "a")
    await relay.clock.advance(3 * SECOND)
    assert [] == relay.discord.nonces
    relay.store.broken.clear()
    await relay.clock.advance(SECOND)

    assert ["n-a"] == relay.discord.nonces


async def test_store_failure_after_the_press_left(relay: FakeRelay) -> None:
    """When the answer cannot be written down, the press is not sent again, and the lane goes on."""

    async def break_it() -> None:
        relay.store.broken.add("change")

    relay.discord.answers.append(break_it)
    put(relay, "a")
    put(relay, "b")
    await settle()
    relay.store.broken.clear()
    await relay.clock.advance(30 * SECOND)

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_press_with_a_defect_stops_no_other(relay: FakeRelay) -> None:
    """A press that cannot even be prepared waits behind the others."""
    relay.discord.defects.append(RuntimeError("defect"))
    put(relay, "a")
    put(relay, "b")
    await relay.clock.advance(SECOND)
    assert ["n-b"] == relay.discord.nonces
    await relay.say("b", a_message())
    await settle()

    assert ["n-b", "n-a"] == relay.discord.nonces


async def test_refusal_frees_the_lane(relay: FakeRelay) -> None:
    """After a press that Discord refused, and surely did not take, the next one leaves."""
    relay.discord.answers.append(DiscordRateLimited("{}"))
    put(relay, "a")
    put(relay, "b")
    await settle()
    assert ["n-a"] == relay.discord.nonces
    await relay.clock.advance(SECOND)

    assert ["n-a", "n-b"] == relay.discord.nonces


async def test_cancelled_while_waiting_is_not_pressed(relay: FakeRelay) -> None:
    """A job that ended before its turn is passed over."""
    put(relay, "a")
    put(relay, "b")
    await settle()
    await relay.recorder.record("b", Cancelled())
    await relay.say("a", a_message())
    await settle()

    assert ["n-a"] == relay.discord.nonces


async def test_cancelled_while_held_back_leaves_nothing(relay: FakeRelay) -> None:
    """A job that is given up while others are in its way is not waited with: the lane ends."""
    press = a_press(PressPhase.BOUND)
    relay.store.jobs["g"] = a_running_job("g", prompt="prompt b", press=press, status=Status.CANCELLED)
    put(relay, "b")
    await settle()
    assert CHANNEL in relay.presser._lanes
    await relay.recorder.record("b", Cancelled())
    await settle()

    assert {} == relay.presser._lanes


async def test_restart_takes_up_what_waits(relay: FakeRelay) -> None:
    """A new process presses what was never sent, oldest first, and nothing that may have left."""
    for number, (name, phase) in enumerate(
        [("a", "sent"), ("b", "waiting"), ("c", "accepted"), ("d", "bound"), ("e", "waiting")]
    ):
        press = a_press(PressPhase(phase), nonce=f"n-{name}")
        created = relay.clock.now() + number * SECOND
        relay.store.jobs[name] = a_job(name, prompt=f"prompt {name}", press=press, created=created)
    relay.store.jobs["f"] = a_job("f", status=Status.CANCELLED, press=a_press(nonce="n-f"))
    await relay.presser.start()
    await relay.presser.take_up(EVERYTHING)
    await relay.clock.advance(25 * SECOND)
    await relay.say("b", a_message())
    await settle()

    assert ["n-b", "n-e"] == relay.discord.nonces


async def test_session_comes_to_a_channel_already_held(relay: FakeRelay) -> None:
    """The first job of a second token on a channel is pressed as soon as its session is taken, and jobs of other sessions are not."""
    other = Secret("another-token-of-some-length-0123456789")
    for name, token in (("a", Secret(TOKEN)), ("b", other)):
        relay.store.jobs[name] = a_job(name, press=a_press(nonce=f"n-{name}"), discord_token=token)
    await relay.presser.take_up({session_name(other)})
    await settle()

    assert ["n-b"] == relay.discord.nonces


async def test_killed_between_commit_and_answer(relay: FakeRelay) -> None:
    """A process that dies after the press left never has it sent again by the next one."""
    gate = asyncio.Event()

    async def hang() -> None:
        await gate.wait()

    relay.discord.answers.append(hang)
    put(relay, "a")
    await settle()
    relay.presser._lanes[CHANNEL]._task.cancel()  # type: ignore[union-attr] # the kill
    await settle()
    heir = Presser(
        relay.store, relay.view, relay.history, relay.sender, relay.habits, relay.board, relay.clock
    )
    await heir.start()
    await relay.clock.advance(30 * SECOND)
    await heir.stop()

    assert ["n-a"] == relay.discord.nonces
    assert PressPhase.SENT is relay.job("a").press.phase


async def test_stop_waits_for_the_answer(relay: FakeRelay) -> None:
    """A press that has just left hears Discord's answer before the lane stops; what waits stays in the store."""
    gate = asyncio.Event()

    async def hang() -> None:
        await gate.wait()

    relay.discord.answers.append(hang)
    put(relay, "a")
    put(relay, "b")
    await settle()
    stopping = asyncio.ensure_future(relay.presser.stop())
    await settle()
    assert not stopping.done()
    gate.set()
    await stopping

    assert PressPhase.ACCEPTED is relay.job("a").press.phase
    assert PressPhase.WAITING is relay.job("b").press.phase
    put(relay, "c")
    await settle()
    assert ["n-a"] == relay.discord.nonces


async def test_idle_lane_is_gone(relay: FakeRelay) -> None:
    """A channel without waiting presses costs nothing."""
    put(relay, "a")
    await settle()

    assert {} == relay.presser._lanes
    assert 0 == relay.clock.sleepers
