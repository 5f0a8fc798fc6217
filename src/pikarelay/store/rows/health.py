"""How accounts fare."""

from datetime import datetime

from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.store.rows.columns import Params, Row, from_ms_or_none, to_ms, to_ms_or_none


def health_params(digest: bytes, health: AccountHealth, seen: datetime) -> Params:
    return {
        "digest": digest,
        "state": health.state.value,
        "reason": health.reason,
        "until": to_ms_or_none(health.until),
        "seen": to_ms(seen),
    }


def health_from(row: Row) -> tuple[bytes, AccountHealth]:
    digest, state, reason, until, _ = row
    return digest, AccountHealth(state=HealthState(state), reason=reason, until=from_ms_or_none(until))
