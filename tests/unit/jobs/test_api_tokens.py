"""The form of API tokens."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.api_tokens import RANDOM_BYTES, format_token, hint, is_well_formed


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_tokens_are_well_formed(random: bytes) -> None:
    """Every token has the prefix, one length, and a checksum that fits."""
    token = format_token(random)

    assert token.startswith("pkr_")
    assert 53 == len(token)
    assert is_well_formed(token)


def test_one_changed_character_is_noticed() -> None:
    """A token with any one character changed is not well formed."""
    token = format_token(secrets.token_bytes(RANDOM_BYTES))

    for place in range(len(token)):
        other = "x" if token[place] != "x" else "y"

        assert not is_well_formed(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize("text", ["", "pkr_", "pkr_" + "0" * 49, "xyz_" + "0" * 49, "pkr_" + "ü" * 49])
def test_others_are_not(text: str) -> None:
    """What merely looks alike is not well formed."""
    assert not is_well_formed(text)


def test_the_length_is_checked() -> None:
    """A token is made of 32 bytes, and of nothing else."""
    with pytest.raises(ValueError, match="32 bytes"):
        format_token(b"too short")


def test_the_hint_gives_nothing_away() -> None:
    """Of a token, the prefix and four characters are listed."""
    token = format_token(bytes(RANDOM_BYTES))

    assert "pkr_0000…" == hint(token)
