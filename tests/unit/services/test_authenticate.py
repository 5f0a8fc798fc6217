"""Who is calling, and may they."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from pikarelay.errors import ScopeMissing, SubscriptionExpired, TooManyGuesses, Unauthorized
from pikarelay.jobs.api_tokens import EVERY_SCOPE, Scope, format_token
from pikarelay.jobs.guesses import Guesses
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import Authenticator, Credentials, is_subscribed, token_digest
from pikarelay.services.ports import ApiToken
from tests.factories import a_caller
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

LAST_DAY = datetime(2026, 8, 1, tzinfo=UTC)
TOKEN, OTHER = format_token(b"1" * 32), format_token(b"2" * 32)
#: How many failures an address may have in a minute.
LIMIT = 20


@pytest.fixture
def authenticator(relay: FakeRelay) -> Authenticator:
    return Authenticator(relay.store, relay.clock, Guesses(LIMIT))


async def give(
    relay: FakeRelay,
    caller: Caller,
    scopes: frozenset[Scope] = EVERY_SCOPE,
    expires: datetime | None = None,
) -> None:
    relay.store.kept_callers[caller.caller_id] = caller
    token = ApiToken(
        token_id="t1",
        caller_id=caller.caller_id,
        hint="pkr_",
        created=START,
        scopes=scopes,
        expires=expires,
    )
    await relay.store.add_api_token(token, token_digest(TOKEN))


async def test_known_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A token is its caller's, and the store keeps only its digest."""
    await give(relay, a_caller())

    assert a_caller() == await authenticator.subscriber(Credentials(TOKEN))
    assert hashlib.sha256(TOKEN.encode()).digest() == token_digest(TOKEN)


async def test_unknown_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A token that was never made is refused, after the store was asked for it."""
    await give(relay, a_caller())

    with pytest.raises(Unauthorized):
        await authenticator.subscriber(Credentials(OTHER))
    assert 1 == relay.store.asked_for_holders


@pytest.mark.parametrize(
    "text", [None, "", "user:secret", TOKEN + " ", TOKEN[:-1], TOKEN.swapcase(), "\udcff"]
)
async def test_malformed_token(relay: FakeRelay, authenticator: Authenticator, text: str | None) -> None:
    """What cannot be a token of ours is refused like an unknown one, and the store is not asked."""
    await give(relay, a_caller())

    with pytest.raises(Unauthorized):
        await authenticator.subscriber(Credentials(text))
    assert 0 == relay.store.asked_for_holders


async def test_revoked_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A revoked token ends with its next request."""
    await give(relay, a_caller())
    await authenticator.identify(Credentials(TOKEN))
    await relay.store.revoke_api_token("t1", relay.clock.now())

    with pytest.raises(Unauthorized):
        await authenticator.identify(Credentials(TOKEN))


async def test_expired_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A token is good until the moment it expires, and is unknown from then on."""
    await give(relay, a_caller(), expires=START + timedelta(days=1))
    await relay.clock.advance(timedelta(days=1) - timedelta(milliseconds=1))
    before = await authenticator.identify(Credentials(TOKEN))
    await relay.clock.advance(timedelta(milliseconds=1))

    assert a_caller() == before
    with pytest.raises(Unauthorized):
        await authenticator.identify(Credentials(TOKEN))


async def test_many_guesses(relay: FakeRelay, authenticator: Authenticator) -> None:
    """Beyond the limit an address is told to wait, whatever is wrong with what it sends; another one is not."""
    await give(relay, a_caller())
    wrong = [None, "user:secret", OTHER, TOKEN[:-1]]
    for text in wrong * 5:
        with pytest.raises(Unauthorized):
            await authenticator.subscriber(Credentials(text, "192.0.2.1"))
    await relay.clock.advance(timedelta(seconds=20))
    for text in wrong * 5:
        with pytest.raises(TooManyGuesses) as raised:
            await authenticator.administrator(Credentials(text, "192.0.2.1"))
        assert timedelta(seconds=40) == raised.value.retry_after
    with pytest.raises(Unauthorized):
        await authenticator.identify(Credentials(OTHER, "192.0.2.2"))
    await relay.clock.advance(timedelta(seconds=40))
    with pytest.raises(Unauthorized):
        await authenticator.identify(Credentials(OTHER, "192.0.2.1"))


async def test_guesses_lock_nobody_out(relay: FakeRelay, authenticator: Authenticator) -> None:
    """Ten thousand guesses from the caller's own address do not keep it from being served, and it is not counted."""
    await give(relay, a_caller())
    for number in range(10_000):
        with pytest.raises((Unauthorized, TooManyGuesses)):
            await authenticator.subscriber(Credentials(OTHER if number % 2 else TOKEN[:-1], "192.0.2.1"))
        if not number % 1000:
            assert a_caller() == await authenticator.subscriber(Credentials(TOKEN, "192.0.2.1"))

    # What cannot be a token cost the store nothing.
    assert 5000 + 10 == relay.store.asked_for_holders


