"""Uploaded files, in pieces."""

from collections.abc import Sequence
from datetime import datetime

from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction


def begin_file(key: str, size: int, now: datetime) -> Transaction[None]:
    yield "insert_file", {"upload_key": key, "size": size, "finished": rows.to_ms(now)}


def put_file_piece(key: str, number: int, piece: bytes) -> Transaction[None]:
    yield "insert_piece", {"upload_key": key, "number": number, "piece": piece}


def file_piece(key: str, number: int) -> Transaction[bytes | None]:
    found = yield "file_piece", {"upload_key": key, "number": number}
    return bytes(found[0][0]) if found else None


def files_size() -> Transaction[int]:
    ((size,),) = yield "files_size", {}
    return int(size)


def files_before(moment: datetime) -> Transaction[tuple[str, ...]]:
    return tuple(key for (key,) in (yield "files_before", {"before": rows.to_ms(moment)}))


def remove_files(keys: Sequence[str]) -> Transaction[None]:
    for key in sorted(keys):
        yield "delete_file", {"upload_key": key}
