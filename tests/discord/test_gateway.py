"""The Gateway session of an account, disturbed in every way that Discord knows."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from localdiscord.faults.model import (
    Close,
    Cut,
    Duplicate,
    Fault,
    InvalidSession,
    Lose,
    Match,
    NoAcks,
    Reconnect,
    Refuse,
    ShrinkReplay,
    Unauthorized,
)
from localdiscord.server import LocalDiscord
from localdiscord.world.rules import Rules
from pikarelay.discord.client import delivery
from pikarelay.discord.client.accounts import DiscordAccounts, Link
from pikarelay.errors import AccountUnusable, DiscordRefused, DiscordUnavailable, Unavailable
from pikarelay.jobs.messages import BotMessage, FeedInterrupted, Kind, Sighting
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Identity
from tests.discord.pressing import create, order, retry
from tests.discord.surroundings import Listener, until


def sessions(local: LocalDiscord) -> list[dict[str, Any]]:
    return list(local.admin.state()["sessions"])


@pytest.mark.parametrize(
    "fault", [Reconnect(), Cut(), Close(4000), Close(1001), InvalidSession(resumable=True)]
)
async def test_a_resumed_session_loses_nothing(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    listener: Listener,
    local: LocalDiscord,
    fault: Any,
) -> None:
    """Whatever ends the connection just before the video, the resume brings the video and the session stays one."""
    first = await create(accounts, token, channel, listener)
    before = sessions(local)[0]["id"]
    local.admin.arm(Fault(where="gateway", match=Match(event="MESSAGE_CREATE"), do=fault, skip=1))

    await accounts.press_button(token, retry(first, "1002"))
    second = await listener.result(2)

    assert second.id != first.id
    assert [before] == [each["id"] for each in sessions(local) if each["user_id"] != first.author_id]
    assert listener.all(FeedInterrupted) == []


async def test_a_lost_session_begins_anew_and_says_so(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """When Discord will not resume, a new session begins after its pace, and the gap is told; history fills it."""
    first = await create(accounts, token, channel, listener)
    local.admin.arm(
        Fault(where="gateway", match=Match(event="MESSAGE_CREATE"), do=InvalidSession(resumable=False))
    )

    await accounts.press_button(token, retry(first, "1002"))
    await listener.first(FeedInterrupted)
    history = await accounts.read_history(token, channel, first.id)

    assert Kind.RESULT in {message.kind for message in history}
    assert [message.id for message in history] == sorted((m.id for m in history), key=int)


@pytest.mark.parametrize("rules", [Rules(replay_limit=500, heartbeat_interval=0.4)])
async def test_a_dead_connection_is_noticed(
    accounts: DiscordAccounts, token: Secret, channel: str, local: LocalDiscord
) -> None:
    """Without an answer to a heartbeat the connection is replaced, and the session goes on."""
    await accounts.identify(token, channel)
    before = sessions(local)[0]
    local.admin.arm(Fault(where="gateway", do=NoAcks()))

    await until(lambda: not sessions(local)[0]["connected"])
    await until(lambda: sessions(local)[0]["connected"])

    assert sessions(local)[0]["id"] == before["id"]


@pytest.mark.parametrize("rules", [Rules(heartbeat_interval=0.2, heartbeat_grace=0.05)])
async def test_heartbeats_are_in_time(
    accounts: DiscordAccounts, token: Secret, channel: str, local: LocalDiscord
) -> None:
    """Over many intervals no heartbeat is missed, and the connection stays the same."""
    await accounts.identify(token, channel)
    local.admin.ask_heartbeats(sessions(local)[0]["id"])

    with pytest.raises(TimeoutError):
        await until(lambda: not sessions(local)[0]["connected"], seconds=1.5)


async def test_a_gateway_that_is_down_is_tried_again(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str, local: LocalDiscord
) -> None:
    """While the Gateway refuses connections the account is not live in time, and later it is."""
    accounts = make_accounts(session_wait=timedelta(seconds=0.2))
    local.admin.arm(Fault(where="gateway", do=Refuse(seconds=0.6), times=None))

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.identify(token, channel)
    assert not caught.value.may_have_happened
    assert accounts.states()[0].link is Link.CONNECTING
    await until(lambda: accounts.states()[0].link is Link.LIVE)


async def test_a_lost_dispatch_is_noticed(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """A dispatch that never comes leaves a hole in the numbers, which is told."""
    first = await create(accounts, token, channel, listener)
    local.admin.arm(Fault(where="gateway", match=Match(event="MESSAGE_CREATE"), do=Lose(gap=True)))

    await accounts.press_button(token, retry(first, "1002"))

    await listener.first(FeedInterrupted)


async def test_a_repeated_dispatch_is_told_twice(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """What Discord sends twice is told twice, and is no gap."""
    local.admin.arm(Fault(where="gateway", match=Match(event="INTERACTION_SUCCESS"), do=Duplicate()))
    await create(accounts, token, channel, listener)

    assert listener.all(FeedInterrupted) == []


async def test_a_replay_that_is_too_short(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """When the replay cannot bring everything, Discord refuses the resume and the gap is told."""
    first = await create(accounts, token, channel, listener)
    local.admin.arm(Fault(where="gateway", do=ShrinkReplay(size=0)))
    local.admin.arm(Fault(where="gateway", match=Match(event="MESSAGE_CREATE"), do=Cut()))

    await accounts.press_button(token, retry(first, "1002"))

    await listener.first(FeedInterrupted)


async def test_a_dead_token_stops_the_account(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    local: LocalDiscord,
    user: dict[str, str],
    requests: list[str],
) -> None:
    """After close code 4004 nothing is asked of Discord with that token again."""
    await accounts.identify(token, channel)
    local.admin.revoke(user["id"])
    await until(lambda: accounts.states()[0].standing == "token_invalid")
    asked = len(requests)

    with pytest.raises(AccountUnusable, match="does not accept this token"):
        await accounts.identify(token, channel)
    with pytest.raises(AccountUnusable):
        await accounts.find_command(token, channel, "create")
    assert asked == len(requests)
    assert accounts.states()[0].link is Link.OFFLINE


async def test_a_token_that_never_worked(
    accounts: DiscordAccounts, channel: str, requests: list[str]
) -> None:
    """A token that Discord does not know fails at once and for ever, without a second IDENTIFY."""
    stranger = Secret("MTE3MDAwMDAwMDAwMDAwMDAwMQ.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbb")
    for _ in range(2):
        with pytest.raises(AccountUnusable):
            await accounts.identify(stranger, channel)

    assert requests == ["GET /api/v9/gateway", "GET /"]


async def test_stopping_keeps_the_session_for_another_process(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    local: LocalDiscord,
    listener: Listener,
) -> None:
    """A stopped server leaves a session that its successor resumes, without an IDENTIFY and without a gap."""
    before = make_accounts()
    first = await create(before, token, channel, listener)
    states = before.sessions()
    await before.stop()
    assert [each["connected"] for each in sessions(local)] == [False]

    after = make_accounts(resume=states)
    identity = await after.identify(token, channel)
    await after.press_button(token, retry(first, "1002"))
    await listener.result(2)

    assert identity.user_id == local.admin.state()["users"][0]["id"]
    assert len(sessions(local)) == 1
    assert listener.all(FeedInterrupted) == []


async def test_a_session_that_may_be_anothers_is_left_to_them(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str, local: LocalDiscord
) -> None:
    """Who lost its connection resumes only when it may connect, and so takes nothing away from whoever went on with the session."""
    may_connect = True
    one, two = make_accounts(may_connect=lambda _: may_connect), make_accounts()
    await one.identify(token, channel)
    kept = one.sessions()
    may_connect = False
    two.resume(kept)
    await two.identify(token, channel)
    await until(lambda: Counter({(Link.CONNECTING, "good"): 1}) == one.session_counts())
    with pytest.raises(TimeoutError):
        await until(lambda: two.session_counts() != Counter({(Link.LIVE, "good"): 1}), seconds=1.5)
    may_connect = True

    await until(lambda: Counter({(Link.LIVE, "good"): 1}) == one.session_counts())


async def test_an_account_whose_session_comes_from_elsewhere_leaves_nothing_behind(
    accounts: DiscordAccounts, token: Secret, channel: str, local: LocalDiscord
) -> None:
    """When a refused account is taken up anew with a session of another process, nothing of the old one goes on."""
    await accounts.identify(token, channel)
    kept = accounts.sessions()
    local.admin.arm(Fault(where="rest", match=Match(method="POST", route="/interactions"), do=Unauthorized()))
    with pytest.raises(DiscordRefused):
        await order(accounts, token, channel, "1001")
    await until(lambda: accounts.states()[0].link is Link.OFFLINE)
    assert "delivery" in {task.get_name() for task in asyncio.all_tasks()}
    accounts.resume(kept)

    assert not accounts.tokens()
    await until(lambda: "delivery" not in {task.get_name() for task in asyncio.all_tasks()})


async def test_after_stop_nothing_opens(accounts: DiscordAccounts, token: Secret, channel: str) -> None:
    """A server that is shutting down opens no session, and says that nothing was sent."""
    await accounts.stop()

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.identify(token, channel)
    assert not caught.value.may_have_happened


async def test_a_failing_listener_does_not_silence_the_account(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener
) -> None:
    """A sighting that cannot be handled is logged, and the next one is delivered all the same."""
    listener.failure = RuntimeError("no")
    first = await create(accounts, token, channel, listener)

    assert first.kind is Kind.RESULT


async def test_an_account_that_was_released_is_heard_again(
    make_accounts: Callable[..., DiscordAccounts],
    token: Secret,
    channel: str,
    local: LocalDiscord,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When Discord has refused a token while a sighting was stuck, whoever sets it up again hears that one and all that follow."""
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.0)
    stuck, may_go_on = asyncio.Event(), asyncio.Event()

    async def listen(identity: Identity, sighting: Sighting) -> None:
        if isinstance(sighting, BotMessage):
            stuck.set()
            await may_go_on.wait()
        await listener(identity, sighting)

    accounts = make_accounts(on_sighting=listen)
    await accounts.identify(token, channel)
    await order(accounts, token, channel, "1001")
    await asyncio.wait_for(stuck.wait(), 15)
    local.admin.arm(Fault(where="rest", match=Match(method="POST", route="/interactions"), do=Unauthorized()))
    with pytest.raises(DiscordRefused):
        await order(accounts, token, channel, "1002")
    await until(lambda: accounts.states()[0].link is Link.OFFLINE)

    accounts.release(token)
    await accounts.identify(token, channel)
    may_go_on.set()
    await order(accounts, token, channel, "1003")

    assert (await listener.result(1)).id != (await listener.result(2)).id