async def test_served_requests_are_no_guesses(relay: FakeRelay, authenticator: Authenticator) -> None:
    """However often a valid token is used, and refused for its scope or its subscription, the first failure is 401."""
    await give(relay, a_caller(has_subscription=False), frozenset({Scope.USE}))
    for _ in range(2 * LIMIT):
        await authenticator.identify(Credentials(TOKEN))
        with pytest.raises(SubscriptionExpired):
            await authenticator.subscriber(Credentials(TOKEN))
        with pytest.raises(ScopeMissing):
            await authenticator.administrator(Credentials(TOKEN))

    with pytest.raises(Unauthorized):
        await authenticator.identify(Credentials(OTHER))


@pytest.mark.parametrize("scope", Scope)
async def test_one_scope(relay: FakeRelay, authenticator: Authenticator, scope: Scope) -> None:
    """A token with one scope is good for that and for what needs none, and is told which one it lacks for the other."""
    await give(relay, a_caller(), frozenset({scope}))
    (lacking,) = EVERY_SCOPE - {scope}

    assert a_caller() == await authenticator.identify(Credentials(TOKEN))
    assert a_caller() == await authenticator.identify(Credentials(TOKEN), scope)
    with pytest.raises(ScopeMissing, match=lacking.value):
        await authenticator.identify(Credentials(TOKEN), lacking)


async def test_scopes_of_jobs_and_accounts(relay: FakeRelay, authenticator: Authenticator) -> None:
    """Jobs take the scope `use`, and that is told before a subscription that is over."""
    await give(relay, a_caller(has_subscription=False), frozenset({Scope.ADMINISTER}))

    assert "Ada" == (await authenticator.administrator(Credentials(TOKEN))).name
    with pytest.raises(ScopeMissing):
        await authenticator.subscriber(Credentials(TOKEN))


async def test_expired_caller_is_identified_all_the_same(
    relay: FakeRelay, authenticator: Authenticator
) -> None:
    """A caller without subscription is known, and may not submit."""
    caller = a_caller(has_subscription=False)
    await give(relay, caller)

    assert caller == await authenticator.identify(Credentials(TOKEN))
    with pytest.raises(SubscriptionExpired):
        await authenticator.subscriber(Credentials(TOKEN))


async def test_uses_are_written_together(relay: FakeRelay, authenticator: Authenticator) -> None:
    """Requests write nothing: the last use of a token is written when it is time to, once for however many."""
    await give(relay, a_caller())
    for _ in range(3):
        await authenticator.identify(Credentials(TOKEN))
        await relay.clock.advance(timedelta(seconds=1))
    before = relay.store.noted_uses
    await authenticator.keep_uses()
    await authenticator.keep_uses()

    assert (0, 1) == (before, relay.store.noted_uses)
    assert [START + timedelta(seconds=2)] == [token.last_used for token in await relay.store.api_tokens()]


async def test_uses_wait_for_the_store(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A use that could not be written is written the next time, unless the token was used again since."""
    await give(relay, a_caller())
    await authenticator.identify(Credentials(TOKEN))
    relay.store.broken.add("note_uses")
    with pytest.raises(OSError, match="disk"):
        await authenticator.keep_uses()
    relay.store.broken.clear()
    await authenticator.keep_uses()

    assert [START] == [token.last_used for token in await relay.store.api_tokens()]


@pytest.mark.parametrize(
    ("now", "expected"),
    [(LAST_DAY + timedelta(hours=23, minutes=59, seconds=59), True), (LAST_DAY + timedelta(days=1), False)],
)
def test_last_day_counts_to_its_end(now: datetime, expected: bool) -> None:
    """A subscription covers its last day whole, in UTC."""
    assert expected is is_subscribed(a_caller(subscribed_until=LAST_DAY), now)


def test_no_last_day_means_no_end() -> None:
    """A subscription without last day covers every moment; no subscription covers none."""
    assert is_subscribed(a_caller(), LAST_DAY + timedelta(days=10_000))
    assert not is_subscribed(a_caller(has_subscription=False, subscribed_until=LAST_DAY), LAST_DAY)
