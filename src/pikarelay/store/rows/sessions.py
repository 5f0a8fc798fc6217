"""Gateway sessions."""

import msgspec

from pikarelay.services.ports import (
    KeptSession,
)
from pikarelay.store.rows.columns import Params, Row
from pikarelay.store.vault import Vault

_encode = msgspec.json.Encoder().encode

_decode_session = msgspec.json.Decoder(KeptSession).decode


def session_params(digest: bytes, session: KeptSession, vault: Vault) -> Params:
    text = _encode(session).decode()
    return {"digest": digest, "session": vault.seal(text, "gateway_sessions", digest.hex(), "session")}


def session_from(row: Row, vault: Vault) -> tuple[bytes, KeptSession | None]:
    """Return a digest and its session, or None for one that cannot be read any more."""
    digest, sealed = row
    found = vault.secret(sealed, "gateway_sessions", digest.hex(), "session")
    return digest, _decode_session(found.reveal()) if found.is_readable else None
