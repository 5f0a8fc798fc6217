"""Whether a `replyUrl` can ever be delivered to, judged by its spelling alone."""

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

#: A host name's label: letters and digits of any script, inner hyphens, and the underscore that private networks use.
_LABEL = re.compile(r"[\w]([\w-]{0,61}[\w])?")
_LONGEST_HOST = 253
_PORTS = {"http": 80, "https": 443}


def is_deliverable(url: str) -> bool:
    """
    Whether the URL is http or https, names a host and a possible port, and carries no user information.

    Where it leads is not looked at: private targets are refused at delivery, because only the operator's list says
    which of them are open.
    """
    if "\\" in url or any(not c.isprintable() or c.isspace() for c in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and "@" not in parts.netloc
        and port != 0
        and _is_host(parts.hostname or "", bracketed=parts.netloc.startswith("["))
    )


def origin_of(url: str) -> str:
    """Return scheme, host and port in one spelling: what of a URL says whose server it is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "invalid"
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host.removesuffix(".")
    return f"{parts.scheme}://{shown}:{port or _PORTS.get(parts.scheme, 0)}"


def masked_url(url: str) -> str:
    """Return a URL as it may be shown: without user information, and with its query hidden, for both may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"


def _is_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        return _is_ipv6(host)
    # The dot of the root may be written.
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)


def _is_ipv6(host: str) -> bool:
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False
