"""The vault's keys."""

from pikarelay.store.rows.columns import Params, Row
from pikarelay.store.vault import DataKey


def data_key_params(key: DataKey) -> Params:
    return {"number": key.number, "sealed": key.sealed, "root_fingerprint": key.root_fingerprint}


def data_key_from(row: Row) -> DataKey:
    number, sealed, root_fingerprint = row
    return DataKey(number, sealed, root_fingerprint)
