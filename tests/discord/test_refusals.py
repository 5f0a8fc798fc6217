"""What the account does when Discord refuses, limits, fails or falls silent."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import aiohttp
import msgspec
import pytest

from localdiscord.faults.model import (
    Blocked,
    Captcha,
    DropConnection,
    Fail,
    Fault,
    Match,
    RateLimit,
    Slow,
    Truncate,
    Unauthorized,
    VerificationRequired,
)
from localdiscord.server import LocalDiscord
from localdiscord.world.rules import Rules
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.messages import BotMessage, InteractionAccepted
from pikarelay.jobs.secret import Secret, Unreadable
from pikarelay.services.ports import CommandRun
from tests.discord.pressing import create, order, retry
from tests.discord.surroundings import Listener, WallClock

PRESSES = Match(method="POST", route="/interactions")
READS = Match(method="GET", route="/channels/*/messages")
#: Two clients of one account do not know of each other's pace.
TWO_AT_ONCE = Rules(identify_interval=0.0)
POST = "POST /api/v9/interactions"


@pytest.fixture
async def parent(accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener) -> BotMessage:
    """A message whose button can be pressed."""
    return await create(accounts, token, channel, listener)


@pytest.mark.parametrize(
    ("do", "status", "standing"),
    [
        (Captcha(), 400, "captcha"),
        (Blocked(), 403, "blocked"),
        (VerificationRequired(), 403, "blocked"),
        (Unauthorized(), 401, "token_invalid"),
    ],
)
async def test_an_account_that_is_not_welcome_is_not_used_again(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
    do: Captcha | Blocked | VerificationRequired | Unauthorized,
    status: int,
    standing: str,
) -> None:
    """The refused press tells Discord's answer; every later call fails with the reason and asks nothing."""
    local.admin.arm(Fault(where="rest", match=PRESSES, do=do))

    with pytest.raises(DiscordRefused) as caught:
        await accounts.press_button(token, retry(parent, "1002"))
    asked = len(requests)
    with pytest.raises(AccountUnusable) as unusable:
        await accounts.press_button(token, retry(parent, "1003"))
    with pytest.raises(AccountUnusable):
        await accounts.read_history(token, channel, "0")

    assert caught.value.status == status
    assert unusable.value.status == status
    assert unusable.value.details == caught.value.details
    assert asked == len(requests)
    (state,) = accounts.states()
    assert state.standing == standing
    assert state.reason == unusable.value.reason
    assert {
        token.digest: AccountHealth(state=HealthState(standing), reason=state.reason)
    } == accounts.health()


async def test_a_token_that_cannot_be_read_is_not_asked_about(
    accounts: DiscordAccounts, parent: BotMessage, channel: str, requests: list[str]
) -> None:
    """What a stored token that cannot be read should do fails with that sentence, and Discord is not asked."""
    lost = Unreadable("accounts.discord_token of a row")
    asked = len(requests)

    with pytest.raises(AccountUnusable, match=r"^stored token cannot be read$"):
        await accounts.identify(lost, channel)
    with pytest.raises(AccountUnusable):
        await accounts.press_button(lost, retry(parent, "1002"))
    await accounts.forget(lost)

    assert asked == len(requests)


async def test_a_press_that_comes_too_late_is_not_sent(
    accounts: DiscordAccounts, token: Secret, parent: BotMessage, channel: str, requests: list[str]
) -> None:
    """A press that was held up, by a machine that slept for one, does not surprise anybody afterwards."""
    command = await accounts.find_command(token, channel, "create")
    assert command is not None
    late = timedelta()
    pressed = msgspec.structs.replace(retry(parent, "1002"), leave_by=late)
    run = CommandRun(
        nonce="1003", channel_id=channel, command=command, options={"prompt": "waves"}, leave_by=late
    )
    asked = len(requests)

    for held_up in (accounts.press_button(token, pressed), accounts.run_command(token, run)):
        with pytest.raises(DiscordUnavailable, match="held up") as caught:
            await held_up
        assert not caught.value.may_have_happened

    assert asked == len(requests)


async def test_a_person_can_release_an_account(
    accounts: DiscordAccounts, token: Secret, parent: BotMessage, listener: Listener, local: LocalDiscord
) -> None:
    """Once somebody has solved what Discord asked for, the account works again."""
    local.admin.arm(Fault(where="rest", match=PRESSES, do=Captcha()))
    with pytest.raises(DiscordRefused):
        await accounts.press_button(token, retry(parent, "1002"))

    accounts.release(token)
    await accounts.press_button(token, retry(parent, "1003"))

    assert (await listener.result(2)).id != parent.id


