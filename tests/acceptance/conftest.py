"""Both servers, started once a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.servers import Local, Receiver, Relay, local_discord, receiver, relay


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("acceptance")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Local]:
    with local_discord(folder) as running:
        yield running
        assert running.violations() == {}


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    # The pace of presses is shown by tests of its own; here it would only take time. So is what becomes of who sends many
    # requests without a valid token: here each is to say so.
    settings = {"discord_press_interval_seconds": "0", "http_unauthorized_per_minute": "0"}
    with relay(folder, local, **settings) as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running
