"""A database that its own means put back: nothing in it is pressed again."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pikarelay.bootstrap.settling import settle_store
from pikarelay.bootstrap.stores import open_server_store, open_store, prepare_store
from pikarelay.jobs.job import Status
from pikarelay.settings import Settings
from pikarelay.store.backup import BackupRefused
from pikarelay.system import SystemClock
from tests.postgres import PostgresServer
from tests.store.conftest import a_caller, a_job, a_sent_job, a_token, put

LEASE = timedelta(minutes=10)

Settle = Callable[..., Awaitable[str]]


@pytest.fixture(params=["sqlite", "postgres"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Where a database is that was put back: a job that waits, one that was sent, and a token."""
    more = {}
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        more["store.database"] = server.new_database()
    settings = Settings.load({}, "", {"store.data_folder": str(tmp_path), **more})
    prepare_store(settings)
    async with open_store(settings) as store:
        await store.add_caller(a_caller())
        await store.add_api_token(a_token(), b"a" * 32)
        await put(store, a_job(1, reply_url="http://127.0.0.1:1/"), a_sent_job(2))
    return settings


@pytest.fixture
def settle(settings: Settings) -> Settle:
    async def settle(*, revoke_tokens: bool = False) -> str:
        said: list[str] = []
        await settle_store(settings, said.append, revoke_tokens=revoke_tokens)
        return "\n".join(said)

    return settle


async def test_nothing_is_pressed_again(settings: Settings, settle: Settle) -> None:
    """A job that waits fails, and calls back so; one that was sent is left alone. Once done, there is nothing to do."""
    said = await settle()
    again = await settle(revoke_tokens=False)
    async with open_store(settings) as store:
        waited, sent = await store.job("job-0001"), await store.job("job-0002")
        callback = await store.callback("job-0001")
        (token,) = await store.api_tokens()

    assert waited is not None
    assert (Status.FAILED, "Outcome of the press is unknown") == (waited.status, waited.error)
    assert a_sent_job(2) == sent
    assert callback is not None
    assert "1 job had not been sent" in said
    assert "1 API token is valid" in said
    assert "job" not in again
    assert token.revoked is None


async def test_tokens_are_revoked(settings: Settings, settle: Settle) -> None:
    """If told so, all API tokens are revoked, and a second time nothing is left to do."""
    said = await settle(revoke_tokens=True)
    again = await settle(revoke_tokens=True)
    async with open_store(settings) as store:
        (token,) = await store.api_tokens()

    assert token.revoked is not None
    assert "1 API token was revoked" in said
    assert "Nothing had to be done." == again


async def test_beside_a_server(settings: Settings, settle: Settle) -> None:
    """While a server is at work on the database, nothing is done."""
    async with open_server_store(settings, SystemClock()) as (server, _):
        await server.beat("worker", LEASE)
        with pytest.raises(BackupRefused, match="End all servers first"):
            await settle()
        waited = await server.job("job-0001")

    assert waited == a_job(1, reply_url="http://127.0.0.1:1/")
