"""
Form fields into requests. Every refusal is the contract's own sentence, and is raised before anything is stored.

Texts are measured in UTF-16 units, as JavaScript's `length` counts them, so that a client can check its own texts.
"""

from collections.abc import Iterable, Mapping

from pikarelay.contract.urls import is_deliverable
from pikarelay.errors import ButtonNotSupported, InvalidValue, MissingValue, TooLong
from pikarelay.jobs.buttons import SUPPORTED
from pikarelay.jobs.requests import ButtonRequest, CommonFields
from pikarelay.jobs.secret import Secret

#: Of `replyUrl` and of `replyRef`, each.
REPLY_LIMIT = 1024

#: The fields that every submitting call has.
COMMON_FIELDS = frozenset({"discord", "channel", "maxJobs", "replyUrl", "replyRef"})
BUTTON_FIELDS = COMMON_FIELDS | {"jobid", "button"}

#: A Discord id: decimal, 17 to 20 digits.
_ID_LENGTHS = range(17, 21)

#: More parallel jobs than that is no wish but a mistake (and would not fit the column).
_MAX_JOBS_LIMIT = 1_000_000


def parse_button(texts: Mapping[str, str]) -> ButtonRequest:
    """Return the request of POST /button, or raise in the order missing, too long, not supported."""
    job_id, button = _given(texts, "jobid"), _given(texts, "button")
    if job_id is None or button is None:
        raise MissingValue("jobid or button")
    common = parse_common(texts, "replyRef or replyUrl")
    if button not in SUPPORTED:
        raise ButtonNotSupported(button)
    return ButtonRequest(job_id=job_id, button=button, common=common)


def parse_common(
    texts: Mapping[str, str], names: str, measured: Iterable[tuple[str, int]] = ()
) -> CommonFields:
    """
    Read the fields that every call has.

    `measured` are the call's other texts with their limits, `names` what the sentence on length names.
    """
    reply_url, reply_ref = _given(texts, "replyUrl"), _given(texts, "replyRef")
    lengths = [(reply_url or "", REPLY_LIMIT), (reply_ref or "", REPLY_LIMIT), *measured]
    if any(utf16_length(text) > limit for text, limit in lengths):
        raise TooLong(names)
    if reply_url is not None and not is_deliverable(reply_url):
        raise InvalidValue("replyUrl is not a valid URL")
    token = _given(texts, "discord")
    return CommonFields(
        discord_token=Secret(header_safe(token)) if token is not None else None,
        channel=_given(texts, "channel"),
        max_jobs=_max_jobs(_given(texts, "maxJobs")),
        reply_url=reply_url,
        reply_ref=reply_ref,
    )


def utf16_length(text: str) -> int:
    """Return the length as JavaScript counts it: a character beyond the first 65,536 counts twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def _given(texts: Mapping[str, str], name: str) -> str | None:
    """Return a field's text; None when it is absent or empty, which are the same to the contract."""
    return texts.get(name) or None


def header_safe(token: str) -> str:
    """Return a Discord token that can stand in a header, where a line break would forge another one."""
    stripped = token.strip()
    if not stripped or not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise InvalidValue("discord is not a valid token")
    return stripped


def is_channel_id(text: str) -> bool:
    """Whether the text looks like a Discord id."""
    return text.isascii() and text.isdecimal() and len(text) in _ID_LENGTHS


def _max_jobs(text: str | None) -> int | None:
    """Return the number; None for what is no number or below 1, which counts as not given."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    number = int(text)
    return min(number, _MAX_JOBS_LIMIT) if number >= 1 else None
