"""Workers, and what they hold."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from pikarelay.jobs.ownership import Holding, session_name
from pikarelay.services.ports import Holds, News
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault

_MILLISECOND = timedelta(milliseconds=1)
#: For so long a worker that ended without a word is listed.
_FORGOTTEN_AFTER = timedelta(hours=1)


def is_held(name: str, holds: Holds | None) -> Transaction[bool]:
    """Say whether `name` is held as `holds` believes, and let nobody take it before the end of the transaction."""
    if holds is None:
        return True
    hold = holds.hold(name)
    if hold is None:
        return False
    return bool((yield "fence", {"name": name, "owner": hold.owner, "epoch": hold.epoch}))


def beat(worker_id: str, lease: timedelta, locked: int | None) -> Transaction[None]:
    """Renew a lease. `locked` is since when the worker holds its lock."""
    yield "put_worker", {"worker_id": worker_id, "until": 0, "locked": locked}
    yield "renew_worker", {"this_worker": worker_id, "lease": lease // _MILLISECOND}


def workers() -> Transaction[list[tuple[str, bool]]]:
    """Return each worker with whether its lease goes on."""
    return [(name, bool(is_in_time)) for name, is_in_time in (yield "workers", {})]


def retire(worker_id: str) -> Transaction[None]:
    yield "release_all", {"this_owner": worker_id}
    yield "forget_worker", {"worker_id": worker_id}
    yield "forget_workers", {"long": _FORGOTTEN_AFTER // _MILLISECOND}
    yield announce(News.WORKERS)


def holdings() -> Transaction[dict[str, Holding]]:
    found = yield "holdings", {}
    return {name: Holding(owner=owner, epoch=epoch) for name, owner, epoch in found}


def claim(names: Sequence[str], worker_id: str, over: Collection[str]) -> Transaction[Mapping[str, int]]:
    epochs: dict[str, int] = {}
    # In one order for everybody, so that two never wait for each other.
    for name in sorted(names):
        yield "lock_holding", {"name": name, "owner": None, "epoch": 0}
        ((owner, epoch),) = yield "holding", {"name": name}
        if owner is not None and owner != worker_id and owner not in over:
            return {}
        epochs[name] = epoch + 1
    for name, epoch in epochs.items():
        yield "take_holding", {"this_name": name, "owner": worker_id, "epoch": epoch}
    return epochs


def release(worker_id: str, names: Sequence[str]) -> Transaction[None]:
    for name in sorted(names):
        yield "release_holding", {"this_name": name, "this_owner": worker_id}
    yield announce(News.WORKERS)


def seats(
    vault: Vault, known: Mapping[tuple[str, bytes], str]
) -> Transaction[list[tuple[tuple[str, bytes], str, str]]]:
    """
    Return each use of a session on a channel: what it is known by, the session's name, the channel.

    `known` has names of sessions of which it is known already; a token is long to unseal.
    """
    found = []
    for statement, read in (("account_seats", rows.account_token), ("job_seats", rows.job_token)):
        its = yield statement, {}
        new = [row for row in its if (row[0] + row[1], row[2]) not in known]
        tokens = yield from opened(read, new, vault)
        names = {**known, **{(r[0] + r[1], r[2]): session_name(t) for r, t in zip(new, tokens, strict=True)}}
        found += [((row[0] + row[1], row[2]), names[row[0] + row[1], row[2]], row[1]) for row in its]
    return found
