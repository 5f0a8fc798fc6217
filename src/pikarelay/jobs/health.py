"""How an account fares at Discord, as people are told."""

from datetime import datetime
from enum import StrEnum

import msgspec


class HealthState(StrEnum):
    """What an account can do right now."""

    READY = "ready"
    #: A session is being made; presses wait for it.
    CONNECTING = "connecting"
    #: No server looks after it.
    OFFLINE = "offline"
    #: By Discord, for a while; ends by itself.
    PAUSED = "paused"
    #: The rest last until a person acts.
    BLOCKED = "blocked"
    CAPTCHA = "captcha"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 -- the name of a state
    GATEWAY_REFUSED = "gateway_refused"


class AccountHealth(msgspec.Struct, frozen=True, kw_only=True):
    """An account's state, and what a person has to know or do about it."""

    state: HealthState
    #: Empty while nothing is wrong.
    reason: str = ""
    #: When a pause ends by itself. None otherwise.
    until: datetime | None = None
