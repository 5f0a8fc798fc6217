"""From a POST to its answer: everything that Discord and the bot can do to it."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from pikarelay.contract.bodies import encode, job_body
from pikarelay.errors import (
    AccountUnusable,
    DiscordRateLimited,
    DiscordRefused,
    DiscordUnavailable,
    TooManyJobs,
)
from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.messages import InteractionAccepted, Kind
from pikarelay.services.submit_job import Submitted
from tests.factories import a_message, a_parent, a_result, an_account
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

RATE_LIMITED = '{"global":true,"message":"You are being rate limited.","retry_after":10}'
REPLY = "https://hook.example/x"
SECOND = timedelta(seconds=1)
#: How long a 429 may be proved untrue.
DENIAL = SECOND / 2


def answer_of(post: "asyncio.Task[Submitted]") -> Submitted:
    assert post.done()
    return post.result()


async def test_announced_in_time(relay: FakeRelay) -> None:
    """The answer is the job with the bot's first message, as soon as that is there."""
    post = relay.retry()
    await relay.clock.advance(2 * SECOND)
    assert not post.done()
    await relay.say("job-1", a_message())
    await settle()

    answer = answer_of(post)
    assert (200, Status.STARTED, a_message().id) == (answer.code, answer.job.status, answer.job.message_id)


async def test_silent_bot(relay: FakeRelay) -> None:
    """After ten seconds the answer is `started` without message, and the job goes on."""
    post = relay.retry()
    await relay.clock.advance(10 * SECOND - timedelta(milliseconds=1))
    assert not post.done()
    await relay.clock.advance(timedelta(milliseconds=1))

    answer = answer_of(post)
    assert (200, Status.CREATED, None) == (answer.code, answer.job.status, answer.job.message_id)
    assert not relay.job().is_final


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused(relay: FakeRelay, status: int) -> None:
    """Discord's refusal fails the job, which is the answer, with 502 and Discord's own words."""
    relay.discord.answers.append(DiscordRefused(status, '{"code":1}'))
    post = relay.retry(reply_url=REPLY)
    await settle()

    answer = answer_of(post)
    assert (502, Status.FAILED) == (answer.code, answer.job.status)
    assert f"Discord /interactions failed with HTTP status {status}" == answer.job.error
    assert answer.job.error_details == '{"code":1}'
    assert 1 == len(relay.discord.presses)
    assert ["job-1"] == list(relay.store.callbacks)


async def test_rate_limited_while_waiting(relay: FakeRelay) -> None:
    """Discord's 429 withdraws the job, frees its place, owes no callback, and is the answer."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, 10.0))
    post = relay.retry(max_jobs=1, reply_url=REPLY)
    await relay.clock.advance(DENIAL)

    assert post.done()
    with pytest.raises(DiscordRateLimited) as refused:
        post.result()
    assert RATE_LIMITED == refused.value.details
    assert ([], {}) == (relay.jobs_made, relay.store.callbacks)
    again = relay.retry(max_jobs=1)
    await settle()
    assert not again.done()
    assert ["job-2"] == relay.jobs_made


async def test_rate_limited_after_the_answer(relay: FakeRelay) -> None:
    """A 429 for a press that waited until its answer had left fails the job, and its callback says so."""
    relay.retry()
    await settle()
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED))
    relay.store.jobs["boat"] = a_parent(job_id="boat", prompt="a blue boat")
    late = relay.retry("boat", reply_url=REPLY)
    await relay.clock.advance(25 * SECOND)

    assert 200 == answer_of(late).code
    job = relay.job("job-2")
    assert (Status.FAILED, "Discord /interactions failed with HTTP status 429", RATE_LIMITED) == (
        job.status,
        job.error,
        job.error_details,
    )
    assert ["job-2"] == list(relay.store.callbacks)


async def test_rate_limit_that_the_bot_contradicts(relay: FakeRelay) -> None:
    """When the bot has answered before a false 429 is acted upon, there is a job, and it is the answer."""

    async def limit() -> None:
        await relay.say("job-1", a_message())
        raise DiscordRateLimited(RATE_LIMITED)

    relay.discord.answers.append(limit)
    post = relay.retry()
    await settle()

    assert Status.STARTED is answer_of(post).job.status
    assert Status.STARTED is relay.job().status


async def test_false_rate_limit_after_the_answer(relay: FakeRelay) -> None:
    """A false 429 after the bot's message and the answer does not fail the running job."""

    async def limit() -> None:
        await relay.say("job-1", a_message())
        await settle()
        raise DiscordRateLimited(RATE_LIMITED)

    relay.discord.answers.append(limit)
    relay.retry()
    await relay.clock.advance(SECOND)

    assert Status.STARTED is relay.job().status