async def test_a_limited_press_is_told_in_discords_words(
    accounts: DiscordAccounts,
    token: Secret,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
) -> None:
    """A 429 is raised with its body; until it ends, presses are refused with the same body and not sent."""
    local.admin.arm(Fault(where="rest", match=PRESSES, do=RateLimit(retry_after=30)))

    with pytest.raises(DiscordRateLimited) as first:
        await accounts.press_button(token, retry(parent, "1002"))
    sent = requests.count(POST)
    with pytest.raises(DiscordRateLimited) as second:
        await accounts.press_button(token, retry(parent, "1003"))

    (health,) = accounts.health().values()
    assert msgspec.json.decode(first.value.details)["retry_after"] == 30
    assert second.value.details == first.value.details
    assert second.value.retry_after == pytest.approx(30, abs=1)
    assert requests.count(POST) == sent
    assert (HealthState.PAUSED, "Discord limits this account's requests") == (health.state, health.reason)
    assert health.until is not None
    assert 28 < (health.until - datetime.now(UTC)).total_seconds() < 31
    assert [health] == list(accounts.health().values())


async def test_slow_mode_holds_for_its_channel_only(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    user: dict[str, str],
    parent: BotMessage,
    local: LocalDiscord,
    listener: Listener,
) -> None:
    """A slow channel refuses presses there, and nowhere else."""
    bot = local.admin.state()["applications"][0]["bot_id"]
    guild = local.admin.create_guild("slow", [user["id"], bot], 2)
    slow = guild["channels"][0]["id"]
    local.admin.slow_mode(slow, 60)
    await accounts.identify(token, slow)
    await order(accounts, token, slow, "1002")

    with pytest.raises(DiscordRateLimited):
        await order(accounts, token, slow, "1003")
    with pytest.raises(DiscordRateLimited):
        await order(accounts, token, slow, "1004")
    await accounts.press_button(token, retry(parent, "1005"))

    await listener.first(InteractionAccepted, lambda accepted: accepted.nonce == "1005")
    assert dict(local.world.ledger.presses) == {"1001": 1, "1002": 1, "1005": 1}


@pytest.mark.parametrize(
    "do",
    [
        Fail(when="after"),
        Fail(status=502, body="html"),
        DropConnection(when="after"),
        DropConnection(when="before"),
    ],
)
async def test_an_unknown_outcome_is_not_repeated(
    accounts: DiscordAccounts,
    token: Secret,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
    do: Fail | DropConnection,
) -> None:
    """When the answer is lost or an error of Discord's, the press may have happened and is sent once only."""
    local.admin.arm(Fault(where="rest", match=PRESSES, do=do))
    before = requests.count(POST)

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.press_button(token, retry(parent, "1002"))

    assert caught.value.may_have_happened
    assert requests.count(POST) == before + 1


@pytest.mark.parametrize("rules", [TWO_AT_ONCE])
async def test_a_slow_answer_is_an_unknown_outcome(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    parent: BotMessage,
    local: LocalDiscord,
    listener: Listener,
) -> None:
    """An answer that does not come in time leaves the outcome open; the feed may tell it all the same."""
    accounts = make_accounts(timeout=aiohttp.ClientTimeout(total=0.3))
    await accounts.identify(token, parent.channel_id)
    local.admin.arm(Fault(where="rest", match=PRESSES, do=Slow(seconds=2.0, when="after")))

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.press_button(token, retry(parent, "1002"))

    assert caught.value.may_have_happened
    await listener.first(InteractionAccepted, lambda accepted: accepted.nonce == "1002")


@pytest.mark.parametrize(
    "do", [Fail(), Fail(status=502, body="html"), DropConnection(), Truncate(), RateLimit(retry_after=0.05)]
)
async def test_a_read_is_repeated(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    parent: BotMessage,
    local: LocalDiscord,
    do: Fail | DropConnection | Truncate | RateLimit,
) -> None:
    """A read that failed is made again, and succeeds without its caller noticing."""
    local.admin.arm(Fault(where="rest", match=READS, do=do))

    found = await accounts.read_message(token, channel, parent.id)

    assert found is not None
    assert found.id == parent.id


async def test_a_read_gives_up(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
) -> None:
    """After three repeats a read fails, and says that nothing can have happened."""
    local.admin.arm(Fault(where="rest", match=READS, do=Fail(status=503), times=None))
    before = len(requests)

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.read_message(token, channel, parent.id)

    assert caught.value.status == 503
    assert not caught.value.may_have_happened
    assert len(requests) == before + 4


async def test_a_read_does_not_wait_for_ever(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
) -> None:
    """A limit that lasts too long is told at once, and nothing is sent while it runs."""
    local.admin.arm(Fault(where="rest", match=READS, do=RateLimit(retry_after=3600, scope="global")))
    before = len(requests)

    with pytest.raises(DiscordRateLimited):
        await accounts.read_message(token, channel, parent.id)
    with pytest.raises(DiscordRateLimited):
        await accounts.press_button(token, retry(parent, "1002"))

    assert len(requests) == before + 1


