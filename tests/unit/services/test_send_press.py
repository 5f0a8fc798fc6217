"""One press at most, whatever Discord answers."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from pikarelay.errors import (
    AccountUnusable,
    DiscordRateLimited,
    DiscordRefused,
    DiscordUnavailable,
    SessionElsewhere,
    Unavailable,
)
from pikarelay.jobs.job import Button, PressPhase, Status, Upload, Verb
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.ports import UploadedFile
from pikarelay.services.shared_answers import SharedAnswers
from tests.factories import PARENT_MESSAGE, REMIX, RETRY, a_job, a_message, a_press, snowflake
from tests.fakes.clock import START
from tests.fakes.discord import APPLICATION, BOT, USER, create_command
from tests.fakes.relay import FakeRelay

STALE = DiscordRefused(400, '{"code":50035}', is_stale=True)
MOVED = Button(name="retry", custom_id="pika:retry:2")
LOST = DiscordUnavailable("reset", may_have_happened=True)
PICTURE = Upload(size=3, type="image/png", key="k")


async def send(relay: FakeRelay, **its: Any) -> None:
    job = relay.store.jobs["job-1"] = a_job(**its)
    await relay.sender.send(job)


COMMAND: dict[str, Any] = {
    "verb": Verb.CREATE,
    "button": None,
    "press": a_press(custom_id=None, parent_message_id=None),
}


async def test_press_says_what_discord_wants(relay: FakeRelay) -> None:
    """The press names message, button and nonce as planned, and is stored as accepted."""
    await send(relay)

    press = relay.discord.presses[0]
    assert (PARENT_MESSAGE, RETRY.custom_id, "9001", APPLICATION) == (
        press.message_id,
        press.custom_id,
        press.nonce,
        press.application_id,
    )
    stored = relay.job().press
    assert (PressPhase.ACCEPTED, USER, BOT, START) == (
        stored.phase,
        stored.user_id,
        stored.bot_id,
        stored.sent,
    )
    assert snowflake(timedelta(seconds=-2)) == stored.floor_id


async def test_application_stands_in_for_an_unknown_bot(relay: FakeRelay) -> None:
    """Where only one of the bot's two ids is known, it is taken for both."""
    await send(relay, press=a_press(application_id=None))

    assert (BOT, BOT) == (relay.discord.presses[0].application_id, relay.job().press.application_id)


async def test_press_that_is_held_up(relay: FakeRelay) -> None:
    """A press, and the second try of one, leave within fifteen seconds of being marked as sent, or never."""
    relay.discord.answers.append(STALE)
    relay.discord.messages[PARENT_MESSAGE] = a_message(id=PARENT_MESSAGE, buttons=(REMIX, MOVED))
    await send(relay)
    relay.discord.answers.append(DiscordUnavailable("It was held up", may_have_happened=False))
    job = relay.store.jobs["job-2"] = a_job(**{**COMMAND, "job_id": "job-2"})
    await relay.sender.send(job)

    assert 3 * [relay.clock.elapsed() + timedelta(seconds=15)] == [
        each.leave_by for each in relay.discord.interactions
    ]
    assert (Status.FAILED, PressPhase.REFUSED) == (relay.job("job-2").status, relay.job("job-2").press.phase)


async def test_press_is_in_our_hands_until_it_is_answered(relay: FakeRelay) -> None:
    """From the first look at the account until Discord's answer is written down, the press is this process's."""
    held: list[bool] = []

    async def look() -> None:
        held.append(relay.board.is_being_sent("job-1"))

    relay.discord.answers.append(look)
    await send(relay)

    assert [True] == held
    assert not relay.board.is_being_sent("job-1")


@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED, PressPhase.BOUND])
async def test_sent_press_is_never_sent_again(relay: FakeRelay, phase: PressPhase) -> None:
    """A press that may have left does not leave again."""
    await send(relay, press=phase)

    assert [] == relay.discord.interactions


async def test_ended_job_is_not_pressed(relay: FakeRelay) -> None:
    """A job that was cancelled while it waited is not pressed."""
    job = relay.store.jobs["job-1"] = a_job()
    await relay.recorder.record("job-1", Cancelled())

    assert None is await relay.sender.send(job)
    assert [] == relay.discord.interactions