@pytest.mark.parametrize("rules", [Rules(heartbeat_interval=0.3, heartbeat_grace=0.1)])
async def test_a_slow_listener_does_not_stop_the_heart(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str, local: LocalDiscord
) -> None:
    """While a listener is stuck, heartbeats and their answers go on."""
    stuck, may_go_on = asyncio.Event(), asyncio.Event()

    async def listen(*_: object) -> None:
        stuck.set()
        await may_go_on.wait()

    accounts = make_accounts(on_sighting=listen)
    await accounts.identify(token, channel)
    await order(accounts, token, channel, "1001")
    await stuck.wait()
    before = sessions(local)[0]

    with pytest.raises(TimeoutError):
        await until(lambda: not sessions(local)[0]["connected"], seconds=1.2)
    may_go_on.set()
    assert sessions(local)[0]["id"] == before["id"]


async def test_a_guilds_channel_is_subscribed_to(
    accounts: DiscordAccounts, token: Secret, local: LocalDiscord, listener: Listener, user: dict[str, str]
) -> None:
    """In a large guild messages come only to those who asked for them, so they are asked for."""
    bot = local.admin.state()["applications"][0]["bot_id"]
    guild = local.admin.create_guild("large", [user["id"], bot], 1000)
    channel = guild["channels"][0]["id"]

    result = await create(accounts, token, channel, listener)

    assert result.channel_id == channel


