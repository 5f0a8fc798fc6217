"""The Authorization header, and where it comes from."""

from pikarelay.api.exchange import Exchange
from pikarelay.services.authenticate import Credentials

_SCHEME = b"bearer "

#: No token of ours comes near that; what is longer is not worth hashing.
_LONGEST = 512


def credentials(exchange: Exchange) -> Credentials:
    """Return the bearer token and the peer's address."""
    peer = exchange.scope.get("client")
    return Credentials(_bearer_token(exchange), peer[0] if peer else "")


def _bearer_token(exchange: Exchange) -> str | None:
    """Return the bearer token; None for anything else: no header, two of them, another scheme, not ASCII, too long."""
    values = exchange.headers(b"authorization")
    if len(values) != 1:
        return None
    value = values[0].strip()
    if len(value) > _LONGEST or value[: len(_SCHEME)].lower() != _SCHEME:
        return None
    token = value[len(_SCHEME) :].strip()
    return token.decode("ascii") if token.isascii() and token else None