@pytest.mark.parametrize("steps", range(12))
async def test_refusal_at_the_very_end_of_the_wait(relay: FakeRelay, steps: int) -> None:
    """Whichever of a 429 and the end of the wait is first, answer and store agree."""
    gate = asyncio.Event()

    async def limit() -> None:
        await gate.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        raise DiscordRateLimited(RATE_LIMITED)

    relay.discord.answers.append(limit)
    post = relay.retry()
    await relay.clock.advance(9 * SECOND)
    relay.clock.sleep_is_over.append(gate.set)
    await relay.clock.advance(SECOND + DENIAL)

    assert post.done()
    if post.exception() is None:
        assert Status.FAILED is relay.job().status
    else:
        assert isinstance(post.exception(), DiscordRateLimited)
        assert [] == relay.jobs_made


async def test_interaction_that_a_429_denies(relay: FakeRelay) -> None:
    """When Discord names the interaction in the moment after its 429, the 429 was not true, and the job goes on."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED))
    post = relay.retry(reply_url=REPLY)
    await relay.clock.advance(DENIAL / 2)
    await relay.see(InteractionAccepted(nonce="9001", interaction_id="5"))
    await relay.clock.advance(SECOND)
    assert not post.done()
    await relay.say("job-1", a_message())
    await settle()

    assert (200, Status.STARTED) == (answer_of(post).code, answer_of(post).job.status)
    assert ([], {}) == (list(relay.store.withdrawn), relay.store.callbacks)


async def test_interaction_that_a_429_denies_after_the_answer(relay: FakeRelay) -> None:
    """The same 429 for a press that waited until its answer had left does not fail the job."""
    relay.retry()
    await settle()
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED))
    relay.store.jobs["boat"] = a_parent(job_id="boat", prompt="a blue boat")
    late = relay.retry("boat", reply_url=REPLY)
    await relay.clock.advance(20 * SECOND)
    assert 200 == answer_of(late).code
    await relay.see(InteractionAccepted(nonce=relay.job("job-2").press.nonce, interaction_id="5"))
    await relay.clock.advance(SECOND)

    assert Status.CREATED is relay.job("job-2").status
    assert PressPhase.ACCEPTED is relay.job("job-2").press.phase


async def test_429_without_a_press_is_believed_at_once(relay: FakeRelay) -> None:
    """A press that a running limit held back is not looked for."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, was_sent=False))
    post = relay.retry()
    await settle()

    assert isinstance(post.exception(), DiscordRateLimited)


