"""Presses that meet a session which Discord has ended: they wait for the next one, and leave once."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from localdiscord.faults.model import Cut, Fail, Fault, InvalidSession, Match, Refuse, Slow
from localdiscord.server import LocalDiscord
from localdiscord.world.rules import Rules
from pikarelay.discord.client import account
from pikarelay.discord.client.accounts import DiscordAccounts, Link
from pikarelay.errors import DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import Status
from pikarelay.jobs.secret import Secret
from tests.discord.pressing import create, order, retry
from tests.discord.relaying import double_presses, relaying
from tests.discord.surroundings import Listener, until

POST = "POST /api/v9/interactions"
#: Discord serves a press this much later than it came: time for the session to end meanwhile.
ON_THE_WAY = Slow(seconds=0.5, when="before")
#: Sessions may follow each other at once, so that a test takes no longer than it must.
AT_ONCE = Rules(identify_interval=0.0)


async def begin_and_end(
    posting: Coroutine[Any, Any, None],
    end: InvalidSession | Cut,
    local: LocalDiscord,
    user: dict[str, Any],
    requests: list[str],
) -> asyncio.Task[None]:
    """Begin to post an interaction, and end the session in whose name it goes before Discord serves it."""
    before = requests.count(POST)
    local.admin.arm(Fault(where="rest", match=Match(method="POST", route="/interactions"), do=ON_THE_WAY))
    begun = asyncio.create_task(posting)
    await until(lambda: requests.count(POST) == before + 1)
    local.admin.disturb(local.admin.sessions_of(user["id"]), end)
    return begun


@pytest.mark.parametrize("rules", [AT_ONCE])
@pytest.mark.parametrize("end", [InvalidSession(resumable=False), Cut()])
async def test_press_in_the_name_of_an_ended_session_is_posted_again(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    user: dict[str, Any],
    requests: list[str],
    end: Any,
) -> None:
    """A press refused because its session had ended on the way leaves again in the next one, and is pressed once."""
    first = await create(accounts, token, channel, listener)

    pressing = accounts.press_button(token, retry(first, "1002"))
    await (await begin_and_end(pressing, end, local, user, requests))
    second = await listener.result(2)

    assert second.id != first.id
    assert {"1001": 1, "1002": 1} == dict(local.world.ledger.presses)


@pytest.mark.parametrize("rules", [AT_ONCE])
async def test_command_in_the_name_of_an_ended_session_is_posted_again(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    user: dict[str, Any],
    requests: list[str],
) -> None:
    """What holds for a press holds for a command."""
    await create(accounts, token, channel, listener)

    running = order(accounts, token, channel, "1002")
    await (await begin_and_end(running, InvalidSession(resumable=False), local, user, requests))

    assert 1 == local.world.ledger.presses["1002"]


async def test_press_refused_in_the_name_of_a_standing_session_stays_refused(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the session does not seem to have ended, Discord's refusal stands and nothing else leaves."""
    monkeypatch.setattr(account, "SUCCESSOR_SECONDS", 0.2)
    first = await create(accounts, token, channel, listener)
    before = requests.count(POST)
    form = {"session_id": {"_errors": [{"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]}}
    refusal = Fail(status=400, code=50035, message="Invalid Form Body", errors=form)
    local.admin.arm(Fault(where="rest", match=Match(method="POST", route="/interactions"), do=refusal))

    with pytest.raises(DiscordRefused, match="400"):
        await accounts.press_button(token, retry(first, "1002"))
    assert requests.count(POST) == before + 1


async def test_press_that_no_session_follows_for_is_given_up(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    user: dict[str, Any],
    requests: list[str],
) -> None:
    """When its session has ended and none follows for as long as presses wait, the press is known not to have happened."""
    accounts = make_accounts(session_wait=timedelta(seconds=1))
    first = await create(accounts, token, channel, listener)
    before = requests.count(POST)
    local.admin.arm(Fault(where="gateway", do=Refuse(seconds=30), times=None))

    pressing = accounts.press_button(token, retry(first, "1002"))
    begun = await begin_and_end(pressing, InvalidSession(resumable=False), local, user, requests)

    with pytest.raises(DiscordUnavailable) as caught:
        await begun
    assert not caught.value.may_have_happened
    assert requests.count(POST) == before + 1
    assert "1002" not in local.world.ledger.presses


@pytest.mark.parametrize("rules", [AT_ONCE])
async def test_a_session_that_ends_on_its_connection_has_just_ended(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    user: dict[str, Any],
) -> None:
    """A session that was there for longer than presses wait, and that Discord ends with a word, is waited for as any other."""
    wait = timedelta(seconds=4)
    accounts = make_accounts(session_wait=wait)
    first = await create(accounts, token, channel, listener)
    there = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > there + wait.total_seconds())
    local.admin.disturb(local.admin.sessions_of(user["id"]), InvalidSession(resumable=False))
    await until(lambda: accounts.states()[0].link is Link.CONNECTING)

    await accounts.press_button(token, retry(first, "1002"))
    await listener.result(2)

    assert {"1001": 1, "1002": 1} == dict(local.world.ledger.presses)


async def test_job_waits_while_its_session_is_made_anew(
    local: LocalDiscord, token: Secret, channel: str, user: dict[str, Any], tmp_path: Path
) -> None:
    """A job admitted while no session is live is answered as started, waits for the next session, and completes."""
    async with relaying(local, tmp_path, **{"discord.answer_wait_seconds": 0.5}) as relay:
        parent = await relay.created("waves", token.reveal(), channel)
        # Its IDENTIFY has to wait out Discord's pace: some seconds without a session.
        local.admin.disturb(local.admin.sessions_of(user["id"]), InvalidSession(resumable=False))

        status, body = await relay.retry(parent)
        job = await relay.ended(body["jobid"])

    assert (200, "started") == (status, body["status"])
    assert "messageId" not in body
    assert Status.COMPLETED is job.status
    assert [] == double_presses(local)


async def test_account_that_is_offline_for_long_keeps_nobody_waiting(
    local: LocalDiscord, token: Secret, channel: str, user: dict[str, Any], tmp_path: Path
) -> None:
    """Once an account has had no session for as long as presses wait, its jobs fail at once, unpressed."""
    settings = {"discord.session_wait_seconds": 1, "discord.answer_wait_seconds": 0.5}
    async with relaying(local, tmp_path, **settings) as relay:
        parent = await relay.created("waves", token.reveal(), channel)
        presses = dict(local.world.ledger.presses)
        local.admin.arm(Fault(where="gateway", do=Refuse(seconds=60), times=None))
        local.admin.disturb(local.admin.sessions_of(user["id"]), Cut())

        patient, waiting = await relay.retry(parent)
        waited = await relay.ended(waiting["jobid"])
        status, body = await relay.retry(parent)

    assert (200, "Discord /interactions could not be reached") == (patient, waited.error)
    assert (502, "Discord /interactions could not be reached") == (status, body["error"])
    assert presses == dict(local.world.ledger.presses)


async def test_job_outlives_a_changed_command(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """A command that its owner has changed is looked up again within the same request."""
    async with relaying(local, tmp_path) as relay:
        await relay.created("waves", token.reveal(), channel)
        local.admin.outdate_commands("Pika")

        job_id = await relay.created("more waves", token.reveal(), channel)

    assert job_id
    assert [] == double_presses(local)
