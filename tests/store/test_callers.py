"""Callers and their API tokens, in every store."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pikarelay.errors import Unauthorized
from pikarelay.jobs.api_tokens import Scope
from pikarelay.jobs.job import Job, Upload
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import CallbackSecret, Holder
from pikarelay.store.rules import AlreadyThere
from tests.store.conftest import (
    LEASE,
    NOW,
    AnyStore,
    a_caller,
    a_final_job,
    a_job,
    a_token,
    an_account,
    put,
    put_with_callback,
)


async def test_token_names_its_caller(store: AnyStore) -> None:
    """The digest of an API token leads to its caller, with all that is known of them."""
    ann = a_caller(subscribed_until=NOW, has_subscription=False, reply_url="https://example.com/")
    await store.add_caller(ann)
    await store.add_caller(a_caller("bob"))
    await store.add_api_token(a_token(), b"a" * 32)
    await store.add_api_token(a_token("t2", "bob"), b"b" * 32)

    assert Holder(a_token(), ann) == await store.holder(b"a" * 32)
    assert Holder(a_token("t2", "bob"), a_caller("bob")) == await store.holder(b"b" * 32)


async def test_what_is_known_of_a_token(store: AnyStore) -> None:
    """A token comes back with its scopes, its end and its last use, in lists and by its digest."""
    token = replace(a_token(), scopes=frozenset({Scope.USE}), expires=NOW + LEASE, last_used=NOW)
    await store.add_caller(a_caller())
    await store.add_api_token(token, b"a" * 32)

    assert Holder(token, a_caller()) == await store.holder(b"a" * 32)
    assert (token,) == await store.api_tokens()


@pytest.mark.parametrize("is_known", [False, True])
async def test_first_token(store: AnyStore, *, is_known: bool) -> None:
    """Of many first tokens at once one is added, for the caller of that name, whether that was there or not; later none is."""
    if is_known:
        await store.add_caller(a_caller("known", name="default"))
    added = await asyncio.gather(
        *(
            store.add_first_api_token(
                a_caller(f"c{n}", name="default"), a_token(f"t{n}", f"c{n}"), bytes([n]) * 32
            )
            for n in range(6)
        )
    )
    (token,) = await store.api_tokens()
    (caller,) = await store.callers()
    assert 1 == added.count(True)
    assert f"t{added.index(True)}" == token.token_id
    assert token.caller_id == caller.caller_id
    assert is_known == (caller.caller_id == "known")
    await store.revoke_api_token(token.token_id, NOW)

    assert not await store.add_first_api_token(a_caller("c", name="other"), a_token("t", "c"), b"t" * 32)


async def test_uses_are_noted(store: AnyStore) -> None:
    """The latest use of a token is kept, whoever notes it first; of one that is gone, nothing."""
    for token_id in ("t1", "t2", "t3"):
        await store.add_api_token(a_token(token_id), token_id.encode())
    await store.note_uses({"t1": NOW + LEASE, "t2": NOW, "gone": NOW})
    await store.note_uses({"t1": NOW, "t2": NOW + LEASE})

    assert [NOW + LEASE, NOW + LEASE, None] == [token.last_used for token in await store.api_tokens()]


async def test_unknown_digest_is_nobody(store: AnyStore) -> None:
    """A digest that was never added leads to nobody."""
    await store.add_caller(a_caller())
    await store.add_api_token(a_token(), b"a" * 32)

    assert await store.holder(b"x" * 32) is None


async def test_revoked_token_is_nobody(store: AnyStore) -> None:
    """A token leads nowhere once it is revoked, and is revoked once only."""
    await store.add_caller(a_caller())
    await store.add_api_token(a_token(), b"a" * 32)
    later = NOW + timedelta(hours=1)

    assert await store.revoke_api_token("t1", later) is True
    assert await store.holder(b"a" * 32) is None
    assert await store.revoke_api_token("t1", later + LEASE) is False
    assert (replace(a_token(), revoked=later),) == await store.api_tokens()


async def test_revoking_an_unknown_token(store: AnyStore) -> None:
    """A token that does not exist is not revoked."""
    assert await store.revoke_api_token("none", NOW) is False


async def test_all_tokens_of_a_caller_are_revoked(store: AnyStore) -> None:
    """All of one caller's tokens end at once, those of others do not, and one that had ended keeps its moment."""
    for token_id, caller_id in (("t1", "ann"), ("t2", "ann"), ("t3", "bob")):
        await store.add_api_token(a_token(token_id, caller_id), token_id.encode())
    await store.revoke_api_token("t1", NOW)

    assert 1 == await store.revoke_api_tokens_of("ann", NOW + LEASE)
    assert [NOW, NOW + LEASE, None] == [token.revoked for token in await store.api_tokens()]


async def test_caller_is_found_by_name(store: AnyStore) -> None:
    """A name leads to its caller, and another spelling of it to nobody."""
    await store.add_caller(a_caller())

    assert a_caller() == await store.caller_named("Ann")
    assert await store.caller_named("ann") is None


async def test_one_caller_of_a_name(store: AnyStore) -> None:
    """A second caller of the same name is refused."""
    await store.add_caller(a_caller())

    with pytest.raises(AlreadyThere):
        await store.add_caller(a_caller("bob", name="Ann"))
    assert (a_caller(),) == await store.callers()