async def test_stale_button_is_read_once_and_pressed(relay: FakeRelay) -> None:
    """A button that has changed is read again, and pressed as it is now, with the same nonce."""
    relay.discord.answers.append(STALE)
    relay.discord.messages[PARENT_MESSAGE] = a_message(id=PARENT_MESSAGE, buttons=(REMIX, MOVED))
    await send(relay)

    assert [RETRY.custom_id, MOVED.custom_id] == [p.custom_id for p in relay.discord.presses]
    assert {"9001"} == set(relay.discord.nonces)
    assert PressPhase.ACCEPTED is relay.job().press.phase


async def test_button_that_is_stale_twice_fails(relay: FakeRelay) -> None:
    """The second refusal is final."""
    relay.discord.answers.extend([STALE, STALE])
    relay.discord.messages[PARENT_MESSAGE] = a_message(id=PARENT_MESSAGE, buttons=(MOVED,))
    await send(relay)

    assert 2 == len(relay.discord.presses)
    assert 1 == len(relay.discord.messages_read)
    assert Status.FAILED is relay.job().status


@pytest.mark.parametrize("buttons", [(), (RETRY,), (msgspec.structs.replace(MOVED, disabled=True),)])
async def test_stale_button_that_did_not_change_is_not_pressed(
    relay: FakeRelay, buttons: tuple[Button, ...]
) -> None:
    """Without another button of that name there is nothing to press, and the refusal stands."""
    relay.discord.answers.append(STALE)
    relay.discord.messages[PARENT_MESSAGE] = a_message(id=PARENT_MESSAGE, buttons=buttons)
    await send(relay)

    assert 1 == len(relay.discord.presses)
    assert "Discord /interactions failed with HTTP status 400" == relay.job().error


async def test_parent_message_is_gone(relay: FakeRelay) -> None:
    """When the message with the button is gone, the job fails with Discord's 404."""
    relay.discord.answers.append(STALE)
    await send(relay)

    assert "Discord /interactions failed with HTTP status 404" == relay.job().error


async def test_reading_in_doubt_is_no_press_in_doubt(relay: FakeRelay) -> None:
    """When the button cannot be read again, the refusal of the press stands: nothing is waited for."""
    relay.discord.answers.append(STALE)
    relay.discord.unreadable = LOST
    await send(relay)

    assert (Status.FAILED, "Discord /interactions failed with HTTP status 400") == (
        relay.job().status,
        relay.job().error,
    )


async def test_stale_command_is_fetched_once(relay: FakeRelay) -> None:
    """A command that has changed is looked up afresh, once, and run as it is now."""
    relay.discord.answers.append(STALE)
    relay.discord.fresh_commands["create"] = create_command("2")
    await send(relay, **COMMAND)

    assert ["1", "2"] == [run.command.version for run in relay.discord.runs]
    assert 1 == relay.discord.fresh_lookups
    assert PressPhase.ACCEPTED is relay.job().press.phase


async def test_command_that_is_stale_twice_fails(relay: FakeRelay) -> None:
    """The second refusal of a command is final."""
    relay.discord.answers.extend([STALE, STALE])
    await send(relay, **COMMAND)

    assert 2 == len(relay.discord.runs)
    assert Status.FAILED is relay.job().status


async def test_unknown_command(relay: FakeRelay) -> None:
    """A channel without the bot's command fails the job, and nothing is sent."""
    relay.discord.commands.clear()
    await send(relay, **COMMAND)

    assert ("Discord /interactions failed with HTTP status 404", []) == (
        relay.job().error,
        relay.discord.interactions,
    )


async def test_command_index_in_doubt_is_no_press_in_doubt(relay: FakeRelay) -> None:
    """A look-up that is not answered fails the job, for nothing was sent."""
    relay.discord.unreadable = LOST
    await send(relay, **COMMAND)

    assert "Discord /interactions could not be reached" == relay.job().error


