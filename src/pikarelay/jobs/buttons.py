"""May this button of this job be pressed, and whose value wins in the job that comes of it."""

from datetime import datetime

from pikarelay.errors import ButtonNotSupported
from pikarelay.jobs.job import Account, Button, Caller, Job, Press, Status, Verb
from pikarelay.jobs.requests import ButtonRequest

#: The contract: "Currently only the retry button is supported." The bot's messages have others.
SUPPORTED = frozenset({"retry"})


def offered(job: Job) -> tuple[str, ...]:
    """Return the names of the buttons that callers may press, in the order of the message."""
    return tuple(b.name for b in job.buttons if b.name in SUPPORTED and not b.disabled)


def pressable(parent: Job, name: str) -> Button:
    """Return the parent's button of that name. Raises `ButtonNotSupported`, also for a parent that is not completed."""
    if parent.status is Status.COMPLETED and name in SUPPORTED:
        for button in parent.buttons:
            if button.name == name and not button.disabled:
                return button
    raise ButtonNotSupported(name)


def plan(
    parent: Job,
    request: ButtonRequest,
    *,
    account: Account | None,
    caller: Caller,
    job_id: str,
    nonce: str,
    now: datetime,
) -> Job:
    """
    Return the job that pressing the button makes.

    Token: the request's, else the current one of the account on the parent's channel, else the parent's own. So an
    old job can still be pressed after its account got a new token. `maxJobs`: the request's, else the parent's.
    `replyUrl`: the request's, else the caller's default; neither it nor `replyRef` is inherited. The channel is always
    the parent's.
    """
    button = pressable(parent, request.button)
    common = request.common
    token = common.discord_token or (account.discord_token if account else parent.discord_token)
    return Job(
        job_id=job_id,
        caller_id=caller.caller_id,
        verb=Verb.BUTTON,
        created=now,
        updated=now,
        # Not shown for a button job; kept because the bot's messages quote it.
        prompt=parent.prompt,
        button=button.name,
        parent_job_id=parent.job_id,
        discord_token=token,
        channel=parent.channel,
        max_jobs=common.max_jobs or parent.max_jobs,
        reply_url=common.reply_url or caller.reply_url,
        reply_ref=common.reply_ref,
        press=Press(
            nonce=nonce,
            parent_message_id=parent.message_id,
            parent_message_flags=parent.message_flags,
            custom_id=button.custom_id,
            component_type=button.component_type,
            application_id=parent.press.application_id,
            bot_id=parent.press.bot_id,
        ),
    )
