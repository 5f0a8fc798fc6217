"""Who is calling, and may they."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from pikarelay.errors import SubscriptionExpired, Unauthorized
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import Authenticator, is_subscribed, token_digest
from pikarelay.services.ports import ApiToken
from tests.factories import a_caller
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

LAST_DAY = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def authenticator(relay: FakeRelay) -> Authenticator:
    return Authenticator(relay.store, relay.clock)


async def give(relay: FakeRelay, caller: Caller) -> None:
    await relay.store.add_caller(caller)
    token = ApiToken(token_id="t1", caller_id=caller.caller_id, hint="user:", created=START)
    await relay.store.add_api_token(token, token_digest("user:secret"))


async def test_known_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A token is its caller's, and the store keeps only its digest."""
    await give(relay, a_caller())

    assert a_caller() == await authenticator.subscriber("user:secret")
    assert hashlib.sha256(b"user:secret").digest() == token_digest("user:secret")


@pytest.mark.parametrize("token", [None, "", "user:other", "user:secret ", "\udcff"])
async def test_unknown_token(relay: FakeRelay, authenticator: Authenticator, token: str | None) -> None:
    """No token, another token, and one that is no text at all are refused alike."""
    await give(relay, a_caller())

    with pytest.raises(Unauthorized):
        await authenticator.subscriber(token)


async def test_revoked_token(relay: FakeRelay, authenticator: Authenticator) -> None:
    """A revoked token ends with its next request."""
    await give(relay, a_caller())
    await authenticator.identify("user:secret")
    await relay.store.revoke_api_token("t1", relay.clock.now())

    with pytest.raises(Unauthorized):
        await authenticator.identify("user:secret")


async def test_expired_caller_is_identified_all_the_same(
    relay: FakeRelay, authenticator: Authenticator
) -> None:
    """A caller without subscription is known, and may not submit."""
    caller = a_caller(has_subscription=False)
    await give(relay, caller)

    assert caller == await authenticator.identify("user:secret")
    with pytest.raises(SubscriptionExpired):
        await authenticator.subscriber("user:secret")


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
