"""
From TOML's types, or an environment variable's text, to a setting's value.

Each raises ValueError or TypeError with the end of a sentence that begins with the setting's name.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pikarelay.jobs.secret import Secret

Network = IPv4Network | IPv6Network
Read = Callable[[Any], Any]


class DatabaseAddress(Secret):
    """The address of a PostgreSQL database, of which all but the password may be shown."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*(?=@)", r"\1:…secured…", self.reveal())


def a_text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("must be a text on one line")
    return value


def a_url(*schemes: str) -> Read:
    beginnings = " or ".join(f"{scheme}://" for scheme in schemes)

    def read(value: Any) -> str:
        parts = urlsplit(a_text(value))
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL that begins with {beginnings}")
        return a_text(value).rstrip("/")

    return read


def a_snowflake(value: Any) -> str:
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a Discord id, which has digits only")
    return text


def a_port(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not 0 <= int(value) <= 65535:
        raise ValueError("must be a port, from 0 (any free one) to 65535")
    return int(value)


def a_number(low: float, high: float) -> Read:
    def read(value: Any) -> float:
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not low <= number <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return number

    return read


def a_whole(low: int, high: int) -> Read:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not str(value).isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return read


def a_choice(*words: str) -> Read:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return read


def a_switch(value: Any) -> bool:
    return bool(a_choice("true", "false")(str(value).lower()) == "true")


def a_path(value: Any) -> Path:
    return Path(a_text(value))


def a_database(value: Any) -> Path | DatabaseAddress:
    text = a_text(value)
    if text.startswith(("postgresql://", "postgres://")):
        return DatabaseAddress(text)
    path = text.removeprefix("sqlite:///")
    if "://" in path or path.startswith("sqlite:") or not path:
        raise ValueError("must be a file's path, alone or after sqlite:///, or begin with postgresql://")
    return Path(path)


def a_secret(value: Any) -> Secret:
    return Secret(a_text(value))


def a_network(value: Any) -> Network:
    try:
        return ip_network(a_text(value))
    except ValueError:
        raise ValueError(f"has {value!r}, which is no network like 10.1.0.0/16 or fd12::/64") from None


def a_nameserver(value: Any) -> str:
    text = a_text(value)
    has_port = text.startswith("[") or text.count(":") == 1
    host, _, port = text.rpartition(":") if has_port else (text, "", "53")
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
        a_port(port)
    except ValueError:
        raise ValueError(f"has {value!r}, which is no address like 192.0.2.1 or [2001:db8::1]:5353") from None
    return text


def a_list(read_one: Read) -> Read:
    def read(value: Any) -> tuple[Any, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise TypeError("must be a list")
        stripped = [item.strip() if isinstance(item, str) else item for item in items]
        return tuple(read_one(item) for item in stripped if item != "")

    return read


def about(read: Read, description: str) -> dict[str, Any]:
    """Return what is known of a setting beside its default. A default of None stands for: not set."""
    return {"read": read, "description": description}
