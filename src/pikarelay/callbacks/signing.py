"""
Signatures as Standard Webhooks 1.0.0 defines them: HMAC-SHA256 over the id, the time of the try and the very bytes sent.

A secret is `whsec_` and the base64 of 24 to 64 random bytes.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from pikarelay.jobs.secret import Secret

PREFIX = "whsec_"


def signatures(secrets: Iterable[Secret], callback_id: str, timestamp: str, body: bytes) -> str:
    """Return the header's value: one signature for each secret, so that a receiver may know any one of them."""
    signed = f"{callback_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets)


def _signature(secret: Secret, signed: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
