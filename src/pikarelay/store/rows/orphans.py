"""Messages that were given to nobody."""

import msgspec

from pikarelay.jobs.messages import BotMessage
from pikarelay.services.ports import (
    Orphan,
    OrphanReason,
)
from pikarelay.store.rows.columns import Params, Row, from_ms, to_ms

_encode = msgspec.json.Encoder().encode

_decode_candidates = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_message = msgspec.json.Decoder(BotMessage).decode


def orphan_params(orphan: Orphan) -> Params:
    return {
        "message_id": orphan.message.id,
        "channel": orphan.message.channel_id,
        "user_id": orphan.user_id,
        "seen": to_ms(orphan.seen),
        "kind": orphan.message.kind.value,
        "reason": orphan.reason.value,
        "candidates": _encode(orphan.candidates),
        "message": _encode(orphan.message),
    }


def orphan_from(row: Row) -> Orphan:
    _message_id, _channel, user_id, seen, _kind, reason, candidates, message = row
    return Orphan(
        message=_decode_message(message),
        user_id=user_id,
        seen=from_ms(seen),
        reason=OrphanReason(reason),
        candidates=_decode_candidates(candidates),
    )