async def test_429_that_the_store_takes_late(relay: FakeRelay) -> None:
    """A store that is away for a moment is asked again to take the job back, and the POST answers with the refusal."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, was_sent=False))
    relay.store.unavailable.add("withdraw")
    post = relay.retry()
    await relay.clock.advance(SECOND)
    assert not post.done()
    relay.store.unavailable.clear()
    await relay.clock.advance(SECOND)

    assert isinstance(post.exception(), DiscordRateLimited)
    assert [] == relay.jobs_made


@pytest.mark.parametrize("was_sent", [True, False])
async def test_429_that_the_store_does_not_take(relay: FakeRelay, *, was_sent: bool) -> None:
    """Where the job cannot be taken back, the POST answers with it, it fails with the refusal, and nothing leaves again."""
    relay.discord.answers.append(DiscordRateLimited(RATE_LIMITED, was_sent=was_sent))
    relay.store.unavailable.add("withdraw")
    post = relay.retry()
    await relay.clock.advance(10 * SECOND)

    assert "job-1" == answer_of(post).job.job_id
    assert Status.FAILED is relay.job().status
    assert RATE_LIMITED == relay.job().error_details
    assert 1 == len(relay.discord.presses)


async def test_claim_holds_the_answer_back(relay: FakeRelay) -> None:
    """Once a refusal is claimed, the end of the wait does not let the job out."""
    job = relay.store.jobs["job-9"] = relay.store.jobs["parent"]
    with relay.board.refusable(job) as watch:
        waiting = asyncio.ensure_future(watch.until(lambda _: False, SECOND, relay.clock))
        await settle()
        claimed = relay.board.claim_refusal(job.job_id)
        await relay.clock.advance(5 * SECOND)
        assert not waiting.done()
        assert claimed is watch
        claimed.refuse(DiscordRateLimited(RATE_LIMITED))
        await settle()

    with pytest.raises(DiscordRateLimited):
        waiting.result()
    relay.board.close_answer(job.job_id)


async def test_5xx_without_a_trace(relay: FakeRelay) -> None:
    """A 5xx whose press shows no trace within five seconds is a failure."""
    relay.discord.answers.append(DiscordUnavailable("no", may_have_happened=True, status=503, details="oops"))
    post = relay.retry()
    await relay.clock.advance(4 * SECOND)
    assert not post.done()
    await relay.clock.advance(SECOND)

    answer = answer_of(post)
    assert (502, "Discord /interactions failed with HTTP status 503") == (answer.code, answer.job.error)
    assert 1 == len(relay.discord.presses)


async def test_5xx_with_a_trace(relay: FakeRelay) -> None:
    """A 5xx whose interaction shows all the same was a press, and its job goes on."""
    relay.discord.answers.append(DiscordUnavailable("no", may_have_happened=True, status=500))
    post = relay.retry()
    await relay.clock.advance(2 * SECOND)
    await relay.accept("job-1")
    await relay.clock.advance(5 * SECOND)
    assert not post.done()
    await relay.say("job-1", a_message())
    await settle()

    assert 200 == answer_of(post).code
    assert 1 == len(relay.discord.presses)


async def test_unknown_outcome_is_kept(relay: FakeRelay) -> None:
    """A press whose answer was lost stays open, is not pressed again, and is found by its message."""
    relay.discord.answers.append(DiscordUnavailable("reset", may_have_happened=True))
    post = relay.retry()
    await relay.clock.advance(60 * SECOND)

    assert 200 == answer_of(post).code
    assert (Status.CREATED, PressPhase.SENT) == (relay.job().status, relay.job().press.phase)
    assert 1 == len(relay.discord.presses)
    await relay.say("job-1", a_message())
    assert Status.STARTED is relay.job().status


@pytest.mark.parametrize(
    "trouble",
    [
        DiscordUnavailable("no route", may_have_happened=False),
        DiscordUnavailable("timed out", may_have_happened=True),
    ],
    ids=["unreachable", "unanswered"],
)
async def test_session_that_does_not_come_up(relay: FakeRelay, trouble: DiscordUnavailable) -> None:
    """Trouble before the press was sent can be no press in doubt: the job fails at once."""
    relay.discord.not_ready = trouble
    post = relay.retry()
    await settle()

    answer = answer_of(post)
    assert (502, "Discord /interactions could not be reached") == (answer.code, answer.job.error)
    assert [] == relay.discord.interactions


async def test_unusable_account(relay: FakeRelay) -> None:
    """An account that needs a person fails the job with a sentence for that person."""
    relay.discord.not_ready = AccountUnusable("The token is no longer valid.")
    post = relay.retry()
    await settle()

    assert (502, "The token is no longer valid.") == (answer_of(post).code, answer_of(post).job.error)


async def test_message_before_the_204(relay: FakeRelay) -> None:
    """The bot's message before Discord's 204 is the answer, and the 204 undoes nothing."""

    async def early() -> None:
        await relay.say("job-1", a_message())

    relay.discord.answers.append(early)
    post = relay.retry()
    await settle()

    assert Status.STARTED is answer_of(post).job.status
    assert (Status.STARTED, PressPhase.BOUND) == (relay.job().status, relay.job().press.phase)


async def test_moderated_at_once(relay: FakeRelay) -> None:
    """The bot's immediate refusal is answered with 200 and `moderated`."""
    post = relay.retry()
    await settle()
    await relay.say("job-1", a_message(kind=Kind.MODERATED, content="Not that."))
    await settle()

    assert (200, Status.MODERATED) == (answer_of(post).code, answer_of(post).job.status)


async def test_bot_that_fails_at_once(relay: FakeRelay) -> None:
    """The bot's own failure is not Discord's refusal: 200 and `failed`."""
    post = relay.retry()
    await settle()
    await relay.say("job-1", a_message(kind=Kind.FAILED, content="Something went wrong"))
    await settle()

    assert (200, Status.FAILED) == (answer_of(post).code, answer_of(post).job.status)