async def test_caller_is_removed(store: AnyStore) -> None:
    """A removed caller is gone with tokens, accounts and secrets, and nobody else is."""
    for caller_id in ("ann", "bob"):
        await store.add_caller(a_caller(caller_id))
        await store.add_api_token(a_token(f"t-{caller_id}", caller_id), caller_id.encode())
        await store.put_account(an_account(caller_id))
        secret = CallbackSecret(
            secret_id=f"s-{caller_id}", caller_id=caller_id, secret=Secret("whsec_x"), created=NOW
        )
        await store.rotate_callback_secret(secret, NOW)

    assert await store.remove_caller("ann") is True
    assert (a_caller("bob"),) == await store.callers()
    assert ["t-bob"] == [token.token_id for token in await store.api_tokens()]
    assert ["bob"] == [account.caller_id for account in await store.accounts()]
    assert () == await store.callback_secrets("ann", NOW)
    assert 1 == len(await store.callback_secrets("bob", NOW))


async def test_nothing_is_left_by_a_removed_caller(store: AnyStore) -> None:
    """Who is removed since it was let in gets neither a job nor an account any more, and its key and files are nobody's."""
    await store.add_caller(a_caller())
    await store.remove_caller("ann")
    job = a_job(1, image=Upload(size=1, type="image/png", key="f1"))
    asked = []

    def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
        asked.append(executing)
        return job

    with pytest.raises(Unauthorized):
        await store.put_account(an_account())
    with pytest.raises(Unauthorized):
        await store.admit("ann", ["100"], decide, RequestKey(text="k", digest=b"d"))

    assert () == await store.accounts()
    assert () == await store.unfinished()
    assert frozenset() == await store.known_uploads(["f1"])
    assert None is await store.job_by_key("ann", "k", NOW)
    assert [] == asked


async def test_busy_caller_stays(store: AnyStore) -> None:
    """A caller whose jobs execute is not removed, and keeps all that it has."""
    await store.add_caller(a_caller())
    await store.add_api_token(a_token(), b"a" * 32)
    await put(store, a_job(1))

    assert await store.remove_caller("ann") is False
    assert Holder(a_token(), a_caller()) == await store.holder(b"a" * 32)


async def test_final_jobs_are_walked_and_deleted(store: AnyStore) -> None:
    """A caller's final jobs are found by id, a few at a time, and deleted; unfinished and foreign ones stay."""
    await put(store, a_job(1), a_job(2, caller_id="bob"))
    await put_with_callback(store, *(a_final_job(number) for number in (3, 4, 5)))
    await put_with_callback(store, a_final_job(6, caller_id="bob"))

    first = await store.final_jobs("ann", "", 2)
    rest = await store.final_jobs("ann", first[-1], 2)
    await store.delete_jobs([*first, *rest, "job-0001", "gone"])

    assert ("job-0003", "job-0004") == first
    assert ("job-0005",) == rest
    assert () == await store.final_jobs("ann", "", 2)
    assert await store.callback("job-0003") is None
    kept = {job.job_id for job in await store.newest_jobs(10)}
    assert {"job-0001", "job-0002", "job-0006"} == kept


async def test_caller_is_changed_in_parts(store: AnyStore) -> None:
    """The default address and the subscription of a caller are changed apart, and each change returns all of it."""
    await store.add_caller(a_caller())
    await store.add_caller(a_caller("bob"))
    await store.add_api_token(a_token(), b"a" * 32)
    addressed = await store.set_reply_url("ann", "https://example.com/")
    ended = await store.set_subscription("ann", NOW, is_there=False)
    silent = await store.set_reply_url("ann", None)

    assert a_caller(reply_url="https://example.com/") == addressed
    assert a_caller(reply_url="https://example.com/", subscribed_until=NOW, has_subscription=False) == ended
    assert a_caller(subscribed_until=NOW, has_subscription=False) == silent
    assert (silent, a_caller("bob")) == await store.callers()
    assert Holder(a_token(), silent) == await store.holder(b"a" * 32)


async def test_change_of_a_removed_caller(store: AnyStore) -> None:
    """What is changed of a caller that is gone changes nothing, and brings nobody back."""
    await store.add_caller(a_caller())
    await store.remove_caller("ann")

    assert None is await store.set_reply_url("ann", "https://example.com/")
    assert None is await store.set_subscription("ann", None, is_there=True)
    assert () == await store.callers()


async def test_callers_are_listed_by_age(store: AnyStore) -> None:
    """Callers are listed from the oldest on."""
    young = a_caller("ann", created=NOW + LEASE)
    await store.add_caller(young)
    await store.add_caller(a_caller("bob"))

    assert (a_caller("bob"), young) == await store.callers()


async def test_tokens_are_listed_by_age(store: AnyStore) -> None:
    """API tokens are listed from the oldest on, then by id."""
    for token_id in ("t3", "t1", "t2"):
        await store.add_api_token(a_token(token_id), token_id.encode())

    assert [token.token_id for token in await store.api_tokens()] == ["t1", "t2", "t3"]


async def test_ids_are_given_once(store: AnyStore) -> None:
    """A caller, token or digest that is there already is refused and left as it is."""
    await store.add_caller(a_caller())
    await store.add_api_token(a_token(), b"a" * 32)

    with pytest.raises(AlreadyThere):
        await store.add_caller(a_caller(name="Another"))
    with pytest.raises(AlreadyThere):
        await store.add_api_token(a_token(), b"b" * 32)
    with pytest.raises(AlreadyThere):
        await store.add_api_token(a_token("t2"), b"a" * 32)
    assert (a_caller(),) == await store.callers()
    assert (a_token(),) == await store.api_tokens()
