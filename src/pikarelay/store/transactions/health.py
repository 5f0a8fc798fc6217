"""How accounts fare."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pikarelay.jobs.health import AccountHealth
from pikarelay.jobs.ownership import session_name_of
from pikarelay.services.ports import Holds
from pikarelay.store import rows
from pikarelay.store.statements.health import HEALTHS_AT_ONCE
from pikarelay.store.transactions.form import Transaction, in_rows
from pikarelay.store.transactions.ownership import held_of

_KEPT = timedelta(days=1)


def keep(
    found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime, holds: Holds | None
) -> Transaction[None]:
    # In one order for everybody, so that two never wait for each other.
    named = {digest: session_name_of(digest) for digest in sorted({*found, *gone})}
    held = yield from held_of(list(named.values()), holds)
    ours = [digest for digest, name in named.items() if name in held]
    params = [rows.health_params(digest, found[digest], now) for digest in ours if digest in found]
    yield from in_rows("keep_account_health", "keep_account_healths", params, HEALTHS_AT_ONCE)
    for digest in ours:
        if digest not in found:
            yield "forget_account_health", {"this_digest": digest}
    yield "prune_account_health", {"before": rows.to_ms(now - _KEPT)}


def read(since: datetime) -> Transaction[dict[bytes, AccountHealth]]:
    found = yield "account_health", {"since": rows.to_ms(since)}
    return dict(map(rows.health_from, found))
