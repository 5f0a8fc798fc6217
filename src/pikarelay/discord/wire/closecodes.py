"""
Gateway close codes: what each means for us.

The numbers are from Discord's documentation; 4015 and 4016 are known for user accounts only and undocumented (as of
2026-08). A code that is not in the table, or none at all, leaves the session as it was: resume.
"""

from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

#: What we close with when we mean to come back. 1000 and 1001 would end the session at Discord.
COMING_BACK: Final = 4000


class Remedy(Enum):
    """What to do after a close."""

    #: Connect again and go on with the session.
    RESUME = "resume"
    #: Connect again; the session is lost.
    IDENTIFY = "identify"
    #: The token is dead. Never use it again.
    TOKEN_INVALID = "token_invalid"  # noqa: S105 -- the name of a remedy
    #: Coming back would fail in the same way until a person changes something.
    STOP = "stop"


class Closing(NamedTuple):
    """A row of the table."""

    remedy: Remedy
    #: For a person to read.
    reason: str
    #: Seconds to stay away at least.
    pause: float = 0.0


UNKNOWN: Final = Closing(Remedy.RESUME, "the connection was lost")

CLOSE_CODES: Final = MappingProxyType(
    {
        1000: Closing(Remedy.RESUME, "Discord closed the connection"),
        1001: Closing(Remedy.RESUME, "Discord's server went away"),
        1006: UNKNOWN,
        4000: Closing(Remedy.RESUME, "unknown error"),
        4001: Closing(Remedy.RESUME, "Discord did not know an opcode of ours"),
        4002: Closing(Remedy.RESUME, "Discord could not decode a frame of ours"),
        # The connection was used before it was identified, so there was no session to lose or keep.
        4003: Closing(Remedy.IDENTIFY, "not authenticated"),
        4004: Closing(Remedy.TOKEN_INVALID, "Discord does not accept this token any more"),
        4005: Closing(Remedy.RESUME, "identified twice"),
        4007: Closing(Remedy.IDENTIFY, "Discord did not accept the sequence number"),
        # More than 120 frames in a minute. Coming straight back would meet the same limit.
        4008: Closing(Remedy.RESUME, "too many frames sent", pause=5.0),
        4009: Closing(Remedy.IDENTIFY, "the session timed out"),
        4010: Closing(Remedy.STOP, "Discord refuses the shard, which is not ours to send"),
        4011: Closing(Remedy.STOP, "Discord requires sharding, which user accounts never need"),
        4012: Closing(Remedy.STOP, "Discord no longer serves this version of its Gateway"),
        4013: Closing(Remedy.STOP, "Discord refuses the intents: check the setting"),
        4014: Closing(Remedy.STOP, "the account may not use these intents: check the setting"),
        4015: Closing(Remedy.STOP, "the account has too many sessions: close some Discord clients"),
        4016: Closing(Remedy.STOP, "Discord cancelled the connection request"),
    }
)


def after_close(code: int | None) -> Closing:
    """Return what to do after the server closed with `code`; None when the connection was cut."""
    return CLOSE_CODES.get(code or 1006, UNKNOWN)
