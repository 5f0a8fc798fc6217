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


def session_from(row: Row, vault: Vault) -> tuple[bytes, KeptSession]:
    digest, sealed = row
    return digest, _decode_session(vault.unseal(sealed, "gateway_sessions", digest.hex(), "session"))
