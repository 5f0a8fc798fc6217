"""What is old and what is new, as a press leaves."""

from datetime import timedelta

from pikarelay.jobs.job import PressPhase, Status
from pikarelay.services.press_floor import PressFloor
from tests.factories import a_job, a_message, a_press, a_result, snowflake
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

SECOND = timedelta(seconds=1)


def test_clock_alone() -> None:
    """Before Discord has shown an id, the floor is the time less what the clock may be wrong by."""
    assert snowflake(-2 * SECOND) == PressFloor().at(START)


def test_newest_id() -> None:
    """The newest id that was seen is the floor, in whatever order they came, until it is older than the doubt."""
    floor = PressFloor()
    for seen in (snowflake(), snowflake(-SECOND), "none"):
        floor.see(seen)

    assert snowflake() == floor.at(START)
    assert snowflake(SECOND) == floor.at(START + 3 * SECOND)


def test_id_from_the_future() -> None:
    """An id of a time that is not there yet says nothing."""
    floor = PressFloor()
    floor.see(snowflake(3 * SECOND))

    assert snowflake(-2 * SECOND) == floor.at(START)


async def test_announcement_that_comes_after_its_result(relay: FakeRelay) -> None:
    """A note about a job that has ended, heard late, is not taken for one about the next press with that prompt."""
    relay.store.jobs["a"] = a_job("a", press=a_press(PressPhase.BOUND, nonce="n-a"), status=Status.STARTED)
    await relay.say("a", a_result(id=snowflake(-SECOND / 2)))
    job = relay.store.jobs["b"] = a_job("b", press=a_press(nonce="n-b"))
    await relay.sender.send(job)
    await relay.see(a_message(id=snowflake(-SECOND)))

    assert snowflake(-SECOND / 2) == relay.job("b").press.floor_id
    assert None is relay.job("b").message_id
