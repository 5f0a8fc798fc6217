"""Workers, and what they hold."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

from pikarelay.jobs.ownership import Holding, session_name
from pikarelay.services.ports import Holds, News
from pikarelay.store import rows
from pikarelay.store.rows import Params
from pikarelay.store.statements.ownership import NAMES_AT_ONCE
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault

_MILLISECOND = timedelta(milliseconds=1)
#: For so long a worker that ended without a word is listed.
_FORGOTTEN_AFTER = timedelta(hours=1)


def held_of(names: Sequence[str], holds: Holds | None) -> Transaction[frozenset[str]]:
    """Return those names that are held as `holds` believes, and let nobody take them before the end of the transaction."""
    if holds is None:
        return frozenset(names)
    believed = {name: hold for name in sorted(names) if (hold := holds.hold(name)) is not None}
    held: set[str] = set()
    for some in _portions(list(believed)):
        owner = believed[str(some["name_0"])].owner
        for name, _owner, epoch in (yield "fence", {**some, "owner": owner}):
            if epoch == believed[name].epoch:
                held.add(name)
    return frozenset(held)


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


def claim(
    estates: Sequence[Collection[str]], worker_id: str, over: Collection[str]
) -> Transaction[Mapping[str, int]]:
    held = yield from _locked(sorted({name for names in estates for name in names}))
    wanted = [names for names in estates if all(_is_free(held.get(name), worker_id, over) for name in names)]
    for name in sorted({name for names in wanted for name in names} - held.keys()):
        yield "lock_holding", {"name": name, "owner": None, "epoch": 0}
        # What somebody else has just made may be theirs.
        ((_, owner, epoch),) = yield "holding", {"name": name}
        held[name] = Holding(owner=owner, epoch=epoch)
    had = [names for names in wanted if all(_is_free(held[name], worker_id, over) for name in names)]
    taken = sorted({name for names in had for name in names})
    for some in _portions(taken):
        yield "take_holdings", {"owner": worker_id, **some}
    return {name: held[name].epoch + 1 for name in taken}


def _locked(names: Sequence[str]) -> Transaction[dict[str, Holding]]:
    """Return who holds each of those names that there are, which stays so until the end of the transaction."""
    held: dict[str, Holding] = {}
    for some in _portions(names):
        for name, owner, epoch in (yield "lock_holdings", some):
            held[name] = Holding(owner=owner, epoch=epoch)
    return held


def _is_free(holding: Holding | None, worker_id: str, over: Collection[str]) -> bool:
    return holding is None or holding.owner in {None, worker_id, *over}


def _portions(names: Sequence[str]) -> Iterator[Params]:
    """Return the names as statements take them, the last places filled up."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        some = names[start : start + NAMES_AT_ONCE]
        places = [*some, *[some[0]] * (NAMES_AT_ONCE - len(some))]
        yield {f"name_{n}": name for n, name in enumerate(places)}


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