async def test_upload_goes_with_the_command(relay: FakeRelay) -> None:
    """A file among the options is uploaded once, and both tries of a command name it as Discord did."""
    relay.uploads.files["k"] = b"png"
    relay.discord.answers.append(STALE)
    relay.discord.fresh_commands["create"] = create_command("2")
    await send(relay, image=PICTURE, **COMMAND)

    named = UploadedFile(filename="k", uploaded_filename="up/k")
    assert [b"png"] == relay.discord.uploaded
    assert 2 * [{"prompt": "a red kite", "image": named}] == [run.options for run in relay.discord.runs]
    assert PressPhase.ACCEPTED is relay.job().press.phase


async def test_upload_takes_its_time(relay: FakeRelay) -> None:
    """While a file is uploaded the press waits and the account's turn is others'; afterwards it leaves as any other."""
    relay.uploads.files["k"] = b"png"
    seen: list[object] = []

    async def upload() -> None:
        await relay.clock.sleep(timedelta(minutes=5))
        seen.extend((relay.job().press.phase, relay.discord.turns))

    relay.discord.uploading = upload
    sending = asyncio.create_task(send(relay, image=PICTURE, **COMMAND))
    await relay.clock.advance(timedelta(minutes=5))
    await sending

    assert [PressPhase.WAITING, 0] == seen
    assert START + timedelta(minutes=5) == relay.job().press.sent
    assert [timedelta(minutes=5, seconds=15)] == [run.leave_by for run in relay.discord.runs]


async def test_job_ends_while_its_file_is_uploaded(relay: FakeRelay) -> None:
    """A job that was cancelled before all of its file was at Discord is not pressed."""
    relay.uploads.files["k"] = b"png"

    async def cancel() -> None:
        await relay.recorder.record("job-1", Cancelled())

    relay.discord.uploading = cancel
    await send(relay, image=PICTURE, **COMMAND)

    assert [] == relay.discord.interactions
    assert (Status.CANCELLED, PressPhase.WAITING) == (relay.job().status, relay.job().press.phase)


async def test_upload_ends_with_its_job(relay: FakeRelay) -> None:
    """When a job is cancelled while its file is uploaded, nobody waits for the rest of that."""
    relay.uploads.files["k"] = b"png"
    relay.discord.uploading = partial(relay.clock.sleep, timedelta(minutes=5))
    sending = asyncio.create_task(send(relay, image=PICTURE, **COMMAND))
    await relay.clock.advance(timedelta(seconds=1))
    await relay.recorder.record("job-1", Cancelled())
    await relay.clock.advance(timedelta(seconds=1))

    assert sending.done()
    assert [] == relay.discord.uploaded
    assert [] == relay.discord.interactions


@pytest.mark.parametrize("was_asked", [True, False])
async def test_upload_that_fails(relay: FakeRelay, *, was_asked: bool) -> None:
    """Without its file a command is not run, and the job fails as one whose press nobody sent."""
    relay.uploads.files["k"] = b"png"
    refused, lost = DiscordRefused(403, "{}"), DiscordUnavailable("no", may_have_happened=False)

    async def fail() -> None:
        raise refused if was_asked else lost

    relay.discord.uploading = fail
    await send(relay, image=PICTURE, **COMMAND)

    assert [] == relay.discord.interactions
    assert (Status.FAILED, PressPhase.REFUSED) == (relay.job().status, relay.job().press.phase)


async def test_missing_upload_leaves_nothing_sent(relay: FakeRelay) -> None:
    """A file that is missing on our side is a defect of ours, found before the press is marked as sent."""
    with pytest.raises(KeyError):
        await send(relay, image=msgspec.structs.replace(PICTURE, key="gone"), **COMMAND)

    assert PressPhase.WAITING is relay.job().press.phase


async def test_job_that_is_gone(relay: FakeRelay) -> None:
    """A press whose job was deleted meanwhile does nothing, and does not fail."""
    assert None is await relay.sender.send(a_job())
    relay.discord.not_ready = LOST
    assert None is await relay.sender.send(a_job())
    assert [] == relay.discord.interactions


