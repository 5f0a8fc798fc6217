"""Made-up secrets that can be found again wherever they were left, and the search for them."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

#: Stands three times in each canary, so that a part of one is found too; not at its ends, which may be shown.
MARK = "cAnArY7q"


def discord_token(number: int) -> str:
    """Return a text that has the form of a Discord token, another one for each number; every fourth is of an account with two factors."""
    if number % 4 == 3:
        return f"mfa.Gx{number:04}{MARK}{number:06}_{MARK}{number:06}-{MARK}{number:06}{'z' * 34}Z"
    user = base64.urlsafe_b64encode(f"{980_000_000_000_000_000 + number}".encode()).decode()
    return f"{user}.Gx{number:04}.{MARK}{number:06}{MARK}{number:06}{MARK}zZ"


class Needle(NamedTuple):
    """What is searched for, and in which form it then was."""

    form: str
    pattern: bytes


def needles(*texts: str) -> list[Needle]:
    """Return what a text looks like as it is, in base64 wherever it begins there, in a URL, and in hexadecimal digits."""
    found = []
    for text in texts:
        raw = text.encode()
        found += [
            Needle("plain", raw),
            Needle("url", quote(text, safe="").encode()),
            Needle("url, all of it", "".join(f"%{byte:02x}" for byte in raw).encode()),
            Needle("URL, all of it", "".join(f"%{byte:02X}" for byte in raw).encode()),
            Needle("hex", raw.hex().encode()),
            Needle("HEX", raw.hex().upper().encode()),
            Needle("UTF-16", text.encode("utf-16-le")),
        ]
        for before in range(3):
            # Only the digits that depend on nothing else than the text.
            digits = base64.b64encode(b"x" * before + raw)
            sure = digits[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
            found += [Needle(f"base64, {before}", sure)]
            if (other := sure.translate(bytes.maketrans(b"+/", b"-_"))) != sure:
                found += [Needle(f"base64url, {before}", other)]
    return found


class Search:
    """Looks for needles."""

    def __init__(self, sought: Iterable[Needle]) -> None:
        # Most texts are in a URL as they are. They are searched for by `find`, which is many times as fast as a pattern.
        self._forms = {needle.pattern: needle.form for needle in reversed([*sought])}

    def within(self, name: str, content: bytes) -> Iterator[str]:
        """Yield a line for each form that is in there, with what stands around it."""
        for pattern, form in self._forms.items():
            if (at := content.find(pattern)) >= 0:
                around = content[max(0, at - 60) : at + len(pattern) + 40]
                yield f"{name}: {form}: {around!r}"

    def below(self, folders: Sequence[Path]) -> list[str]:
        """Return such lines for all files of the folders."""
        files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        return [line for path in files for line in self.within(str(path), path.read_bytes())]
