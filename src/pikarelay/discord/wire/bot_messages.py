"""
The bot's own dialect: which of its messages are queue notes, results, refusals.

Read from a message's shape where that is enough (a video means a result), from its prose where it is not. The prose
changes without notice, so it is a table: operators can put patterns of their own before ours.

Two contents are known from the frozen contract of the service this one replaces:

    <@id>  Creation job queued. (Prompt: …  Message: 1 Attachment  Image: 1 Attachment  Author: <@id>)
    <@id> Prompt: …  Image: 1 Attachment  Author: <@id>)

What a caller wrote must never be taken for the bot's words: "a job that failed" is a fair prompt. So everything from
`Prompt:` on, and everything in quotation marks, is not prose.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pikarelay.jobs.messages import Kind

#: Video files whose `content_type` Discord did not fill in.
VIDEO_SUFFIXES: Final = (".mp4", ".webm", ".mov", ".mkv", ".m4v")

EPHEMERAL: Final = 1 << 6
LOADING: Final = 1 << 7

_QUOTED_PROMPT = re.compile(r"\bprompt\s*:.*", re.IGNORECASE | re.DOTALL)
_QUOTATION = re.compile(r"\"[^\"]*\"|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb|`[^`]*`")
_MENTION = re.compile(r"<[@#][!&]?\d+>")


class Pattern(NamedTuple):
    """Prose matched by `regex` (anywhere in it, letter case ignored) makes a message a `kind`."""

    kind: Kind
    regex: str


#: In order; the first that matches wins. Only the queue note is known for certain, the rest is the usual wording.
PATTERNS: Final = (
    Pattern(Kind.UPDATE, r"\bjob queued\b"),
    Pattern(Kind.MODERATED, r"\bmoderat(?:ed|ion)\b"),
    Pattern(Kind.MODERATED, r"\b(?:flagged|inappropriate|nsfw|prohibited|disallowed)\b"),
    Pattern(Kind.MODERATED, r"\bviolat(?:es?|ed|ing|ions?)\b"),
    Pattern(Kind.MODERATED, r"\b(?:community|content) (?:guidelines|policy|policies|standards)\b"),
    Pattern(Kind.MODERATED, r"\b(?:banned|blocked|sensitive) (?:words?|phrases?|content|terms?)\b"),
    Pattern(Kind.FAILED, r"\bfailed\b"),
    Pattern(Kind.FAILED, r"\b(?:an?|internal|unknown|unexpected) error\b|^error\b"),
    Pattern(Kind.FAILED, r"\b(?:something|it) went wrong\b"),
    Pattern(Kind.FAILED, r"\bcould(?: not|n.t) (?:be )?(?:process|generat|creat|complet|start|finish)"),
    Pattern(Kind.FAILED, r"\b(?:unable|not able) to (?:process|generate|create|complete|start|finish)\b"),
    Pattern(Kind.FAILED, r"\btry again (?:later|in)\b"),
    Pattern(Kind.FAILED, r"\btimed out\b"),
    Pattern(Kind.FAILED, r"\bno longer (?:available|valid|exists?)\b|\b(?:has|have) expired\b"),
)


class Look(NamedTuple):
    """What a message's kind is read from."""

    content: str
    flags: int
    #: (content type or None, file name) of each attachment.
    files: Sequence[tuple[str | None, str]] = ()
    #: Titles and descriptions of its embeds.
    embed_texts: Sequence[str] = ()
    has_buttons: bool = False


class Prose:
    """Decides a message's kind. Immutable."""

    def __init__(self, extra: Iterable[Pattern] = ()) -> None:
        """
        Compile the table, `extra` before ours.

        Raises `ValueError` for a pattern that is not a regular expression, or stands for a kind that is read from
        a message's shape.
        """
        self._table = tuple(_compiled(pattern) for pattern in (*extra, *PATTERNS))

    def kind_of(self, look: Look) -> Kind:
        """Return what the bot says with a message that looks so."""
        if not look.flags & LOADING and any(is_video(*file) for file in look.files):
            return Kind.RESULT
        said = self._said(look)
        if said in {Kind.MODERATED, Kind.FAILED}:
            return said
        is_empty = not (look.content.strip() or look.files or look.embed_texts or look.has_buttons)
        if is_empty or look.flags & (LOADING | EPHEMERAL):
            return Kind.HIDDEN
        return Kind.UPDATE

    def _said(self, look: Look) -> Kind:
        prose = "\n".join(spoken(text) for text in (look.content, *look.embed_texts))
        return next((kind for kind, regex in self._table if regex.search(prose)), Kind.UPDATE)


def is_video(content_type: str | None, filename: str) -> bool:
    """Whether a file is a video by its type, or by its name when it has no type."""
    if content_type:
        return content_type.lower().startswith("video/")
    return filename.lower().endswith(VIDEO_SUFFIXES)


def spoken(text: str) -> str:
    """Return the bot's own words in `text`: no mentions, no quotations, nothing from `Prompt:` on."""
    return _MENTION.sub(" ", _QUOTATION.sub(" ", _QUOTED_PROMPT.sub(" ", text))).strip()


def _compiled(pattern: Pattern) -> tuple[Kind, re.Pattern[str]]:
    if pattern.kind not in {Kind.UPDATE, Kind.MODERATED, Kind.FAILED}:
        raise ValueError(f"no pattern can make a message {pattern.kind.value}")
    try:
        return pattern.kind, re.compile(pattern.regex, re.IGNORECASE | re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{pattern.regex!r} is not a regular expression: {error}") from None