async def test_given_up_while_it_is_admitted(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is written although nobody waits for its answer any more is pressed, and holds no place for nothing."""
    admit, begun, go = relay.store.admit, asyncio.Event(), asyncio.Event()

    async def slow(*its: Any, **more: Any) -> Job:
        begun.set()
        await go.wait()
        return await admit(*its, **more)

    monkeypatch.setattr(relay.store, "admit", slow)
    post = relay.retry()
    await begun.wait()
    post.cancel()
    await settle()
    go.set()
    await settle()

    assert post.cancelled()
    assert [PressPhase.ACCEPTED] == [relay.job(name).press.phase for name in relay.jobs_made]


async def test_cancelled_while_waiting(relay: FakeRelay) -> None:
    """A client that hangs up leaves nobody waiting; its job goes on, and its callback is not held back."""
    post = relay.retry()
    await settle()
    post.cancel()
    await settle()

    assert None is relay.board.claim_refusal("job-1")
    await asyncio.wait_for(relay.board.answered("job-1"), 1)
    assert {} == relay.board._watches
    assert PressPhase.ACCEPTED is relay.job().press.phase


async def test_callback_waits_for_the_answer(relay: FakeRelay) -> None:
    """A job is answered only when its answer has left, not when it was made."""
    post = relay.retry()
    await settle()
    await relay.say("job-1", a_message())
    await settle()
    answered = asyncio.ensure_future(relay.board.answered("job-1"))
    await settle()

    assert post.done()
    assert not answered.done()
    relay.board.close_answer("job-1")
    await settle()
    assert answered.done()


async def test_last_place_is_given_once(relay: FakeRelay) -> None:
    """Of two requests racing for a channel's last place, one is admitted and the other told who holds it."""
    posts = [relay.retry(max_jobs=1), relay.retry(max_jobs=1)]
    await settle()

    refused = [post.exception() for post in posts if post.done()]
    assert 1 == len(refused)
    assert isinstance(refused[0], TooManyJobs)
    assert tuple(relay.jobs_made) == refused[0].executing


async def test_row_is_written_before_the_press_leaves(relay: FakeRelay) -> None:
    """When Discord sees the press, the job is stored as sent, by whom, and since when."""
    seen: list[Any] = []

    async def look() -> None:
        seen.append(relay.job().press)

    relay.discord.answers.append(look)
    relay.retry()
    await settle()

    assert [PressPhase.SENT] == [press.phase for press in seen]
    assert [relay.discord.user_id] == [press.user_id for press in seen]


async def test_command(relay: FakeRelay) -> None:
    """A command runs on the caller's account, with its options, and is answered like a button."""
    await relay.store.put_account(an_account(max_jobs=4))
    post = relay.create("a blue boat")
    await settle()
    await relay.say("job-1", a_message())
    await settle()

    body = json.loads(encode(job_body(answer_of(post).job)))
    assert ("pika-create", "a blue boat", 4) == (body["verb"], body["prompt"], body["maxJobs"])
    assert [{"prompt": "a blue boat"}] == [run.options for run in relay.discord.runs]


@pytest.mark.parametrize("was_sent", [True, False])
async def test_what_a_429_leaves_behind(relay: FakeRelay, was_sent: bool) -> None:
    """A press that Discord's 429 took back is looked for; one that did not even leave is not."""
    relay.discord.answers.append(DiscordRateLimited("{}", was_sent=was_sent))
    post = relay.retry()
    await relay.clock.advance(DENIAL)

    assert isinstance(post.exception(), DiscordRateLimited)
    assert [] == relay.jobs_made
    assert was_sent == ("job-1" in relay.store.withdrawn)


async def test_result_after_a_429_is_not_the_resubmitted_jobs(relay: FakeRelay) -> None:
    """When a 429 turns out untrue too late, its result waits for a person, and the resubmitted job for its own."""
    relay.discord.answers.append(DiscordRateLimited("{}"))
    relay.retry()
    await relay.clock.advance(DENIAL)
    await relay.see(InteractionAccepted(nonce="9001", interaction_id="5"))
    await relay.see(a_message())
    relay.retry()
    await settle()
    assert 1 == len(relay.discord.presses)
    await relay.see(a_result())
    await settle()

    assert 2 == len(relay.discord.presses)
    assert Status.CREATED is relay.job("job-2").status
    assert [("job-1",)] == [orphan.candidates for orphan in relay.store.kept_orphans.values()]
