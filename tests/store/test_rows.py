"""Values go into rows and come back whole."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pikarelay.jobs.api_tokens import Scope
from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    Target,
    Trigger,
)
from pikarelay.jobs.job import (
    Account,
    Attachment,
    Button,
    Caller,
    Doubt,
    Job,
    Press,
    PressPhase,
    Status,
    Upload,
    Verb,
)
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ApiToken,
    CallbackSecret,
)
from pikarelay.store import rows, schema
from pikarelay.store.root_key import RootKey
from pikarelay.store.vault import Vault, new_data_key
from tests.store.conftest import NOW, a_job

ROOT = RootKey(b"r" * 32, "the test")
VAULT = Vault.unlock(ROOT, [new_data_key(ROOT, 1)])

# Whatever UTF-8 can say, control characters and NUL included.
texts = st.text(st.characters(codec="utf-8"), max_size=30)
maybe_texts = st.none() | texts
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001  # hypothesis wants its bounds naive
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
numbers = st.integers(-(2**31), 2**31 - 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
secrets = st.builds(Secret, texts)
buttons = st.builds(Button, name=texts, custom_id=texts, component_type=numbers, disabled=st.booleans())
attachments = st.builds(
    Attachment,
    url=texts,
    proxy_url=texts,
    filename=texts,
    content_type=maybe_texts,
    size=st.none() | numbers,
    width=st.none() | numbers,
    height=st.none() | numbers,
    id=texts,
)
uploads = st.builds(Upload, size=numbers, type=texts, key=texts)
doubts = st.builds(Doubt, message_id=texts, job_ids=st.lists(texts, max_size=3).map(tuple))
PRESS_FIELDS = {
    "phase": st.sampled_from(PressPhase),
    "nonce": texts,
    "parent_message_id": maybe_texts,
    "parent_message_flags": numbers,
    "custom_id": maybe_texts,
    "component_type": numbers,
    "application_id": maybe_texts,
    "bot_id": maybe_texts,
    "user_id": maybe_texts,
    "floor_id": maybe_texts,
    "sent": st.none() | times,
    "interaction_id": maybe_texts,
    "weak": st.booleans(),
    "doubts": st.lists(doubts, max_size=2).map(tuple),
}
presses = st.builds(Press, **PRESS_FIELDS)
JOB_FIELDS = {
    "job_id": texts,
    "caller_id": texts,
    "verb": st.sampled_from(Verb),
    "status": st.sampled_from(Status),
    "created": times,
    "updated": times,
    "prompt": maybe_texts,
    "message": maybe_texts,
    "message_image": st.none() | uploads,
    "font": maybe_texts,
    "image": st.none() | uploads,
    "button": maybe_texts,
    "parent_job_id": maybe_texts,
    "discord_token": secrets,
    "channel": texts,
    "max_jobs": numbers,
    "reply_url": maybe_texts,
    "reply_ref": maybe_texts,
    "press": presses,
    "message_id": maybe_texts,
    "message_flags": numbers,
    "content": maybe_texts,
    "timestamp": maybe_texts,
    "buttons": st.lists(buttons, max_size=3).map(tuple),
    "attachments": st.lists(attachments, max_size=2).map(tuple),
    "embeds": st.lists(st.dictionaries(texts, json_values, max_size=3), max_size=2).map(tuple),
    "error": maybe_texts,
    "error_details": maybe_texts,
    "is_withdrawn": st.booleans(),
}


def in_order(table: sa.Table, params: Mapping[str, object]) -> list[Any]:
    assert {column.name for column in table.c} == set(params)
    return [params[column.name] for column in table.c]


def test_every_field_is_tried() -> None:
    """The round trip below makes up a value for every field of a job and of a press."""
    assert set(JOB_FIELDS) == set(Job.__struct_fields__)
    assert set(PRESS_FIELDS) == set(Press.__struct_fields__)


@given(st.fixed_dictionaries(JOB_FIELDS))
def test_job_comes_back_whole(fields: dict[str, Any]) -> None:
    """A job of any content comes back from its row as it was."""
    job = Job(**fields)
    params = rows.job_params(job, rows.sealed_token(job, VAULT))

    assert rows.job_from(in_order(schema.jobs, params), VAULT) == job


@given(
    st.builds(Account, caller_id=texts, channel=texts, discord_token=secrets, max_jobs=numbers, updated=times)
)
def test_account_comes_back_whole(account: Account) -> None:
    """An account of any content comes back from its row as it was."""
    params = rows.account_params(account, VAULT)

    assert rows.account_from(in_order(schema.accounts, params), VAULT) == account


@given(
    st.builds(
        Caller,
        caller_id=texts,
        name=texts,
        created=times,
        subscribed_until=st.none() | times,
        has_subscription=st.booleans(),
        reply_url=maybe_texts,
    )
)
def test_caller_comes_back_whole(caller: Caller) -> None:
    """A caller of any content comes back from its row as it was."""
    assert rows.caller_from(in_order(schema.callers, rows.caller_params(caller))) == caller


@given(
    st.builds(
        ApiToken,
        token_id=texts,
        caller_id=texts,
        hint=texts,
        created=times,
        revoked=st.none() | times,
        scopes=st.frozensets(st.sampled_from(Scope), min_size=1),
        expires=st.none() | times,
        last_used=st.none() | times,
    )
)
def test_api_token_comes_back_whole(token: ApiToken) -> None:
    """An API token comes back from its row as it was, without its digest."""
    params = rows.api_token_params(token, b"digest")
    assert params["digest"] == b"digest"
    row = [value for name, value in params.items() if name != "digest"]

    assert rows.api_token_from(row) == token


@given(
    st.builds(
        CallbackAttempt,
        callback_id=texts,
        attempt=numbers,
        started=times,
        duration_ms=numbers,
        status=st.none() | numbers,
        error=maybe_texts,
        address=maybe_texts,
        trigger=st.sampled_from(Trigger),
        answer=maybe_texts,
        next_try=st.none() | times,
    )
)
def test_attempt_comes_back_whole(attempt: CallbackAttempt) -> None:
    """A line of a callback's log comes back from its row as it was."""
    params = rows.attempt_params(attempt)

    assert rows.attempt_from(in_order(schema.callback_attempts, params)) == attempt


