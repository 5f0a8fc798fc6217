"""A token does not slip out."""

import logging
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.secret import Secret, SecretUnreadable, Unreadable
from tests.factories import TOKEN, a_job


@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__, lambda s: f"{s!r:>80}"])
def test_printing_masks(show: object) -> None:
    """However a secret is printed, only its ends show."""
    assert callable(show)
    shown = show(Secret(TOKEN))

    assert "MTE…secured…xyz" in shown
    assert TOKEN not in shown


@given(st.text(max_size=15))
def test_short_secret_shows_nothing(text: str) -> None:
    """A text so short that its ends would tell it is masked whole."""
    assert Secret(text).masked == "…secured…"


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=16))
def test_long_secret_shows_three_and_three(text: str) -> None:
    """A token shows its first and last three characters, as the contract has it."""
    assert f"{text[:3]}…secured…{text[-3:]}" == Secret(text).masked
    assert text == Secret(text).reveal()


def test_job_prints_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """A job in a log line or in a traceback shows its token masked."""
    job = a_job()
    try:
        raise ValueError(job)
    except ValueError:
        logging.getLogger("test").exception("job %r", job)
        assert TOKEN not in traceback.format_exc()

    assert TOKEN not in caplog.text


def test_secret_is_no_json() -> None:
    """Nothing can encode a secret by accident."""
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(TOKEN))


def test_equality_is_by_content() -> None:
    """Two secrets of one text are equal, and none equals its text."""
    assert Secret(TOKEN) == Secret(TOKEN)
    assert hash(Secret(TOKEN)) == hash(Secret(TOKEN))
    assert Secret(TOKEN) != TOKEN
    assert Secret(TOKEN) != Secret("another")


def test_unreadable_secret() -> None:
    """A secret that cannot be opened prints like any other, reveals nothing, and says where it is kept when it is asked to."""
    lost = Unreadable("accounts.discord_token of 3/ann/100")

    assert ("…secured…", "Secret(…secured…)") == (str(lost), repr(lost))
    assert (False, True) == (lost.is_readable, Secret(TOKEN).is_readable)
    with pytest.raises(
        SecretUnreadable, match=r"stored token cannot be read: accounts\.discord_token of 3/ann/100"
    ):
        lost.reveal()


def test_unreadable_secrets_are_told_apart_by_place() -> None:
    """Two unreadable secrets are the same when they are kept in one place; none is a text that happens to be its place."""
    assert Unreadable("a") == Unreadable("a")
    assert hash(Unreadable("a")) == hash(Unreadable("a"))
    assert Unreadable("a") != Unreadable("b")
    assert Unreadable("a") != Secret("a")
    assert Secret("a") != Unreadable("a")
