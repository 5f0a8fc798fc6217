"""
Between rows and values: two functions per table, side by side. Nothing of a value may be lost on the way.

A row is a sequence in the order of the table's columns; parameters are a mapping by column name. A job's document
holds, as JSON, whatever of the job is not a column.
"""

from pikarelay.store.rows.callbacks import (
    attempt_from,
    attempt_params,
    callback_from,
    callback_params,
    callback_secret_from,
    callback_secret_params,
    filter_params,
    record_from,
    replay_params,
    target_from,
    target_params,
)
from pikarelay.store.rows.callers import (
    account_from,
    account_params,
    account_token,
    api_token_from,
    api_token_params,
    caller_from,
    caller_params,
    holder_from,
)
from pikarelay.store.rows.columns import Params, Row, from_ms, to_ms, to_ms_or_none
from pikarelay.store.rows.health import health_from, health_params
from pikarelay.store.rows.jobs import JobDocument, job_from, job_params, job_token, key_params, sealed_token
from pikarelay.store.rows.mirror import copy_from, new_copy_params, outcome_params
from pikarelay.store.rows.orphans import orphan_from, orphan_params
from pikarelay.store.rows.sessions import session_from, session_params
from pikarelay.store.rows.vault import SEALED_COLUMNS, SealedColumn, data_key_from, data_key_params

__all__ = [
    "SEALED_COLUMNS",
    "JobDocument",
    "Params",
    "Row",
    "SealedColumn",
    "account_from",
    "account_params",
    "account_token",
    "api_token_from",
    "api_token_params",
    "attempt_from",
    "attempt_params",
    "callback_from",
    "callback_params",
    "callback_secret_from",
    "callback_secret_params",
    "caller_from",
    "caller_params",
    "copy_from",
    "data_key_from",
    "data_key_params",
    "filter_params",
    "from_ms",
    "health_from",
    "health_params",
    "holder_from",
    "job_from",
    "job_params",
    "job_token",
    "key_params",
    "new_copy_params",
    "orphan_from",
    "orphan_params",
    "outcome_params",
    "record_from",
    "replay_params",
    "sealed_token",
    "session_from",
    "session_params",
    "target_from",
    "target_params",
    "to_ms",
    "to_ms_or_none",
]