@given(
    st.builds(
        Target,
        target=texts,
        due=st.none() | times,
        busy_until=st.none() | times,
        health=st.builds(
            Health,
            failures=numbers,
            pauses=numbers,
            paused_until=st.none() | times,
            failing_since=st.none() | times,
            exhausted=numbers,
            disabled=st.none() | times,
            is_held=st.booleans(),
        ),
    )
)
def test_target_comes_back_whole(target: Target) -> None:
    """A target comes back from its row as it was."""
    params = rows.target_params(target)

    assert rows.target_from(in_order(schema.callback_targets, params)) == target


@given(
    st.builds(
        CallbackSecret,
        secret_id=texts,
        caller_id=texts,
        secret=st.builds(Secret, texts),
        created=times,
        expires=st.none() | times,
    )
)
def test_callback_secret_comes_back_whole(kept: CallbackSecret) -> None:
    """A signing secret comes back from its row as it was, and is nowhere in it to be read."""
    params = rows.callback_secret_params(kept, VAULT)

    assert rows.callback_secret_from(in_order(schema.callback_secrets, params), VAULT) == kept


@given(times)
def test_times_are_whole_milliseconds(moment: datetime) -> None:
    """A time to the millisecond is kept exactly, however far off."""
    assert rows.from_ms(rows.to_ms(moment)) == moment


def test_account_rows_are_told_apart() -> None:
    """The token of caller `a` on channel `b/c` does not open as that of caller `a/b` on channel `c`."""
    account = Account(caller_id="a", channel="b/c", discord_token=Secret("x"), max_jobs=1, updated=NOW)
    sealed = rows.account_params(account, VAULT)["discord_token"]
    other = rows.account_params(replace(account, caller_id="a/b", channel="c"), VAULT)

    row = in_order(schema.accounts, {**other, "discord_token": sealed})

    assert not rows.account_from(row, VAULT).discord_token.is_readable


def test_documents_of_older_versions_are_read() -> None:
    """A document without what is optional, or with something unknown in it, is still a job's."""
    job = a_job(1)
    row = in_order(schema.jobs, rows.job_params(job, rows.sealed_token(job, VAULT)))
    row[list(schema.jobs.c).index(schema.jobs.c.document)] = b'{"max_jobs":10,"once_there_was":1}'

    assert rows.job_from(row, VAULT) == job


def test_nothing_is_kept_twice() -> None:
    """What is a column is not in the document as well, so the two cannot disagree."""
    columns = {column.name for column in schema.jobs.c} - {"document"}
    of_press = {f"press_{name}" for name in columns}

    assert set(rows.JobDocument.__struct_fields__).isdisjoint(columns | of_press)
