"""How accounts fare."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pikarelay.jobs.health import AccountHealth
from pikarelay.store import rows
from pikarelay.store.statements.health import HEALTHS_AT_ONCE
from pikarelay.store.transactions.form import Transaction, in_rows

_KEPT = timedelta(days=1)


def keep(found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime) -> Transaction[None]:
    params = [rows.health_params(digest, health, now) for digest, health in found.items()]
    yield from in_rows("keep_account_health", "keep_account_healths", params, HEALTHS_AT_ONCE)
    for digest in gone:
        yield "forget_account_health", {"this_digest": digest}
    yield "prune_account_health", {"before": rows.to_ms(now - _KEPT)}


def read(since: datetime) -> Transaction[dict[bytes, AccountHealth]]:
    found = yield "account_health", {"since": rows.to_ms(since)}
    return dict(map(rows.health_from, found))
