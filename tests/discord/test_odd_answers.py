"""Answers that nobody promised: from proxies, from a broken network, from a server that is not Discord."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.discord.client.rest import NOT_READY_SECONDS
from pikarelay.discord.client.transport import LARGEST_ANSWER, USER_AGENT, Transport
from pikarelay.discord.wire.closecodes import Remedy
from pikarelay.discord.wire.session import Stopped
from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ButtonPress, Command, CommandRun, FileToUpload
from tests.discord.odd_discord import CHANNEL, USER, Answer, OddDiscord, as_json, cut_off, plain
from tests.discord.surroundings import JumpingClock, Listener, WallClock, until

TOKEN = Secret("MTE3MDAwMDAwMDAwMDAwMDAwMQ.not-a-real.token-at-all-000000000000")
PRESS = ButtonPress(
    nonce="1", channel_id=CHANNEL, application_id="2", message_id="3", message_flags=0, custom_id="c"
)
COMMAND = Command(
    name="animate",
    command_id="1",
    version="1",
    application_id="2",
    bot_id="3",
    options={"image": 11, "prompt": 3},
)


@pytest.fixture
async def odd() -> AsyncIterator[OddDiscord]:
    async with OddDiscord.start() as odd:
        yield odd


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def offline(
    odd: OddDiscord, http: aiohttp.ClientSession, clock: JumpingClock, listener: Listener
) -> AsyncIterator[DiscordAccounts]:
    accounts = DiscordAccounts(
        http,
        clock=clock,
        on_sighting=listener,
        base_url=odd.url,
        gateway_url=odd.url.replace("http", "ws") + "/gateway",
        jitter=lambda: 0.0,
        timeout=aiohttp.ClientTimeout(total=0.5),
    )
    yield accounts
    await accounts.stop()


@pytest.fixture
async def accounts(offline: DiscordAccounts) -> DiscordAccounts:
    """Accounts of which one is live in a direct message."""
    await offline.identify(TOKEN, CHANNEL)
    return offline


async def test_a_session_over_torn_frames(offline: DiscordAccounts) -> None:
    """Messages cut into tiny frames make a session all the same."""
    identity = await offline.identify(TOKEN, CHANNEL)

    assert identity.user_id == USER


async def test_a_session_without_compression(offline: DiscordAccounts, odd: OddDiscord) -> None:
    """A server that does not compress is understood, too."""
    odd.is_compressed = False

    assert (await offline.identify(TOKEN, CHANNEL)).user_id == USER


@pytest.mark.parametrize("garbage", [b"hello", b"hello\x00\x00\xff\xff"])
async def test_garbage_on_the_gateway(offline: DiscordAccounts, odd: OddDiscord, garbage: bytes) -> None:
    """What cannot be read ends the connection resumably, and the next one is made."""
    odd.behind_ready = [garbage, b"\x00\x00\xff\xff"]
    await offline.identify(TOKEN, CHANNEL)

    await until(lambda: odd.connections == 2)
    assert odd.close_codes == [4000]


async def test_requests_are_timed(odd: OddDiscord, http: aiohttp.ClientSession, clock: JumpingClock) -> None:
    """Each request is told of with what it took, one that no answer came to among them."""
    told: list[tuple[str, timedelta]] = []

    def timed(path: str, duration: timedelta) -> None:
        told.append((path, duration))

    odd.answer = plain(204)
    for url in (odd.url, "http://127.0.0.1:1"):
        transport = Transport(http, url, now=clock.now, steady=WallClock().now, on_done=timed)
        with suppress(DiscordUnavailable):
            await transport.send("POST", "/interactions", body=b"{}")

    assert ["/interactions"] * 2 == [path for path, _ in told]
    assert all(duration > timedelta() for _, duration in told)


@pytest.mark.parametrize("status", [200, 204])
async def test_any_success_is_one(accounts: DiscordAccounts, odd: OddDiscord, status: int) -> None:
    """A press is accepted by any status of success."""
    odd.answer = plain(status)

    await accounts.press_button(TOKEN, PRESS)

    assert len(odd.seen) == 1


async def test_a_press_that_discord_is_not_ready_for(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """A press that Discord has no answer to may have happened, and is not sent again."""
    odd.answer = as_json(202, {"message": "Not ready", "code": 110000, "retry_after": 1})

    with pytest.raises(DiscordUnavailable, match="not ready") as caught:
        await accounts.press_button(TOKEN, PRESS)

    assert caught.value.may_have_happened
    assert len(odd.seen) == 1


@pytest.mark.parametrize(("retry_after", "seconds"), [(7, 7), (0, NOT_READY_SECONDS)])
async def test_a_read_that_discord_is_not_ready_for(
    accounts: DiscordAccounts, odd: OddDiscord, clock: JumpingClock, retry_after: int, seconds: float
) -> None:
    """A read that Discord has no answer to is made again when Discord says, three times at most."""
    odd.answer = as_json(202, {"message": "Not ready", "code": 110000, "retry_after": retry_after})
    clock.pauses.clear()

    with pytest.raises(DiscordUnavailable, match="not ready") as caught:
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert not caught.value.may_have_happened
    assert [seconds] * 3 == clock.pauses
    assert len(odd.seen) == 4


async def test_a_read_is_answered_when_discord_is_ready(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """Whoever reads does not notice that Discord was not ready at first."""
    not_ready, ready = as_json(202, {"retry_after": 1}), as_json(200, [])

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (not_ready if len(odd.seen) < 3 else ready)(request)

    odd.answer = answer

    assert await accounts.read_history(TOKEN, CHANNEL, "0") == ()
    assert len(odd.seen) == 3


async def test_a_read_does_not_wait_for_long(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """When Discord will not be ready for long, whoever reads is told at once."""
    odd.answer = as_json(202, {"retry_after": 3600})

    with pytest.raises(DiscordUnavailable, match="not ready"):
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert len(odd.seen) == 1


async def test_a_dead_token_is_not_used_after_a_wait(
    accounts: DiscordAccounts, odd: OddDiscord, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that waited for a limit is not sent when the token was refused meanwhile."""
    odd.answer = plain(429, '{"retry_after": 20}', Via="1.1 odd")
    account = accounts._account(TOKEN)

    async def die(_: timedelta) -> None:
        account._gateway_stopped(Stopped(Remedy.TOKEN_INVALID, "dead"))
        clock.advance(timedelta(seconds=21))

    monkeypatch.setattr(clock, "sleep", die)
    with pytest.raises(AccountUnusable, match="dead"):
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert len(odd.seen) == 1


