"""Jobs, messages and the rest with sensible values; a test names the ones it is about."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from pikarelay.jobs.job import Account, Attachment, Button, Caller, Job, Press, PressPhase, Status, Verb
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.secret import Secret
from pikarelay.jobs.snowflakes import first_of
from tests.fakes.clock import START
from tests.fakes.discord import APPLICATION, BOT, USER

TOKEN = "MTE3MDAwMDAwMDAwMDAwMDAwMQ.GaBcDe.0123456789abcdefghijklmnopqrstuvwxyz"
CHANNEL = "1180000000000000001"
PARENT_MESSAGE = str(first_of(START - timedelta(hours=1)))
VIDEO = Attachment(
    url="https://cdn.example.org/1/video.mp4",
    proxy_url="https://media.example.org/1/video.mp4",
    filename="video.mp4",
    content_type="video/mp4",
    size=200_000,
    width=1024,
    height=576,
    id="1190000000000000003",
)
RETRY = Button(name="retry", custom_id="pika:retry:1")
REMIX = Button(name="remix", custom_id="pika:remix:1")


def snowflake(after: timedelta = timedelta(), *, serial: int = 0, since: datetime = START) -> str:
    """Return an id made that long after the clock's start."""
    return str(first_of(since + after) + serial)


def a_file(**its: Any) -> Attachment:
    """Return `VIDEO`, but for what is told."""
    return msgspec.structs.replace(VIDEO, **its)


def a_caller(**its: Any) -> Caller:
    return msgspec.structs.replace(Caller(caller_id="caller-1", name="Ada", created=START), **its)


def an_account(channel: str = CHANNEL, **its: Any) -> Account:
    account = Account(
        caller_id="caller-1", channel=channel, discord_token=Secret(TOKEN), max_jobs=10, updated=START
    )
    return msgspec.structs.replace(account, **its)


def a_press(phase: PressPhase = PressPhase.WAITING, **its: Any) -> Press:
    """Return a press of `RETRY`; from `SENT` on it left at the clock's start, two seconds after its floor."""
    press = Press(
        nonce="9001",
        parent_message_id=PARENT_MESSAGE,
        custom_id=RETRY.custom_id,
        application_id=APPLICATION,
        bot_id=BOT,
        phase=phase,
    )
    if phase is not PressPhase.WAITING:
        floor = snowflake(timedelta(seconds=-2))
        press = msgspec.structs.replace(press, user_id=USER, floor_id=floor, sent=START)
    return msgspec.structs.replace(press, **its)


def a_job(job_id: str = "job-1", **its: Any) -> Job:
    """Return a job that was just admitted; `press` may be a phase."""
    press = its.pop("press", PressPhase.WAITING)
    job = Job(
        job_id=job_id,
        caller_id="caller-1",
        verb=Verb.BUTTON,
        created=START,
        updated=START,
        prompt="a red kite",
        button="retry",
        parent_job_id="parent",
        discord_token=Secret(TOKEN),
        channel=CHANNEL,
        max_jobs=10,
        press=a_press(press) if isinstance(press, PressPhase) else press,
    )
    return msgspec.structs.replace(job, **its)


def a_running_job(job_id: str = "job-1", **its: Any) -> Job:
    """Return a job whose press was accepted. Its nonce is made of its id, unless told."""
    return a_job(job_id, press=its.pop("press", a_press(PressPhase.ACCEPTED, nonce=f"n-{job_id}")), **its)


def a_parent(**its: Any) -> Job:
    """Return a completed job with both of the bot's buttons."""
    parent = a_job(
        "parent",
        verb=Verb.CREATE,
        status=Status.COMPLETED,
        button=None,
        parent_job_id=None,
        created=START - timedelta(hours=1),
        updated=START - timedelta(minutes=58),
        message_id=PARENT_MESSAGE,
        message_flags=0,
        content="<@7001> Prompt: a red kite  Author: <@7001>)",
        timestamp="2026-08-01T11:01:00.000000+00:00",
        buttons=(RETRY, REMIX),
        attachments=(VIDEO,),
        press=a_press(PressPhase.BOUND, nonce="8999", custom_id=None, parent_message_id=None),
    )
    return msgspec.structs.replace(parent, **its)


def a_message(**its: Any) -> BotMessage:
    """Return the bot's plain "queued" note, a second after the clock's start, tied to nothing."""
    message = BotMessage(
        id=snowflake(timedelta(seconds=1)),
        channel_id=CHANNEL,
        author_id=BOT,
        kind=Kind.UPDATE,
        content=f"<@{USER}>  Creation job queued. (Prompt: a red kite  Author: <@{USER}>)",
        timestamp="2026-08-01T12:00:01.000000+00:00",
        mentions=(USER,),
    )
    return msgspec.structs.replace(message, **its)


def a_result(**its: Any) -> BotMessage:
    """Return the bot's plain result, half a minute after the clock's start, tied to nothing."""
    values: dict[str, Any] = {
        "id": snowflake(timedelta(seconds=30)),
        "kind": Kind.RESULT,
        "content": f"<@{USER}> Prompt: a red kite  Author: <@{USER}>)",
        "attachments": (VIDEO,),
        "buttons": (RETRY, REMIX),
    }
    return a_message(**(values | its))


def pressed_by(job: Job, message: BotMessage) -> BotMessage:
    """Return the message as the direct answer to the job's press: with its nonce and its interaction."""
    return msgspec.structs.replace(
        message,
        nonce=job.press.nonce,
        interaction_id=job.press.interaction_id or snowflake(serial=7),
        interaction_user_id=USER,
        interacted_message_id=job.press.parent_message_id,
    )