@pytest.mark.parametrize(
    "refusal",
    [
        DiscordRefused(403, "{}"),
        AccountUnusable("no"),
        DiscordUnavailable("down", may_have_happened=False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_certain_refusal_leaves_nothing_behind(relay: FakeRelay, refusal: Exception) -> None:
    """Of a press that Discord refused for certain nothing comes, so nothing is looked for."""
    relay.discord.answers.append(refusal)
    await send(relay)

    assert (Status.FAILED, PressPhase.REFUSED) == (relay.job().status, relay.job().press.phase)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, (Status.CREATED, PressPhase.ACCEPTED, None)),
        (
            DiscordRefused(403, "{}"),
            (Status.FAILED, PressPhase.REFUSED, "Discord /interactions failed with HTTP status 403"),
        ),
        (AccountUnusable("no"), (Status.FAILED, PressPhase.REFUSED, "no")),
        (
            DiscordRateLimited("{}"),
            (Status.FAILED, PressPhase.SENT, "Discord /interactions failed with HTTP status 429"),
        ),
        (
            DiscordUnavailable("no", may_have_happened=True, status=502),
            (Status.FAILED, PressPhase.SENT, "Discord /interactions failed with HTTP status 502"),
        ),
        (
            DiscordUnavailable("no", may_have_happened=False),
            (Status.FAILED, PressPhase.REFUSED, "Discord /interactions could not be reached"),
        ),
    ],
    ids=["accepted", "403", "unusable", "429", "502", "unreachable"],
)
async def test_answer_outlives_a_store_that_is_away(
    relay: FakeRelay, said: Exception | None, expected: tuple[Status, PressPhase, str | None]
) -> None:
    """What Discord said to a press while the store was out of order is written down when it is back."""

    async def answer() -> None:
        relay.store.unavailable = {"change", "job", "claim_refusal"}
        if said is not None:
            raise said

    relay.sender = relay.make_sender(SharedAnswers(relay.store, relay.board, relay.clock))
    relay.discord.answers.append(answer)
    sending = asyncio.create_task(send(relay))
    await relay.clock.advance(timedelta(seconds=30))
    assert PressPhase.SENT is relay.job().press.phase
    relay.store.unavailable = set()
    await relay.clock.advance(timedelta(seconds=10))
    await sending

    assert expected == (relay.job().status, relay.job().press.phase, relay.job().error)


async def test_store_that_stays_away(relay: FakeRelay) -> None:
    """A store that stays out of order holds the channel's other presses up for some minutes, and no longer."""

    async def answer() -> None:
        relay.store.unavailable = {"change"}

    relay.discord.answers.append(answer)
    sending = asyncio.create_task(send(relay))
    await relay.clock.advance(timedelta(minutes=3))

    with pytest.raises(Unavailable):
        await sending


async def test_refusal_is_shown_although_the_store_kept_silent(relay: FakeRelay) -> None:
    """Whoever waits for a job is shown its end, also when the store did not say that it had written it down."""

    async def answer() -> None:
        relay.store.silent_changes = 1
        raise DiscordRefused(403, "{}")

    relay.discord.answers.append(answer)
    shown: list[Status] = []
    job = a_job()
    with relay.board.watch_channel(job.channel, lambda its: shown.append(its.status)):
        sending = asyncio.create_task(send(relay))
        await relay.clock.advance(timedelta(seconds=1))
        await sending

    assert [Status.CREATED, Status.FAILED] == shown


async def test_session_of_another_worker(relay: FakeRelay) -> None:
    """A press whose account is another worker's by now is neither sent nor failed: it waits for that worker."""
    relay.discord.not_ready = SessionElsewhere()
    job = a_job()
    relay.store.jobs[job.job_id] = job

    assert None is await relay.sender.send(job)
    assert (Status.CREATED, PressPhase.WAITING) == (relay.job().status, relay.job().press.phase)
    assert [] == relay.discord.interactions


async def test_cancelled_while_it_was_sent(relay: FakeRelay) -> None:
    """Discord's yes to a press whose job was cancelled meanwhile is remembered: something is to come."""

    async def cancel() -> None:
        await relay.recorder.record("job-1", Cancelled())

    relay.discord.answers.append(cancel)
    await send(relay)

    assert (Status.CANCELLED, PressPhase.ACCEPTED) == (relay.job().status, relay.job().press.phase)
