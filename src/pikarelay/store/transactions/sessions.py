"""Gateway sessions."""

from collections.abc import Collection, Mapping, Sequence

from pikarelay.jobs.ownership import session_name_of
from pikarelay.services.ports import Holds, KeptSession
from pikarelay.store import rows
from pikarelay.store.statements.sessions import READ_AT_ONCE, SESSIONS_AT_ONCE
from pikarelay.store.transactions.form import Transaction, in_rows
from pikarelay.store.transactions.ownership import held_of
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault

#: What the names of sessions begin with.
_SESSION = session_name_of(b"")


def keep_sessions(
    sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes], vault: Vault, holds: Holds | None
) -> Transaction[None]:
    # In one order for everybody, so that two never wait for each other.
    named = {digest: session_name_of(digest) for digest in sorted({*sessions, *forgotten})}
    held = yield from held_of(list(named.values()), holds)
    ours = [digest for digest, name in named.items() if name in held]
    kept = [digest for digest in ours if digest in sessions]
    for start in range(0, len(kept), SESSIONS_AT_ONCE):
        some = [
            rows.session_params(digest, sessions[digest], vault)
            for digest in kept[start : start + SESSIONS_AT_ONCE]
        ]
        yield from in_rows("put_gateway_session", "put_gateway_sessions", some, SESSIONS_AT_ONCE)
    for digest in ours:
        if digest not in sessions:
            yield "forget_gateway_session", {"digest": digest}


def kept_sessions(names: Sequence[str] | None, vault: Vault) -> Transaction[dict[bytes, KeptSession]]:
    """Return the sessions of these names, among which may be names of other things, or all."""
    if names is None:
        found = yield "gateway_sessions", {}
    else:
        digests = [bytes.fromhex(name.removeprefix(_SESSION)) for name in names if name.startswith(_SESSION)]
        found = []
        for start in range(0, len(digests), READ_AT_ONCE):
            some = digests[start : start + READ_AT_ONCE]
            places = [*some, *[some[0]] * (READ_AT_ONCE - len(some))]
            found += yield "gateway_sessions_of", {f"digest_{n}": its for n, its in enumerate(places)}
    kept = yield from opened(rows.session_from, found, vault)
    return {digest: session for digest, session in kept if session is not None}