async def test_other_channels_are_not_heard(
    accounts: DiscordAccounts,
    token: Secret,
    channel: str,
    local: LocalDiscord,
    listener: Listener,
    user: dict[str, str],
) -> None:
    """Messages of a channel nobody asked for never reach the listener."""
    bot = local.admin.state()["applications"][0]["bot_id"]
    guild = local.admin.create_guild("other", [user["id"], bot], 2)
    elsewhere = guild["channels"][0]["id"]
    first = await create(accounts, token, channel, listener)
    await order(accounts, token, elsewhere, "1002")
    await accounts.press_button(token, retry(first, "1003"))
    await listener.result(2)

    assert {channel} == {message.channel_id for message in listener.all(BotMessage)}


async def test_what_was_not_taken_in_is_heard_again(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str, listener: Listener
) -> None:
    """A process that dies while it takes in a message leaves a session that brings that message once more."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(identity: Identity, sighting: Sighting) -> None:
        if isinstance(sighting, BotMessage) and sighting.kind is Kind.RESULT:
            reached.set()
            await go_on.wait()

    before = make_accounts(on_sighting=slow)
    await before.identify(token, channel)
    await order(before, token, channel, "1001")
    await asyncio.wait_for(reached.wait(), 15)
    states = before.sessions()
    go_on.set()
    await before.stop()

    await make_accounts(resume=states).identify(token, channel)
    result = await listener.result()

    assert Kind.RESULT is result.kind
    assert listener.all(FeedInterrupted) == []


async def test_what_a_store_could_not_take_is_heard_by_the_next_process(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str, listener: Listener
) -> None:
    """A sighting that meets a store which is away is told until it is taken in, and by the next process if this one ends."""
    asked = 0

    async def away(_identity: Identity, sighting: Sighting) -> None:
        nonlocal asked
        if isinstance(sighting, BotMessage) and sighting.kind is Kind.RESULT:
            asked += 1
            raise Unavailable

    before = make_accounts(on_sighting=away)
    await before.identify(token, channel)
    await order(before, token, channel, "1001")
    await until(lambda: asked > 1)
    await before.stop()

    await make_accounts(resume=before.sessions()).identify(token, channel)
    result = await listener.result()

    assert Kind.RESULT is result.kind
    assert listener.all(FeedInterrupted) == []


async def test_a_session_is_known_while_it_is_left(
    make_accounts: Callable[..., DiscordAccounts], token: Secret, channel: str
) -> None:
    """A session that is being closed for somebody else can be gone on with at any moment, however long that takes."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_identity: Identity, sighting: Sighting) -> None:
        if isinstance(sighting, BotMessage):
            reached.set()
            await go_on.wait()

    accounts = make_accounts(on_sighting=slow)
    await accounts.identify(token, channel)
    await order(accounts, token, channel, "1001")
    await asyncio.wait_for(reached.wait(), 15)
    before = accounts.sessions()
    leaving = asyncio.create_task(accounts.leave(token))
    await asyncio.sleep(0)
    assert not accounts.tokens()
    meanwhile = accounts.sessions()
    go_on.set()
    await leaving

    assert before.keys() == meanwhile.keys() == accounts.sessions().keys() == {token.digest}
    assert meanwhile[token.digest].sequence <= accounts.sessions()[token.digest].sequence
