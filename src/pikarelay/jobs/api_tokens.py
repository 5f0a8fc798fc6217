"""
What an API token looks like: `pkr_`, 43 characters of randomness, 6 of checksum.

The prefix and the checksum let secret scanners find a leaked one, and tell it from anything that merely looks alike, without
asking us.
"""

import enum
import zlib

PREFIX = "pkr_"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES = 32
_RANDOM_DIGITS = 43
_CHECK_DIGITS = 6


class Scope(enum.Enum):
    """What a token is good for. Whoever makes one and says nothing gets both."""

    #: Jobs: submit, read and cancel them, and read what became of their callbacks.
    USE = "use"
    #: What jobs run with: accounts, the default `replyUrl`, callbacks sent again.
    ADMINISTER = "administer"


EVERY_SCOPE = frozenset(Scope)


def format_token(random: bytes) -> str:
    """Return the token made of 32 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a token is made of {RANDOM_BYTES} bytes, not {len(random)}")
    payload = PREFIX + _base62(int.from_bytes(random), _RANDOM_DIGITS)
    return payload + _checksum(payload)


def is_well_formed(text: str) -> bool:
    """Whether the text has a token's form and checksum. Says nothing about whether it is valid."""
    length = len(PREFIX) + _RANDOM_DIGITS + _CHECK_DIGITS
    if len(text) != length or not text.startswith(PREFIX) or not text.isascii():
        return False
    return _checksum(text[:-_CHECK_DIGITS]) == text[-_CHECK_DIGITS:]


def hint(token: str) -> str:
    """Return as much of a token as may be listed."""
    return token[: len(PREFIX) + 4] + "…"


def _checksum(payload: str) -> str:
    return _base62(zlib.crc32(payload.encode("ascii")), _CHECK_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
