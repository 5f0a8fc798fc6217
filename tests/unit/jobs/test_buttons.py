"""Which buttons may be pressed, and whose values the new job has."""

from typing import Any

import msgspec
import pytest

from pikarelay.errors import ButtonNotSupported
from pikarelay.jobs.buttons import offered, plan, pressable
from pikarelay.jobs.job import Account, Job, PressPhase, Status, Verb
from pikarelay.jobs.requests import ButtonRequest, CommonFields
from pikarelay.jobs.secret import Secret
from tests.factories import REMIX, RETRY, TOKEN, a_caller, a_parent, an_account
from tests.fakes.clock import START
from tests.fakes.discord import APPLICATION, BOT


def planned(parent: Job | None = None, account: Account | None = None, **common: Any) -> Job:
    return plan(
        parent or a_parent(),
        ButtonRequest(job_id="parent", button="retry", common=CommonFields(**common)),
        account=account,
        caller=a_caller(reply_url="https://default.example"),
        job_id="job-9",
        nonce="42",
        now=START,
    )


def test_retry_is_pressable() -> None:
    """The retry button of a completed job may be pressed."""
    assert pressable(a_parent(), "retry") == RETRY


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.COMPLETED}))
def test_parent_must_be_completed(status: Status) -> None:
    """No button of a job that is not completed may be pressed."""
    with pytest.raises(ButtonNotSupported, match=r"^button retry not supported$"):
        pressable(a_parent(status=status), "retry")


@pytest.mark.parametrize("name", ["remix", "Retry", "retry ", ""])
def test_other_buttons_are_refused(name: str) -> None:
    """Remix exists on the message and is not pressed; names are compared exactly."""
    with pytest.raises(ButtonNotSupported):
        pressable(a_parent(), name)


@pytest.mark.parametrize("buttons", [(), (REMIX,), (msgspec.structs.replace(RETRY, disabled=True),)])
def test_button_must_be_on_the_message(buttons: tuple[Any, ...]) -> None:
    """A button that the message lacks, or shows disabled, is neither offered nor pressable."""
    parent = a_parent(buttons=buttons)

    assert offered(parent) == ()
    with pytest.raises(ButtonNotSupported):
        pressable(parent, "retry")


def test_only_supported_buttons_are_offered() -> None:
    """Callers are shown the buttons they may press."""
    assert offered(a_parent()) == ("retry",)


def test_plan_points_at_the_parents_message() -> None:
    """The new job presses the parent's button at the parent's message, on its channel."""
    job = planned()
    press = job.press

    assert (
        job.verb,
        job.button,
        job.parent_job_id,
        job.status,
    ) == (Verb.BUTTON, "retry", "parent", Status.CREATED)
    assert (a_parent().message_id, RETRY.custom_id, APPLICATION, BOT, "42", PressPhase.WAITING) == (
        press.parent_message_id,
        press.custom_id,
        press.application_id,
        press.bot_id,
        press.nonce,
        press.phase,
    )
    assert a_parent().channel == job.channel
    assert a_parent().prompt == job.prompt


def test_token_request_then_account_then_parent() -> None:
    """The request's token wins, then the account's current one, then the parent's own."""
    current = an_account(discord_token=Secret("current"))

    assert Secret("mine") == planned(account=current, discord_token=Secret("mine")).discord_token
    assert Secret("current") == planned(account=current).discord_token
    assert Secret(TOKEN) == planned().discord_token


def test_channel_of_the_request_is_ignored() -> None:
    """The job runs where its parent ran."""
    assert a_parent().channel == planned(channel="1180000000000000099").channel


def test_max_jobs_request_then_parent() -> None:
    """The request's limit wins, then the parent's; the account's has no say."""
    account = an_account(max_jobs=3)

    assert (
        planned(a_parent(max_jobs=7), account, max_jobs=2).max_jobs,
        planned(a_parent(max_jobs=7), account).max_jobs,
    ) == (2, 7)


def test_reply_fields_are_not_inherited() -> None:
    """`replyUrl` falls back to the caller's default, `replyRef` to nothing."""
    parent = a_parent(reply_url="https://parent.example", reply_ref="old")

    assert (planned(parent).reply_url, planned(parent).reply_ref) == ("https://default.example", None)
    mine = planned(parent, reply_url="https://mine.example", reply_ref="new")
    assert (mine.reply_url, mine.reply_ref) == ("https://mine.example", "new")
