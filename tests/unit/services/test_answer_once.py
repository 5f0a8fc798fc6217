"""One named request makes one job, however often and whenever it is sent."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.errors import DiscordRateLimited, InvalidValue, Unavailable
from pikarelay.jobs.requests import ButtonRequest, CommonFields, RequestKey
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.ports import KEY_LIFETIME
from pikarelay.services.submit_job import Submitted
from tests.factories import a_caller, a_message
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

KEY = RequestKey(text="k1", digest=b"d1")
OTHER = RequestKey(text="k1", digest=b"d2")
RETRY = ButtonRequest(job_id="parent", button="retry", common=CommonFields())
RATE_LIMITED = '{"retry_after":10}'


@pytest.fixture
def once(relay: FakeRelay) -> AnswerOnce:
    return AnswerOnce(relay.store, relay.answers, relay.clock)


def post(
    relay: FakeRelay, once: AnswerOnce, key: RequestKey | None = KEY, caller_id: str = "caller-1"
) -> "asyncio.Task[Submitted]":
    """POST /button with a key, in a task of its own."""
    caller = a_caller(caller_id=caller_id)
    relay.store.kept_callers[caller_id] = caller
    return relay.post(once(caller, key, lambda: relay.press_button(caller, RETRY, key)))


async def test_no_key(relay: FakeRelay, once: AnswerOnce) -> None:
    """Without a key each request makes a job of its own."""
    post(relay, once, None)
    post(relay, once, None)
    await settle()

    assert ["job-1", "job-2"] == relay.jobs_made


async def test_repeated_while_it_waits(relay: FakeRelay, once: AnswerOnce) -> None:
    """A repetition of a request that still waits for the bot gets the same answer at the same time."""
    first, second = post(relay, once), post(relay, once)
    await settle()

    assert not second.done()

    await relay.say("job-1", a_message())
    await settle()

    assert ["job-1"] == relay.jobs_made
    assert 1 == len(relay.discord.presses)
    assert first.result().job == second.result().job
    assert [False, True] == [first.result().is_repeat, second.result().is_repeat]


async def test_repeated_later(relay: FakeRelay, once: AnswerOnce) -> None:
    """A repetition after the answer gets the job as it is by then."""
    first = post(relay, once)
    await settle()
    await relay.say("job-1", a_message())
    await settle()
    await relay.say("job-1", a_message(content="(50%)"))
    second = post(relay, once)
    await settle()

    assert relay.job() == second.result().job != first.result().job
    assert (200, True) == (second.result().code, second.result().is_repeat)
    assert ["job-1"] == relay.jobs_made


async def test_repeated_after_a_restart(relay: FakeRelay, once: AnswerOnce) -> None:
    """A process that has just started knows the key from the store."""
    post(relay, once)
    await settle()

    again = post(relay, AnswerOnce(relay.store, relay.answers, relay.clock))
    await settle()

    assert (relay.job(), True) == (again.result().job, again.result().is_repeat)
    assert ["job-1"] == relay.jobs_made


async def test_another_request_under_the_key(relay: FakeRelay, once: AnswerOnce) -> None:
    """Another request with the same key is refused, while the first is answered as well as later."""
    post(relay, once)
    early = post(relay, once, OTHER)
    await settle()
    await relay.say("job-1", a_message())
    await settle()
    late = post(relay, once, OTHER)
    await settle()

    for refused in (early, late):
        assert isinstance(refused.exception(), InvalidValue)
        assert "Idempotency-Key was used with another request" == str(refused.exception())
    assert ["job-1"] == relay.jobs_made


async def test_refused_by_discord(relay: FakeRelay, once: AnswerOnce) -> None:
    """Discord's 429 is everybody's answer who waits for it, and frees the key for the next try."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, 10))
    refused = [post(relay, once), post(relay, once)]
    await relay.clock.advance(timedelta(seconds=1))

    assert [True, True] == [isinstance(one.exception(), DiscordRateLimited) for one in refused]
    assert [] == relay.jobs_made

    again = post(relay, once)
    await settle()
    await relay.say("job-2", a_message())
    await settle()

    assert ("job-2", False) == (again.result().job.job_id, again.result().is_repeat)


async def test_first_hangs_up(relay: FakeRelay, once: AnswerOnce) -> None:
    """When the first request is cancelled, those who wait for its answer are told to come back, and get its job then."""
    first, second = post(relay, once), post(relay, once)
    await settle()
    first.cancel()
    await settle()

    assert isinstance(second.exception(), Unavailable)

    third = post(relay, once)
    await settle()

    assert "job-1" == third.result().job.job_id
    assert ["job-1"] == relay.jobs_made


async def test_first_hangs_up_while_it_is_refused(relay: FakeRelay, once: AnswerOnce) -> None:
    """A repetition that comes while the first one's job is being taken back does not get that job, but a new one."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, 10))
    first = post(relay, once)
    await settle()
    first.cancel()
    await settle()
    second = post(relay, once)
    await settle()

    assert not second.done()

    await relay.clock.advance(timedelta(seconds=1))
    await relay.say("job-2", a_message())
    await settle()

    assert ("job-2", False) == (second.result().job.job_id, second.result().is_repeat)
    assert ["job-2"] == relay.jobs_made


async def test_first_hangs_up_and_is_not_refused_after_all(relay: FakeRelay, once: AnswerOnce) -> None:
    """When a 429 turns out to be untrue, the repetition gets the first one's job."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, 10))
    first = post(relay, once)
    await settle()
    first.cancel()
    await settle()
    second = post(relay, once)
    await relay.accept("job-1")
    await relay.clock.advance(timedelta(seconds=1))

    assert ("job-1", True) == (second.result().job.job_id, second.result().is_repeat)
    assert ["job-1"] == relay.jobs_made


async def test_second_hangs_up(relay: FakeRelay, once: AnswerOnce) -> None:
    """One who waits for the first's answer and hangs up takes it from nobody."""
    first, second = post(relay, once), post(relay, once)
    await settle()
    second.cancel()
    await relay.say("job-1", a_message())
    await settle()

    assert "job-1" == first.result().job.job_id


async def test_each_caller_has_its_own_keys(relay: FakeRelay, once: AnswerOnce) -> None:
    """The same key of somebody else is another key."""
    post(relay, once)
    stranger = post(relay, once, OTHER, caller_id="caller-2")
    await settle()

    assert "Unable to locate job parent" == str(stranger.exception())


async def test_other_process_was_faster(relay: FakeRelay, once: AnswerOnce) -> None:
    """When two processes admit at once, the slower one answers with the faster one's job."""
    caller = a_caller()

    async def overtaken() -> Submitted:
        post(relay, AnswerOnce(relay.store, relay.answers, relay.clock))
        await settle()
        return await relay.press_button(caller, RETRY, KEY)

    answer = await once(caller, KEY, overtaken)

    assert ("job-1", True) == (answer.job.job_id, answer.is_repeat)
    assert ["job-1"] == relay.jobs_made


async def test_key_is_over_after_a_day(relay: FakeRelay, once: AnswerOnce) -> None:
    """After a day the same key makes a new job."""
    post(relay, once)
    await settle()
    await relay.clock.advance(KEY_LIFETIME + timedelta(milliseconds=1))
    post(relay, once)
    await settle()

    assert ["job-1", "job-2"] == relay.jobs_made
