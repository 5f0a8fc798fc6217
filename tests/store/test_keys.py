"""Data keys are replaced under a store that is in use, and every secret stays readable for everybody."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import CallbackSecret, Change, KeptSession, Resealed
from pikarelay.store import schema, transactions
from pikarelay.store.root_key import RootKey, WrongKey
from pikarelay.store.rows import SEALED_COLUMNS, Row, SealedColumn
from pikarelay.store.sql import SqlStore
from pikarelay.store.transactions import Transaction
from pikarelay.store.vault import key_number
from tests.store.conftest import NOW, STORES, TOKEN, Opener, a_job, an_account, ensure_callers, put

DIGEST = b"d" * 32
SESSION = KeptSession(user_id="7", session_id="s", sequence=5, resume_url="wss://gateway.example")
OTHER = RootKey(b"o" * 32, "another file")
ACCOUNTS = next(column for column in SEALED_COLUMNS if column.table == "accounts")


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    if request.param == "postgres":
        opener: Opener = request.getfixturevalue("postgres_opener")
        return opener
    return STORES["sqlite"](tmp_path)


def opened(opener: Opener) -> AbstractAsyncContextManager[SqlStore]:
    return cast("AbstractAsyncContextManager[SqlStore]", opener())


async def fill(store: SqlStore, count: int = 3) -> None:
    """Put secrets in every column that has any."""
    await put(store, *(a_job(n, discord_token=Secret(f"{TOKEN}{n}")) for n in range(count)))
    await ensure_callers(store, "ann", "bob")
    for n in range(count):
        await store.put_account(an_account(channel=f"{n:03}", discord_token=Secret(f"{TOKEN}{n}")))
        await store.put_account(an_account("bob", channel=f"{n:03}", discord_token=Secret(f"{TOKEN}{n}")))
    secret = CallbackSecret(secret_id="cs", caller_id="ann", secret=Secret("whsec_x"), created=NOW)
    await store.rotate_callback_secret(secret, NOW)
    await store.keep_sessions({DIGEST: SESSION})


async def check_all(store: SqlStore, count: int = 3) -> None:
    """See that every secret is what it was."""
    expected = [Secret(f"{TOKEN}{n}") for n in range(count)]
    jobs = [await store.job(f"job-{n:04}") for n in range(count)]

    assert expected == [job.discord_token for job in jobs if job is not None]
    for caller in ("ann", "bob"):
        assert expected == [account.discord_token for account in await store.accounts(caller)]
    assert [Secret("whsec_x")] == [kept.secret for kept in await store.callback_secrets("ann", NOW)]
    assert {DIGEST: SESSION} == await store.kept_sessions()


async def numbers(store: SqlStore) -> set[int]:
    """Return which keys have sealed anything."""
    return {key_number(row[-1]) for column in SEALED_COLUMNS for row in await everything(store, column)}


async def everything(store: SqlStore, column: SealedColumn) -> Sequence[Row]:
    return await store._runner.read(transactions.vault.sealed_after, column, column.start, 100_000)


async def all_of(store: SqlStore) -> Resealed:
    portions = [portion async for portion in store.keys.reseal()]
    return Resealed(
        looked_at=sum(p.looked_at for p in portions),
        resealed=sum(p.resealed for p in portions),
        left=sum(p.left for p in portions),
    )


def test_every_column_of_secrets_is_known() -> None:
    """The columns that a rotation goes through are those whose name says that they hold a secret, and all of them."""
    known = {(column.table, column.column) for column in SEALED_COLUMNS}
    binary = {
        (table.name, column.name)
        for table in schema.metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, sa.LargeBinary)
    }

    # Whatever is binary is sealed, or is one of these.
    assert binary - known == {
        ("account_health", "digest"),
        ("api_tokens", "digest"),
        ("callbacks", "body"),
        ("data_keys", "sealed"),
        ("file_pieces", "piece"),
        ("gateway_sessions", "digest"),
        ("jobs", "document"),
        ("orphans", "candidates"),
        ("orphans", "message"),
        ("owed_answers", "refusal"),
        ("request_keys", "digest"),
    }


async def test_rotation(opener: Opener) -> None:
    """A new key seals what is new; a pass seals everything by it, and then there is nothing to do."""
    async with opened(opener) as store:
        await fill(store)
        key = await store.keys.rotate(NOW)
        await put(store, a_job(99))

        assert (2, NOW, None) == (key.number, key.created, key.finished)
        assert {1, 2} == await numbers(store)
        assert Resealed(looked_at=12, resealed=11, left=0) == await all_of(store)
        assert {2} == await numbers(store)
        assert Resealed(looked_at=12, resealed=0, left=0) == await all_of(store)
        await check_all(store)
    async with opened(opener) as store:
        await check_all(store)


async def test_rotation_in_portions(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """More secrets than one portion takes are all found, in each table, whether its key has one part or two."""
    monkeypatch.setattr("pikarelay.store.keys.LOOKED_AT_ONCE", 3)
    monkeypatch.setattr("pikarelay.store.keys.RESEALED_AT_ONCE", 2)
    async with opened(opener) as store:
        await fill(store, 8)
        await store.keys.rotate(NOW)

        assert Resealed(looked_at=26, resealed=26, left=0) == await all_of(store)
        assert {2} == await numbers(store)
        await check_all(store, 8)


async def test_another_process_rotates(opener: Opener) -> None:
    """A process that has never heard of a key opens what it has sealed, whatever it reads first, and seals by it from then on."""
    async with opened(opener) as store, opened(opener) as other:
        await fill(store)
        await other.keys.rotate(NOW)
        await all_of(other)

        assert 1 == store._vault.current
        await check_all(store)
        assert 2 == store._vault.current
        await store.change("job-0001", lambda job: Change(job=job))
        await store.put_account(an_account(channel="000"))

        assert {2} == await numbers(store)


async def test_change_by_a_process_that_knows_nothing(opener: Opener) -> None:
    """A job that another process has sealed anew is changed, and an unfinished one listed, by one that learns on the way."""
    async with opened(opener) as store, opened(opener) as other:
        await fill(store)
        await other.keys.rotate(NOW)
        await all_of(other)

        changed = await store.change("job-0001", lambda job: Change(job=job))

        assert changed is not None
        assert Secret(f"{TOKEN}1") == changed.discord_token
    async with opened(opener) as store, opened(opener) as other:
        await other.keys.rotate(NOW + timedelta(hours=1))
        await all_of(other)

        assert 3 == len(await store.unfinished())


async def test_unfinished_rotation_is_gone_on_with(opener: Opener) -> None:
    """No key is made while the newest has not replaced the others; once it has, another can be."""
    async with opened(opener) as store:
        first, again = await store.keys.rotate(NOW), await store.keys.rotate(NOW)
        await store.keys.finish(2, NOW)
        await store.keys.finish(2, NOW + timedelta(days=1))
        second = await store.keys.rotate(NOW)

        assert (2, 2, 3) == (first.number, again.number, second.number)
        assert [None, NOW, None] == [key.finished for key in await store.keys.keys()]


async def test_two_rotate_at_once(opener: Opener) -> None:
    """Of two that rotate at the same moment, one makes the key and the other finds it."""
    async with opened(opener) as store, opened(opener) as other:
        keys = await asyncio.gather(*(one.keys.rotate(NOW) for one in (store, other, store, other)))

        assert {2} == {key.number for key in keys}
        assert 2 == len(await store.keys.keys())


async def test_replaced_meanwhile(opener: Opener) -> None:
    """A secret that was replaced between being read and being sealed anew stays replaced."""
    async with opened(opener) as store:
        await ensure_callers(store, "ann")
        await store.put_account(an_account(channel="100"))
        await store.keys.rotate(NOW)
        read = await everything(store, ACCOUNTS)
        await store.put_account(an_account(channel="100", discord_token=Secret("the new one")))

        done = await store._runner.write(transactions.vault.reseal, ACCOUNTS, read, store._vault)
        found = await store.account("ann", "100")

        assert 0 == done
        assert found is not None
        assert Secret("the new one") == found.discord_token


async def test_what_cannot_be_opened_is_left(opener: Opener) -> None:
    """A secret that does not open is neither lost nor in the way of the others."""
    async with opened(opener) as store:
        await fill(store)
        (_, _, sealed), *_ = await everything(store, ACCOUNTS)
        await store._runner.write(_break, "ann", "000", sealed)
        await store.keys.rotate(NOW)

        assert Resealed(looked_at=11, resealed=10, left=1) == await all_of(store)


def _break(caller_id: str, channel: str, sealed: bytes) -> Transaction[None]:
    flipped = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    yield "reseal_accounts", {"this_0": caller_id, "this_1": channel, "was": sealed, "resealed": flipped}


async def test_another_root_key(opener: Opener) -> None:
    """All data keys hang on another root key at once; secrets are not touched, and who has them open goes on."""
    async with opened(opener) as store:
        await fill(store)
        await store.keys.rotate(NOW)
        before = await numbers(store)

        assert 2 == await store.keys.hang_on(OTHER)
        assert before == await numbers(store)
        await check_all(store)
        assert {OTHER.fingerprint} == {key.root_fingerprint for key in await store.keys.keys()}
        with pytest.raises(WrongKey):
            await store.keys.rotate(NOW)
        with pytest.raises(WrongKey):
            await store.keys.hang_on(OTHER)
    with pytest.raises(WrongKey, match=OTHER.fingerprint):
        async with opened(opener):
            pass


async def test_root_key_and_rotation_at_once(opener: Opener) -> None:
    """Whatever races, all data keys hang on one root key."""
    async with opened(opener) as store, opened(opener) as other:
        await asyncio.gather(store.keys.hang_on(OTHER), other.keys.rotate(NOW), return_exceptions=True)

        assert {OTHER.fingerprint} == {key.root_fingerprint for key in await store.keys.keys()}


async def test_learning(opener: Opener) -> None:
    """To learn says which key seals from now on."""
    async with opened(opener) as store, opened(opener) as other:
        before = await store.keys.learn()
        await other.keys.rotate(NOW)

        assert (1, 2) == (before, await store.keys.learn())
