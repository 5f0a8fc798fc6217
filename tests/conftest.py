"""What holds for every test: no settings from outside, no network but loopback, the same examples for everybody."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import socket_allow_hosts

from tests.postgres import PostgresServer, postgres_server

settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

LOOPBACK = ["127.0.0.0/8", "::1"]


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup() -> None:
    """Let sockets connect to loopback only. Unix sockets stay, for event loops wake themselves with them."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what a developer's own shell says to pikarelay."""
    for name in list(os.environ):
        if name.startswith("PIKARELAY_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of a process, each with a database of its own."""
    with postgres_server() as server:
        yield server
