"""The header `Idempotency-Key`: a caller's own name for a request, and what makes two requests the same."""

import hashlib
from collections.abc import Mapping, Sequence

from pikarelay.errors import InvalidValue
from pikarelay.jobs.job import Upload, Verb
from pikarelay.jobs.requests import RequestKey

_LONGEST = 255
_PRINTABLE = range(0x20, 0x7F)


def parse_key(values: Sequence[bytes]) -> str | None:
    """Return the key, given the header's values; None without one. Raises the refusal of one that is none."""
    if not values:
        return None
    key = values[0]
    if len(values) > 1 or not 1 <= len(key) <= _LONGEST or any(byte not in _PRINTABLE for byte in key):
        raise InvalidValue("Idempotency-Key is not valid")
    return key.decode("ascii")


def request_key(
    text: str | None, verb: Verb, texts: Mapping[str, str], files: Mapping[str, Upload]
) -> RequestKey | None:
    """
    Return the key with the digest of the request: its verb, its texts and its files' bytes; None without a key.

    An empty text is as good as none here, too. What a file is called or declared as makes no difference.
    """
    if text is None:
        return None
    said = [("verb", verb.value)]
    said += [(f"text {name}", value) for name, value in sorted(texts.items()) if value]
    said += [(f"file {name}", upload.digest) for name, upload in sorted(files.items())]
    digest = hashlib.sha256()
    for name, value in said:
        for part in (name.encode(), value.encode()):
            # The length keeps `a`, `bc` apart from `ab`, `c`.
            digest.update(len(part).to_bytes(8) + part)
    return RequestKey(text=text, digest=digest.digest())
