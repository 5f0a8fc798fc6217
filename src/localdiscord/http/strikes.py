"""The answers armed faults give in the place of the route's own."""

from http import HTTPStatus
from typing import Any

from localdiscord.faults.model import (
    Blocked,
    Captcha,
    Fail,
    RateLimit,
    RestDo,
    Unauthorized,
    VerificationRequired,
)
from localdiscord.http.call import Reply, encode
from localdiscord.wire import errors
from localdiscord.wire.errors import ApiError, RateLimited

CLOUDFLARE = "cloudflare"
PHRASES = {status.value: status.phrase for status in HTTPStatus}
#: Keys and values of the form Discord's challenges have; nothing in here could be solved.
CHALLENGE = {
    "captcha_key": ["captcha-required"],
    "captcha_sitekey": "00000000-0000-0000-0000-000000000000",
    "captcha_service": "hcaptcha",
    "captcha_session_id": "localdiscord",
    "captcha_rqdata": "localdiscord",
    "captcha_rqtoken": "localdiscord",
}


def answer_instead(strike: RestDo) -> ApiError | Reply | None:
    """Return what is answered before the call takes effect; None when the call is to be served."""
    answer: ApiError | Reply | None = None
    match strike:
        case RateLimit(when="before"):
            answer = limited(strike)
        case Fail(when="before"):
            answer = failure(strike)
        case Captcha():
            answer = Reply(400, encode(CHALLENGE))
        case Unauthorized():
            answer = errors.unauthorized()
        case Blocked():
            answer = errors.blocked()
        case VerificationRequired():
            answer = errors.verification_required()
        case _:
            pass
    return answer


def limited(strike: RateLimit) -> ApiError | Reply:
    """Return a 429, as Discord or as Cloudflare says it."""
    if strike.scope == CLOUDFLARE:
        return cloudflare(None if strike.bare else strike.retry_after)
    return RateLimited(strike.retry_after, strike.scope)


def cloudflare(retry_after: float | None) -> Reply:
    """Return a ban: text where JSON is expected, and no `Via`."""
    headers = {"Via": "", "Server": "cloudflare"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after + 0.499)))
    return Reply(429, b"error code: 1015", headers, "text/plain; charset=UTF-8")


def failure(strike: Fail) -> Reply:
    """Return a server error, as JSON or as the HTML of the edge in front of Discord."""
    if strike.body == "html":
        page = f"<html><head><title>{strike.status}</title></head><body>upstream error</body></html>"
        return Reply(strike.status, page.encode(), content_type="text/html")
    message = strike.message or f"{strike.status}: {PHRASES.get(strike.status, 'Server Error')}"
    body: dict[str, Any] = {"message": message, "code": strike.code}
    if strike.errors is not None:
        body["errors"] = strike.errors
    return Reply(strike.status, encode(body))
