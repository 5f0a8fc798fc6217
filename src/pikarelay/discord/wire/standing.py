"""
An account's standing with Discord: whether it may be used, and if not, what a person has to do about it.

Once an account is blocked, nothing more is asked of Discord in its name until somebody says `release`. A pause ends
by itself. Requests that were under way when the standing changed are answered after it: what they are answered with makes a
bad standing no better.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from pikarelay.discord.wire.closecodes import Remedy
from pikarelay.discord.wire.refusals import Refusal, Verdict

#: Two requests in a row were forbidden, for whatever reason: stop guessing for a while.
PAUSE: Final = timedelta(minutes=15)
FORBIDDEN_IN_A_ROW: Final = 2


class Standing(StrEnum):
    """How Discord sees the account."""

    GOOD = "good"
    #: Ends by itself.
    PAUSED = "paused"
    #: The rest last until a person acts.
    BLOCKED = "blocked"
    CAPTCHA = "captcha"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 -- the name of a standing
    GATEWAY_REFUSED = "gateway_refused"


_STANDINGS = {
    Verdict.TOKEN_INVALID: Standing.TOKEN_INVALID,
    Verdict.CAPTCHA: Standing.CAPTCHA,
    Verdict.BLOCKED: Standing.BLOCKED,
}


class AccountStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A standing and its story. Changes by returning another."""

    standing: Standing = Standing.GOOD
    #: For a person to read. Empty while it is good.
    reason: str = ""
    #: When a pause ends. None for every other standing.
    until: datetime | None = None
    #: Discord's refusal that led here. None when it was the Gateway that refused.
    status: int | None = None
    details: str = ""
    #: Requests forbidden (403) in a row.
    forbidden: int = 0

    def at(self, now: datetime) -> "AccountStanding":
        """Return the standing at that moment: a pause may have ended."""
        return AccountStanding() if self.until is not None and now >= self.until else self

    def is_usable(self, now: datetime) -> bool:
        """Whether Discord may be asked anything in this account's name."""
        return self.at(now).standing is Standing.GOOD

    def after_answer(self, status: int) -> "AccountStanding":
        """Return the standing after an answer that was no refusal."""
        is_news = self.standing is Standing.GOOD and self.forbidden
        return AccountStanding() if status < 400 and is_news else self

    def after_refusal(self, refusal: Refusal, status: int, details: str, now: datetime) -> "AccountStanding":
        """Return the standing after Discord refused a request with 4xx."""
        if (current := self.at(now)) is not self:
            return current.after_refusal(refusal, status, details, now)
        if self.standing not in {Standing.GOOD, Standing.PAUSED}:
            return self
        if (standing := _STANDINGS.get(refusal.verdict)) is not None:
            return AccountStanding(standing=standing, reason=refusal.reason, status=status, details=details)
        if status != 403 or self.standing is Standing.PAUSED:
            return self
        return self._forbidden_again(details, now)

    def after_stop(self, remedy: Remedy, reason: str) -> "AccountStanding":
        """Return the standing after the Gateway would have the account no more."""
        if self.standing is Standing.TOKEN_INVALID:
            return self
        is_dead = remedy is Remedy.TOKEN_INVALID
        return AccountStanding(
            standing=Standing.TOKEN_INVALID if is_dead else Standing.GATEWAY_REFUSED, reason=reason
        )

    def _forbidden_again(self, details: str, now: datetime) -> "AccountStanding":
        forbidden = self.forbidden + 1
        if forbidden < FORBIDDEN_IN_A_ROW:
            return msgspec.structs.replace(self, forbidden=forbidden)
        return AccountStanding(
            standing=Standing.PAUSED,
            reason="Discord forbade this account several requests in a row",
            until=now + PAUSE,
            status=403,
            details=details,
        )
