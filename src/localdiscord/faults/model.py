"""
What a fault is: where it strikes, what it must match, what it does, and how often.

One shape for all three places. In JSON:

    {"where": "rest", "match": {"method": "POST", "route": "/interactions"},
     "do": {"kind": "rate_limit", "scope": "user", "retry_after": 2.5}, "skip": 1, "times": 1}

strikes the second press, once. `match` holds shell patterns; a key that is left out matches everything.
"""

from typing import Any, Literal

import msgspec


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Shell patterns over what is known at the place of the strike; ids are decimal strings."""

    method: str | None = None
    #: REST path below `/api/v9`, filled in: `/channels/*/messages`.
    route: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    #: Gateway event name: `MESSAGE_CREATE`, or `INTERACTION_*`.
    event: str | None = None
    application: str | None = None
    command: str | None = None
    custom_id: str | None = None


class Do(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", omit_defaults=True):
    """What happens."""


class RateLimit(Do, frozen=True, tag="rate_limit"):
    """
    REST: answer 429 and open its window. `cloudflare` answers HTML without `Via`, as a ban does.

    With `when` after, the call has had its effect all the same: the 429 is untrue.
    """

    scope: Literal["user", "shared", "global", "cloudflare"] = "user"
    retry_after: float = 1.0
    when: Literal["before", "after"] = "before"
    #: Leave the Retry-After header out; Cloudflare's bans may come without.
    bare: bool = False


class Fail(Do, frozen=True, tag="fail"):
    """
    REST: answer `status` before the call takes effect, or after.

    `code`, `message` and `errors` (a form's tree of fields) fill the JSON body, so that any refusal can be played;
    without them it is a server error's.
    """

    status: int = 500
    when: Literal["before", "after"] = "before"
    body: Literal["json", "html"] = "json"
    code: int = 0
    message: str | None = None
    errors: dict[str, Any] | None = None


class DropConnection(Do, frozen=True, tag="drop_connection"):
    """REST: cut the TCP connection before the call takes effect, or after."""

    when: Literal["before", "after"] = "after"


class Slow(Do, frozen=True, tag="slow"):
    """REST: wait, then serve the call; or serve it and hold the answer back."""

    seconds: float = 1.0
    when: Literal["before", "after"] = "after"


class Truncate(Do, frozen=True, tag="truncate"):
    """REST: serve the call, send half of the answer's bytes, cut."""


class Captcha(Do, frozen=True, tag="captcha"):
    """REST: answer 400 with a captcha challenge."""


class Unauthorized(Do, frozen=True, tag="unauthorized"):
    """REST: answer 401 although the token is good."""


class Blocked(Do, frozen=True, tag="blocked"):
    """REST: answer 403 with code 10008, as anti-abuse does."""


class VerificationRequired(Do, frozen=True, tag="verification_required"):
    """REST: answer 403 with code 40002."""


class Lose(Do, frozen=True, tag="lose"):
    """Gateway: never send the event. `gap` spends a sequence number on it, and a resume brings it."""

    gap: bool = False


class Delay(Do, frozen=True, tag="delay"):
    """Gateway: send the event later; others overtake it."""

    seconds: float = 1.0


class Duplicate(Do, frozen=True, tag="duplicate"):
    """Gateway: send the event twice."""


class Reorder(Do, frozen=True, tag="reorder"):
    """Gateway: let the session's next event overtake this one (after `seconds` it goes anyway)."""

    seconds: float = 1.0


class Cut(Do, frozen=True, tag="cut"):
    """Gateway: cut the TCP connection in place of sending the event, which waits for a resume."""


class Close(Do, frozen=True, tag="close"):
    """Gateway: close with `code` in place of sending the event."""

    code: int = 4000


class Reconnect(Do, frozen=True, tag="reconnect"):
    """Gateway: send op 7 in place of the event."""


class InvalidSession(Do, frozen=True, tag="invalid_session"):
    """Gateway: send op 9 in place of the event; when not resumable, the session is gone."""

    resumable: bool = False


class NoAcks(Do, frozen=True, tag="no_acks"):
    """Gateway: leave a heartbeat unanswered."""


class Refuse(Do, frozen=True, tag="refuse"):
    """Gateway: refuse new connections with a 503, for `seconds` since it was armed."""

    seconds: float = 1.0


class ShrinkReplay(Do, frozen=True, tag="shrink_replay"):
    """Gateway: at a resume, remember only the last `size` events."""

    size: int = 0


class Silence(Do, frozen=True, tag="silence"):
    """App: the application never hears of the interaction."""


class Late(Do, frozen=True, tag="late"):
    """App: the application hears of the interaction later."""

    seconds: float = 1.0


class Configure(Do, frozen=True, tag="configure"):
    """App: hand `settings` to the application before the interaction; they stay."""

    settings: dict[str, str | int | float | bool]


RestDo = (
    RateLimit
    | Fail
    | DropConnection
    | Slow
    | Truncate
    | Captcha
    | Unauthorized
    | Blocked
    | VerificationRequired
)
EventDo = Lose | Delay | Duplicate | Reorder | Cut | Close | Reconnect | InvalidSession
ConnectionDo = NoAcks | Refuse | ShrinkReplay
AppDo = Silence | Late | Configure


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One armed fault."""

    where: Literal["rest", "gateway", "app"]
    do: RestDo | EventDo | ConnectionDo | AppDo
    match: Match = Match()
    #: How often it strikes; None for ever.
    times: int | None = 1
    #: Matches to let pass first.
    skip: int = 0


#: What may strike where; anything else is refused when it is armed.
PLACES = {"rest": RestDo, "gateway": EventDo | ConnectionDo, "app": AppDo}
