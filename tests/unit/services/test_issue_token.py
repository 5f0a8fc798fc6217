"""API tokens: made once, kept as digests, revoked at once."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.errors import Unauthorized
from pikarelay.jobs.api_tokens import EVERY_SCOPE, Scope
from pikarelay.jobs.guesses import Guesses
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import Authenticator, Credentials, token_digest
from pikarelay.services.issue_token import TokenOffice
from pikarelay.services.ports import ApiToken
from tests.factories import a_caller
from tests.fakes.clock import START, FakeClock
from tests.fakes.ids import FakeIds
from tests.fakes.store import FakeStore


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


async def agency(store: FakeStore) -> Caller:
    caller = a_caller(name="agency")
    await store.add_caller(caller)
    return caller


@pytest.fixture
def office(store: FakeStore) -> TokenOffice:
    clock, ids = FakeClock(), FakeIds()
    return TokenOffice(store, clock, ids, lambda size: b"\x07" * size)


async def test_a_token_identifies_its_caller(store: FakeStore, office: TokenOffice) -> None:
    """Whoever brings the token is the caller it was made for."""
    token = await office.issue(await agency(store))

    caller = await Authenticator(store, FakeClock(), Guesses(0)).identify(Credentials(token))

    assert "agency" == caller.name


async def test_the_token_is_not_kept(store: FakeStore, office: TokenOffice) -> None:
    """The store has the token's digest and its first characters, and not the token."""
    token = await office.issue(await agency(store))

    ((kept, digest),) = store.kept_tokens.values()

    assert token_digest(token) == digest
    assert token not in repr(kept)


async def test_what_a_token_is_made_for(store: FakeStore, office: TokenOffice) -> None:
    """A token has the scopes and the end that it was made with; both scopes and no end, if nothing was said."""
    end = START + timedelta(days=30)
    await office.issue(await agency(store), frozenset({Scope.USE}), end)

    ((kept, _),) = store.kept_tokens.values()
    assert (frozenset({Scope.USE}), end) == (kept.scopes, kept.expires)

    said_nothing = ApiToken(token_id="t", caller_id="c", hint="h", created=START)
    assert (EVERY_SCOPE, None) == (said_nothing.scopes, said_nothing.expires)


async def test_the_first_token_is_made_once(office: TokenOffice) -> None:
    """A server without tokens gets one, and a server that had one gets none."""
    first = await office.issue_first()

    assert first is not None
    assert await office.issue_first() is None


async def test_two_servers_start_together(store: FakeStore, office: TokenOffice) -> None:
    """Of servers that begin together without tokens one gets the first, and the others go on without."""
    first = await asyncio.gather(*(office.issue_first() for _ in range(3)))

    assert 2 == first.count(None)
    assert 1 == len(store.kept_tokens) == len(store.kept_callers)


async def test_revoking(store: FakeStore, office: TokenOffice) -> None:
    """A revoked token is unknown from then on, and revoking it again says so."""
    token = await office.issue(await agency(store))
    (token_id,) = store.kept_tokens

    assert await office.revoke(token_id)
    assert not await office.revoke(token_id)
    with pytest.raises(Unauthorized):
        await Authenticator(store, FakeClock(), Guesses(0)).identify(Credentials(token))