async def test_cloudflare_stops_everything(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    parent: BotMessage,
    local: LocalDiscord,
    requests: list[str],
) -> None:
    """A 429 that is not Discord's own stops the requests of all accounts."""
    local.admin.arm(Fault(where="rest", match=PRESSES, do=RateLimit(scope="cloudflare", bare=True)))
    with pytest.raises(DiscordRateLimited) as caught:
        await accounts.press_button(token, retry(parent, "1002"))
    before = len(requests)

    with pytest.raises(DiscordUnavailable, match="stopped") as stopped:
        await accounts.press_button(token, retry(parent, "1003"))

    (health,) = accounts.health().values()
    assert caught.value.retry_after == 600
    assert HealthState.PAUSED is health.state
    assert "stopped" in health.reason
    assert health.until is not None
    assert 590 < (health.until - datetime.now(UTC)).total_seconds() < 601
    assert not stopped.value.may_have_happened
    assert len(requests) == before


async def test_a_button_that_is_gone(accounts: DiscordAccounts, token: Secret, parent: BotMessage) -> None:
    """A custom id that the message does not have is refused by Discord, and the account stays good."""
    press = msgspec.structs.replace(retry(parent, "1002"), custom_id="nothing")

    with pytest.raises(DiscordRefused) as caught:
        await accounts.press_button(token, press)

    assert caught.value.status == 400
    assert caught.value.is_stale
    assert "COMPONENT_VALIDATION_FAILED" in caught.value.details
    assert accounts.states()[0].standing == "good"


async def test_an_outdated_command_is_refused_as_such(
    accounts: DiscordAccounts, token: Secret, channel: str, parent: BotMessage, local: LocalDiscord
) -> None:
    """A stale version is refused as stale, and a fresh look-up finds the new one."""
    before = await accounts.find_command(token, channel, "create")
    local.admin.outdate_commands("Pika")

    with pytest.raises(DiscordRefused) as caught:
        await order(accounts, token, channel, "1002")
    after = await accounts.find_command(token, channel, "create", fresh=True)

    assert caught.value.is_stale
    assert "INVALID_VERSION" in caught.value.details
    assert before is not None
    assert after is not None
    assert before.version != after.version


@pytest.mark.parametrize("rules", [TWO_AT_ONCE])
async def test_nobody_is_there(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    parent: BotMessage,
    unused_tcp_port: int,
    http: aiohttp.ClientSession,
    listener: Listener,
    local: LocalDiscord,
) -> None:
    """When no connection can be made, nothing was pressed, and that is said."""
    accounts = make_accounts(
        base_url=f"http://127.0.0.1:{unused_tcp_port}/api/v9", gateway_url=local.gateway_url
    )
    account = accounts._account(token)
    account.gateway.start()
    await account.gateway.wait_live()

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.press_button(token, retry(parent, "1002"))

    assert not caught.value.may_have_happened


@pytest.mark.parametrize("rules", [TWO_AT_ONCE])
async def test_presses_are_paced(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    parent: BotMessage,
    local: LocalDiscord,
) -> None:
    """Two presses asked for at once leave one after the other, the interval apart and in order."""
    accounts = make_accounts(press_interval=timedelta(seconds=0.3))
    await accounts.identify(token, parent.channel_id)

    async def press(nonce: str) -> None:
        async with accounts.turn(token):
            await accounts.press_button(token, retry(parent, nonce))

    await asyncio.gather(*(press(nonce) for nonce in ("1002", "1003", "1004")))

    accepted = [
        entry
        for entry in local.world.ledger.since(0, None)
        if entry["event"] == "interaction_accepted" and entry["nonce"] != "1001"
    ]

    assert [entry["nonce"] for entry in accepted] == ["1002", "1003", "1004"]
    times = [entry["monotonic_ns"] / 1e9 for entry in accepted]
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(times))


async def test_discords_time_is_learnt(
    accounts: DiscordAccounts, token: Secret, channel: str, local: LocalDiscord
) -> None:
    """After the first answers our estimate of Discord's time is right to the second."""
    local.admin.advance_clock(3600)
    await accounts.identify(token, channel)
    await accounts.read_history(token, channel, "0")

    assert accounts.server_time().timestamp() == pytest.approx(local.clock.now(), abs=1.1)


@pytest.mark.parametrize("hours", [1, -1])
async def test_discords_time_outlives_a_clock_that_is_set(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    local: LocalDiscord,
    hours: int,
) -> None:
    """When somebody sets our clock, our estimate of Discord's time stays right, without another answer."""
    clock = WallClock()
    accounts = make_accounts(clock=clock)
    await accounts.identify(token, channel)
    clock.ahead += timedelta(hours=hours)

    assert accounts.server_time().timestamp() == pytest.approx(local.clock.now(), abs=60)


async def test_clock_that_is_set_before_the_first_answer(
    make_accounts: Callable[..., DiscordAccounts],
) -> None:
    """Before Discord has told its time ours is taken for it, as it was set last."""
    clock = WallClock()
    accounts = make_accounts(clock=clock)
    clock.ahead += timedelta(hours=1)

    assert accounts.server_time().timestamp() == pytest.approx(clock.now().timestamp(), abs=60)