async def test_a_success_that_breaks_off_is_one(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """The status is enough: the rest of an accepted press's answer does not matter."""
    odd.answer = cut_off(200, b"{")

    await accounts.press_button(TOKEN, PRESS)


@pytest.mark.parametrize(
    ("answer", "may_have_happened"),
    [(plain(502, "<html>Bad Gateway</html>"), True), (plain(522, "error code: 522"), True)],
)
async def test_the_edge_fails(
    accounts: DiscordAccounts, odd: OddDiscord, answer: Answer, may_have_happened: bool
) -> None:
    """An error page says that the outcome is unknown, and is kept for whoever reads the job."""
    odd.answer = answer

    with pytest.raises(DiscordUnavailable) as caught:
        await accounts.press_button(TOKEN, PRESS)

    assert caught.value.may_have_happened is may_have_happened
    assert "error" in caught.value.details or "html" in caught.value.details
    assert len(odd.seen) == 1


async def test_an_endless_wait(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """A server that never answers leaves the outcome unknown after the time-out."""

    async def hang(_: web.Request) -> web.Response:
        await odd.released.wait()
        return web.Response()

    odd.answer = hang

    with pytest.raises(DiscordUnavailable, match="TimeoutError") as caught:
        await accounts.press_button(TOKEN, PRESS)

    assert caught.value.may_have_happened


async def test_a_redirect_is_a_refusal(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """No redirect is followed: the token goes to no other address."""
    odd.answer = plain(302, "", Location=f"{odd.url}/elsewhere")

    with pytest.raises(DiscordRefused) as caught:
        await accounts.press_button(TOKEN, PRESS)

    assert caught.value.status == 302
    assert len(odd.seen) == 1


async def test_a_refusals_details_are_short(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """Of a long refusal no more is kept than a job should carry."""
    odd.answer = plain(404, "x" * 2_000_000, Via="1.1 odd")

    with pytest.raises(DiscordRefused) as caught:
        await accounts.press_button(TOKEN, PRESS)

    assert len(caught.value.details) == 4096


async def test_an_answer_that_is_too_large(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """A read does not fill the memory: an answer beyond the largest is no answer."""
    odd.answer = plain(200, " " * (LARGEST_ANSWER + 1))

    with pytest.raises(DiscordUnavailable, match="broke off"):
        await accounts.read_history(TOKEN, CHANNEL, "0")


@pytest.mark.parametrize("body", [b"<html>", b'{"message": 1}', b'[{"id": 5}]', b'["\xff"]'])
async def test_a_read_of_something_else(accounts: DiscordAccounts, odd: OddDiscord, body: bytes) -> None:
    """An answer of another shape is no usable answer, and the error shows none of it."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    odd.answer = answer

    with pytest.raises(DiscordUnavailable, match="history") as caught:
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert "html" not in str(caught.value)


async def test_a_429_of_cloudflares_is_not_repeated(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """A 429 without Via stops even reads, and nothing more is sent."""
    odd.answer = plain(429, "error code: 1015")

    with pytest.raises(DiscordUnavailable, match="stopped"):
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert len(odd.seen) == 1


async def test_a_read_waits_as_long_as_it_is_told(
    accounts: DiscordAccounts, odd: OddDiscord, clock: JumpingClock
) -> None:
    """Repeated 429s of a read are waited out, each longer than the one before, and then told."""
    odd.answer = as_json(429, {"retry_after": 3.0, "global": False, "message": "limited"})

    with pytest.raises(DiscordRateLimited):
        await accounts.read_history(TOKEN, CHANNEL, "0")

    assert clock.pauses == pytest.approx([3.05, 6.05, 12.05])
    assert len(odd.seen) == 4


async def test_a_limit_ends(accounts: DiscordAccounts, odd: OddDiscord, clock: JumpingClock) -> None:
    """Once a limit has run out, presses are sent again."""
    odd.answer = as_json(429, {"retry_after": 20.0, "global": True})
    with pytest.raises(DiscordRateLimited):
        await accounts.press_button(TOKEN, PRESS)
    odd.answer = plain(204)

    clock.advance(timedelta(seconds=21))
    await accounts.press_button(TOKEN, PRESS)

    assert len(odd.seen) == 2


async def test_presses_keep_the_default_distance(
    accounts: DiscordAccounts, odd: OddDiscord, clock: JumpingClock
) -> None:
    """Without settings, presses of an account are a second and a half apart."""
    for _ in range(3):
        async with accounts.turn(TOKEN):
            await accounts.press_button(TOKEN, PRESS)

    assert clock.pauses == pytest.approx([1.5, 1.5])


async def test_requests_say_who_we_are(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """A request carries the token without a prefix and our own name, and no disguise."""
    await accounts.press_button(TOKEN, PRESS)

    headers = odd.seen[0].headers
    assert headers["Authorization"] == TOKEN.reveal()
    assert headers["User-Agent"] == USER_AGENT
    assert headers["Content-Type"] == "application/json"
    assert not [name for name in headers if name.lower().startswith(("x-super", "sec-", "origin"))]


async def test_the_token_shows_nowhere(
    accounts: DiscordAccounts, odd: OddDiscord, capsys: pytest.CaptureFixture[str]
) -> None:
    """No log line, error or state shows a token, whatever goes wrong."""
    shown: list[str] = []
    with structlog.testing.capture_logs() as logs:
        for answer in (plain(500), as_json(429, {}), cut_off(404, b"{"), as_json(401, {"code": 0})):
            odd.answer = answer
            with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever it is, it must not show the token
                await accounts.press_button(TOKEN, PRESS)
            shown.append(repr(caught.value) + str(caught.value.__dict__))
    shown += [repr(accounts.states()), repr(accounts.sessions()), repr(logs), *capsys.readouterr()]

    assert TOKEN.reveal() not in "".join(shown)
    assert TOKEN.masked in repr(logs)


# Uploads


class Bucket:
    """Reserves places and keeps what is put there, after failing as often as it is told."""

    def __init__(self, odd: OddDiscord, failures: int = 0, status: int = 500, slots: int = 1) -> None:
        self._odd = odd
        self.failures = failures
        self.status = status
        self.slots = slots
        self.stored: list[bytes] = []
        self.headers: list[Any] = []

    async def __call__(self, request: web.Request) -> web.Response:
        if request.path.endswith("/attachments"):
            place = {"id": 0, "upload_url": f"{self._odd.url}/bucket", "upload_filename": "uuid/in.png"}
            return web.json_response({"attachments": [place] * self.slots})
        if request.path == "/bucket":
            self.headers.append(request.headers)
            self.stored.append(await request.read())
            if self.failures:
                self.failures -= 1
                return web.Response(status=self.status, text="<Error/>")
        return web.Response(status=204)


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"abcd"


FILE = FileToUpload(filename="in.png", size=12, read=chunks)


async def test_a_bucket_gets_bytes_and_no_secrets(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """The bucket gets the bytes with their length, no token and no content type; a failure of its own is repeated."""
    odd.answer = bucket = Bucket(odd, failures=1)

    await accounts.upload(TOKEN, CHANNEL, (FILE,))

    assert bucket.stored == [b"abcd" * 3] * 2
    assert bucket.headers[0]["Content-Length"] == "12"
    assert "Authorization" not in bucket.headers[0]
    assert "Content-Type" not in bucket.headers[0]


@pytest.mark.parametrize(
    ("failures", "status", "slots", "error"),
    [(9, 500, 1, DiscordUnavailable), (1, 403, 1, DiscordRefused), (0, 500, 2, DiscordUnavailable)],
)
async def test_an_upload_that_fails(
    accounts: DiscordAccounts,
    odd: OddDiscord,
    failures: int,
    status: int,
    slots: int,
    error: type[Exception],
) -> None:
    """When an upload fails for good, it is said that nothing has happened by it."""
    odd.answer = Bucket(odd, failures, status, slots)

    with pytest.raises(error) as caught:
        await accounts.upload(TOKEN, CHANNEL, (FILE,))

    assert "/interactions" not in {request.path for request in odd.seen}
    assert not getattr(caught.value, "may_have_happened", False)


async def test_an_option_that_the_command_lost(accounts: DiscordAccounts, odd: OddDiscord) -> None:
    """An option that the command no longer has is refused without asking Discord."""
    run = CommandRun(nonce="1", channel_id=CHANNEL, command=COMMAND, options={"font": "MODERN"})

    with pytest.raises(DiscordRefused, match="400") as caught:
        await accounts.run_command(TOKEN, run)

    assert "no option font" in caught.value.details
    assert odd.seen == []
