"""Both servers in processes of their own, as a user runs them, once a module; and that what is hostile changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.servers import Local, Relay, local_discord, relay


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Local]:
    with local_discord(folder) as running:
        yield running
        assert {} == running.violations()


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    # What nobody's tokens are answered with is shown again and again; where that ends has tests of its own.
    settings = {"http_unauthorized_per_minute": "0", "discord_press_interval_seconds": "0"}
    with relay(folder, local, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    """A Discord token and its channel."""
    return local.new_user("hostile")


@pytest.fixture(scope="module")
def parent(server: Relay, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job of the caller's own."""
    return server.created("a red kite", *seat)


@pytest.fixture
def nothing(server: Relay, local: Local, parent: dict[str, Any]) -> Iterator[None]:
    """Around a test: no job more, no press more, no file more."""

    def stored() -> tuple[int, Any, list[str]]:
        uploads = server.data_folder / "uploads"
        return server.stored_jobs(), local.get("/presses"), sorted(path.name for path in uploads.iterdir())

    before = stored()
    yield
    assert before == stored()
