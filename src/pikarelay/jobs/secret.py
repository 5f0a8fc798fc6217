"""Secrets as values that cannot be printed by accident, and a second net: what looks like one in a text."""

import hashlib
import re

#: Shorter tokens would be given away by their first and last three characters.
_SHORTEST_SHOWN = 16

_SCRUBBED = "…secured…"

#: Discord's token form, our own tokens, signing secrets, what follows a Bearer, and a URL's user information.
_LOOKS_SECRET = re.compile(
    r"mfa\.[\w-]{20,}|[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}|pkr_[0-9A-Za-z]{20,}|whsec_[\w+/=-]{20,}"
    r"|(?<=Bearer )[^\s\"']+|(?<=://)[^\s/@\"']+(?=@)"
)
#: The shortest text that one of these shapes can be, those apart that follow a Bearer or stand in a URL.
_SHORTEST_SHAPE = len("pkr_") + 20
#: A header that carries credentials, by its name; and a URL's query. What follows is the secret.
_HOLDS_SECRET = re.compile(
    r"((?:authorization|cookie)[\"']?\s*[:=]\s*[\"']?(?:Bearer |Basic )?)[^\s\"'][^\"'\r\n]*"
    r"|((?:https?|wss?)://[^\s\"'<>?]*\?)[^\s\"'<>]+",
    re.IGNORECASE,
)


def scrub(text: str) -> str:
    """Return the text without anything that looks like a secret."""
    lowered = text.lower()
    has_place = "://" in text or "cookie" in lowered or "authorization" in lowered
    # Most of what is logged is a word or an id, and is through here.
    if len(text) >= _SHORTEST_SHAPE or has_place or "Bearer" in text:
        text = _LOOKS_SECRET.sub(_SCRUBBED, text)
    if has_place:
        text = _HOLDS_SECRET.sub(lambda found: (found[1] or found[2]) + _SCRUBBED, text)
    return text


class Secret:
    """
    Holds a secret text. `str` and `repr` print it masked as the contract masks tokens: `abc…secured…xyz`.

    `reveal()` is the only way to the text, so that every place that uses one can be found by its name.
    """

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest: bytes | None = None

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    @property
    def digest(self) -> bytes:
        """Its SHA-256, which tells secrets apart and gives none away; of an unreadable one, its place's."""
        if self._digest is None:
            self._digest = hashlib.sha256(self._text.encode()).digest()
        return self._digest

    @property
    def is_readable(self) -> bool:
        """Whether there is anything to reveal."""
        return True

    @property
    def masked(self) -> str:
        """The form that may be shown: first and last three characters, or none of a short secret."""
        if len(self._text) < _SHORTEST_SHOWN:
            return _SCRUBBED
        return f"{self._text[:3]}…secured…{self._text[-3:]}"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Secret({self.masked})"

    def __eq__(self, other: object) -> bool:
        # An unreadable one answers for itself.
        return isinstance(other, Secret) and other.is_readable and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


#: What is said of a secret that is stored and cannot be opened.
UNREADABLE = "stored token cannot be read"


class SecretUnreadable(Exception):
    """A secret that cannot be opened was to be revealed. The message says where it is kept."""


class Unreadable(Secret):
    """
    Stands for a stored secret that cannot be opened, so that whatever else its row says can still be read.

    Equal to another one of the same place. Whoever uses secrets asks `is_readable` first.
    """

    __slots__ = ()

    def __init__(self, place: str) -> None:
        """`place` names table, column and row."""
        super().__init__(place)

    def reveal(self) -> str:
        """Raise `SecretUnreadable`."""
        raise SecretUnreadable(f"{UNREADABLE}: {self._text}")

    @property
    def is_readable(self) -> bool:
        return False

    @property
    def masked(self) -> str:
        return _SCRUBBED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unreadable) and self._text == other._text

    def __hash__(self) -> int:
        return hash(("unreadable", self._text))
