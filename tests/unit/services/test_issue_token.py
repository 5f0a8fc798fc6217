"""API tokens: made once, kept as digests, revoked at once."""

import pytest

from pikarelay.errors import Unauthorized
from pikarelay.services.authenticate import Authenticator, token_digest
from pikarelay.services.issue_token import TokenOffice
from tests.fakes.clock import FakeClock
from tests.fakes.ids import FakeIds
from tests.fakes.store import FakeStore


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def office(store: FakeStore) -> TokenOffice:
    return TokenOffice(store, FakeClock(), FakeIds(), lambda size: b"\x07" * size)


async def test_a_token_identifies_its_caller(store: FakeStore, office: TokenOffice) -> None:
    """Whoever brings the token is the caller it was made for."""
    token = await office.issue("agency")

    caller = await Authenticator(store, FakeClock()).identify(token)

    assert "agency" == caller.name


async def test_the_token_is_not_kept(store: FakeStore, office: TokenOffice) -> None:
    """The store has the token's digest and its first characters, and not the token."""
    token = await office.issue()

    ((kept, digest),) = store.kept_tokens.values()

    assert token_digest(token) == digest
    assert token not in repr(kept)


async def test_the_first_token_is_made_once(office: TokenOffice) -> None:
    """A server without tokens gets one, and a server that had one gets none."""
    first = await office.issue_first()

    assert first is not None
    assert await office.issue_first() is None


async def test_a_caller_is_made_once(store: FakeStore, office: TokenOffice) -> None:
    """Two tokens for one name belong to one caller."""
    one, other = await office.caller("agency"), await office.caller("agency")

    assert one == other
    assert 1 == len(store.kept_callers)


async def test_revoking(store: FakeStore, office: TokenOffice) -> None:
    """A revoked token is unknown from then on, and revoking it again says so."""
    token = await office.issue()
    (token_id,) = store.kept_tokens

    assert await office.revoke(token_id)
    assert not await office.revoke(token_id)
    with pytest.raises(Unauthorized):
        await Authenticator(store, FakeClock()).identify(token)
