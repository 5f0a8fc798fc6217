"""Gateway sessions."""

from collections.abc import Mapping

from pikarelay.services.ports import (
    KeptSession,
)
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault


def keep_sessions(sessions: Mapping[bytes, KeptSession], vault: Vault) -> Transaction[None]:
    yield "forget_gateway_sessions", {}
    for digest, session in sessions.items():
        yield "insert_gateway_session", rows.session_params(digest, session, vault)


def kept_sessions(vault: Vault) -> Transaction[dict[bytes, KeptSession]]:
    found = yield "gateway_sessions", {}
    kept = yield from opened(rows.session_from, found, vault)
    return {digest: session for digest, session in kept if session is not None}
