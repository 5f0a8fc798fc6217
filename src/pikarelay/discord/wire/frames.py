"""Frames we send to the Gateway, and how many of them Discord lets us send."""

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

import msgspec

from pikarelay.discord.wire.opcodes import Opcode
from pikarelay.jobs.secret import Secret

#: Discord closes the connection (4002) on a larger frame.
LARGEST_FRAME: Final = 15 * 1024

#: What the client says about itself: the truth.
PROPERTIES: Final = {"os": "linux", "browser": "pikarelay", "device": "pikarelay"}

#: Bits 0-5, 9, 10, 13 and 14 of the user Gateway's capabilities: all they do for us is to make READY small. Bit 8 must
#: never be among them, for then READY would replace the account's token.
CAPABILITIES: Final = 26175

#: Guilds in one subscription frame, which stays far below the largest frame.
GUILDS_A_FRAME: Final = 100


def heartbeat(sequence: int | None) -> bytes:
    return _frame(Opcode.HEARTBEAT, sequence)


def identify(token: Secret, intents: int | None) -> bytes:
    """Return the frame that begins a user's session. `intents` are not sent when None."""
    data: dict[str, Any] = {
        "token": token.reveal(),
        "capabilities": CAPABILITIES,
        "properties": PROPERTIES,
        "presence": {"status": "unknown", "since": 0, "activities": [], "afk": False},
        "compress": False,
        "client_state": {"guild_versions": {}},
    }
    if intents is not None:
        data["intents"] = intents
    return _frame(Opcode.IDENTIFY, data)


def resume(token: Secret, session_id: str, sequence: int) -> bytes:
    return _frame(Opcode.RESUME, {"token": token.reveal(), "session_id": session_id, "seq": sequence})


def subscriptions(guild_ids: Sequence[str]) -> list[bytes]:
    """Return the frames that ask for messages of these guilds."""
    return [
        _frame(
            Opcode.GUILD_SUBSCRIPTIONS, {"subscriptions": _wishes(guild_ids[start : start + GUILDS_A_FRAME])}
        )
        for start in range(0, len(guild_ids), GUILDS_A_FRAME)
    ]


def _wishes(guild_ids: Sequence[str]) -> Mapping[str, Mapping[str, bool]]:
    return {guild_id: {"typing": True, "threads": True, "activities": True} for guild_id in guild_ids}


def _frame(opcode: Opcode, data: Any) -> bytes:
    return msgspec.json.encode({"op": int(opcode), "d": data})


class FrameBudget:
    """
    Counts frames against Discord's limit of 120 in any 60 seconds of one connection.

    Some are kept back for heartbeats: without one in time the connection is dead.
    """

    LIMIT: Final = 120
    KEPT_FOR_HEARTBEATS: Final = 10
    #: A little more than Discord's minute: frames are counted when they arrive, not when they leave.
    WINDOW_SECONDS: Final = 61.0

    def __init__(self) -> None:
        self._sent: deque[float] = deque()

    def free_at(self, *, is_heartbeat: bool = False) -> float:
        """Return the earliest time the next frame may leave; minus infinity when nothing is in its way."""
        limit = self.LIMIT if is_heartbeat else self.LIMIT - self.KEPT_FOR_HEARTBEATS
        if len(self._sent) < limit:
            return -inf
        return self._sent[-limit] + self.WINDOW_SECONDS

    def spend(self, now: float) -> None:
        """Count a frame that leaves now."""
        while self._sent and self._sent[0] <= now - self.WINDOW_SECONDS:
            self._sent.popleft()
        self._sent.append(now)
