"""Gateway sessions."""

from collections.abc import Collection, Mapping

from pikarelay.jobs.ownership import session_name_of
from pikarelay.services.ports import Holds, KeptSession
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.transactions.ownership import is_held
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault


def keep_sessions(
    sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes], vault: Vault, holds: Holds | None
) -> Transaction[None]:
    # In one order for everybody, so that two never wait for each other.
    for digest in sorted({*sessions, *forgotten}):
        if not (yield from is_held(session_name_of(digest), holds)):
            continue
        if digest in sessions:
            yield "put_gateway_session", rows.session_params(digest, sessions[digest], vault)
        else:
            yield "forget_gateway_session", {"digest": digest}


def kept_sessions(vault: Vault) -> Transaction[dict[bytes, KeptSession]]:
    found = yield "gateway_sessions", {}
    kept = yield from opened(rows.session_from, found, vault)
    return {digest: session for digest, session in kept if session is not None}
