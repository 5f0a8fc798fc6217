"""Secrets as values that cannot be printed by accident, and a second net: what looks like one in a text."""

import re

#: Shorter tokens would be given away by their first and last three characters.
_SHORTEST_SHOWN = 16

#: Discord's token form, our own tokens, signing secrets, whatever follows a Bearer, and a URL's user information.
_LOOKS_SECRET = re.compile(
    r"mfa\.[\w-]{20,}|[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}|pkr_[0-9A-Za-z]{20,}|whsec_[\w+/=-]{20,}"
    r"|(?<=Bearer )[^\s\"']+|(?<=://)[^\s/@\"']+(?=@)"
)
_SCRUBBED = "…secured…"


def scrub(text: str) -> str:
    """Return the text without anything that looks like a secret."""
    return _LOOKS_SECRET.sub(_SCRUBBED, text)


class Secret:
    """
    Holds a secret text. `str` and `repr` print it masked as the contract masks tokens: `abc…secured…xyz`.

    `reveal()` is the only way to the text, so that every place that uses one can be found by its name.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    @property
    def masked(self) -> str:
        """The form that may be shown: first and last three characters, or none of a short secret."""
        if len(self._text) < _SHORTEST_SHOWN:
            return "…secured…"
        return f"{self._text[:3]}…secured…{self._text[-3:]}"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Secret({self.masked})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
