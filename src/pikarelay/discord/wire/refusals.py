"""
What a refusal of Discord's means for the account that was refused.

Most refusals are about the one request. A few say that the account, or this server, is no longer welcome, and then asking
again makes it worse: a dead token, a demand for a captcha, a block. Those are never worked around here; a person has to
look. Codes and shapes are from Discord's documentation and public descriptions of the user API, as of 2026-08.
"""

from enum import Enum
from typing import Any, NamedTuple

import msgspec


class Verdict(Enum):
    """What becomes of the account."""

    #: Nothing: the refusal was about the request.
    NONE = "none"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 -- the name of a verdict
    CAPTCHA = "captcha"
    BLOCKED = "blocked"


class Refusal(NamedTuple):
    """A refusal, read."""

    verdict: Verdict
    #: For a person to read. Empty when the verdict is NONE.
    reason: str = ""
    #: True when the button or command is not what it was when we read it.
    is_stale: bool = False
    #: True when the session in whose name it was asked is gone, or without a connection at the moment.
    is_session_gone: bool = False


class _Body(msgspec.Struct, frozen=True):
    code: int = 0
    errors: Any = None
    captcha_key: Any = None


_TOKEN_CODES = frozenset({40001, 50014})
#: The button is not (or no longer) on its message; the command has another version.
_STALE = frozenset(
    {
        "COMPONENT_VALIDATION_FAILED",
        "INTERACTION_APPLICATION_COMMAND_INVALID_VERSION",
        "INTERACTION_APPLICATION_COMMAND_INVALID",
    }
)
_UNKNOWN_COMMAND = 10063

#: By status and Discord's error code.
_BLOCKS = {
    # Told apart from a message that is really missing by its status, which then is 404.
    (
        403,
        10008,
    ): "Discord's protection against abuse refuses this account: use it in the official client and wait",
    (403, 40002): "Discord wants this account to be verified in the official client",
    (403, 40333): "Discord's network refuses requests from this server",
}


def read_refusal(status: int, body: bytes) -> Refusal:
    """Read the answer to any request, status 4xx, that Discord refused."""
    said = _read(body)
    if status == 401 or said.code in _TOKEN_CODES:
        return Refusal(Verdict.TOKEN_INVALID, "Discord does not accept this token any more")
    # Known by its key alone: there is no error code, and the text varies.
    if status == 400 and said.captcha_key is not None:
        return Refusal(
            Verdict.CAPTCHA,
            "Discord asks this account for a captcha: a person has to use the official client",
        )
    if (reason := _BLOCKS.get((status, said.code))) is not None:
        return Refusal(Verdict.BLOCKED, reason)
    is_session_gone = status == 400 and isinstance(said.errors, dict) and "session_id" in said.errors
    is_stale = said.code == _UNKNOWN_COMMAND or not _STALE.isdisjoint(error_codes(said.errors))
    return Refusal(Verdict.NONE, is_stale=is_stale, is_session_gone=is_session_gone)


def error_codes(tree: Any) -> frozenset[str]:
    """Return all codes in a validation error's tree, `errors.<field>…_errors[].code`."""
    if isinstance(tree, dict):
        own = {str(tree["code"])} if isinstance(tree.get("code"), str) else set()
        return frozenset(own).union(*(error_codes(value) for value in tree.values()))
    if isinstance(tree, list):
        return frozenset().union(*(error_codes(value) for value in tree))
    return frozenset()


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()
