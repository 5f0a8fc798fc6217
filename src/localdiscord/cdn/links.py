"""
Links to files: signed, and good for a day.

The form is Discord's, as of 2026-08: `?ex=…&is=…&hm=…&` with hexadecimal Unix seconds and a trailing `&`. The
issue time is rounded down to an hour, so two answers minutes apart carry the same link.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qs, quote, urlsplit

from localdiscord.clock import Clock
from localdiscord.world.models import Attachment

ISSUE_BUCKET_SECONDS = 3600


@dataclass(slots=True)
class Links:
    """Signs links and judges them."""

    clock: Clock
    secret: bytes
    #: Scheme and authority of the server, known once it is bound.
    base_url: str = "http://127.0.0.1"
    lifetime_seconds: int = 86_400
    #: Links issued before this Unix second are refused, whatever they say.
    _oldest_issue: int = field(default=0, init=False)

    def expire_all(self) -> None:
        """Refuse every link given out so far; those signed from now on are good."""
        self._oldest_issue = max(int(self.clock.now()), self._oldest_issue) + 1

    def path_of(self, attachment: Attachment) -> str:
        folder = "ephemeral-attachments" if attachment.ephemeral else "attachments"
        return f"/{folder}/{attachment.owner_id}/{attachment.id}/{quote(attachment.filename)}"

    def url_of(self, attachment: Attachment) -> str:
        return self.sign(self.path_of(attachment))

    def sign(self, path: str) -> str:
        """Return the whole URL of `path` (percent-encoded), valid from now."""
        now = int(self.clock.now())
        issued = max(now - now % ISSUE_BUCKET_SECONDS, self._oldest_issue)
        expires = max(issued, now - now % ISSUE_BUCKET_SECONDS) + self.lifetime_seconds
        return (
            f"{self.base_url}{path}?ex={expires:x}&is={issued:x}&hm={self._signature(path, expires, issued)}&"
        )

    def is_valid(self, path: str, query: str) -> bool:
        """Tell whether `query` (the raw query string) opens `path` (percent-encoded) now."""
        values = parse_qs(query)
        try:
            expires, issued = (int(values[key][0], 16) for key in ("ex", "is"))
            signature = values["hm"][0]
        except (KeyError, ValueError):
            return False
        if not hmac.compare_digest(signature.encode(), self._signature(path, expires, issued).encode()):
            return False
        return issued >= self._oldest_issue and self.clock.now() < expires

    def refreshed(self, url: str) -> str:
        """Return `url` with a fresh signature; a link of another place comes back unchanged."""
        parts = urlsplit(url)
        known = ("/attachments/", "/ephemeral-attachments/")
        return self.sign(parts.path) if parts.path.startswith(known) else url

    def _signature(self, path: str, expires: int, issued: int) -> str:
        return hmac.new(self.secret, f"{path}|{expires:x}|{issued:x}".encode(), sha256).hexdigest()
