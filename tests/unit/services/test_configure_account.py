"""Accounts."""

import pytest

from pikarelay.errors import ConfigurationNotFound, InvalidValue
from pikarelay.jobs.requests import AccountRequest
from pikarelay.jobs.secret import Secret
from pikarelay.services.configure_account import AccountOffice
from tests.factories import a_caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeStore

ONE, OTHER = "1180000000000000001", "1180000000000000002"


@pytest.fixture
def store() -> FakeStore:
    store = FakeStore()
    store.kept_callers["caller-1"] = a_caller()
    return store


@pytest.fixture
def office(store: FakeStore) -> AccountOffice:
    return AccountOffice(store, FakeClock())


def a_request(channel: str = ONE, token: str = "t" * 60, max_jobs: int = 3) -> AccountRequest:
    return AccountRequest(channel=channel, discord_token=Secret(token), max_jobs=max_jobs)


async def test_created_then_replaced(office: AccountOffice) -> None:
    """Configuring a channel twice leaves one account, with what was said last."""
    caller = a_caller()

    await office.configure(caller, a_request(max_jobs=3))
    await office.configure(caller, a_request(max_jobs=5))

    (account,) = await office.read_all(caller)
    assert 5 == account.max_jobs


async def test_a_token_serves_one_channel(office: AccountOffice) -> None:
    """A token that another channel of the caller has already is refused, and the refusal names that channel."""
    caller = a_caller()
    await office.configure(caller, a_request(ONE))

    with pytest.raises(InvalidValue) as caught:
        await office.configure(caller, a_request(OTHER))

    assert f"Channel {ONE} configuration has same discord value" == caught.value.message


async def test_nothing_is_configured(office: AccountOffice) -> None:
    """Reading or removing what is not there says that there is no configuration."""
    caller = a_caller()

    for attempt in (office.read(caller, ONE), office.read_all(caller), office.remove(caller, ONE)):
        with pytest.raises(ConfigurationNotFound):
            await attempt


async def test_accounts_belong_to_their_caller(office: AccountOffice) -> None:
    """Somebody else's account is not there."""
    await office.configure(a_caller(), a_request())

    with pytest.raises(ConfigurationNotFound):
        await office.read(a_caller(caller_id="stranger"), ONE)
