"""What proxies and managers of services ask a running server."""

import socket
import time
from pathlib import Path

import requests

from tests.acceptance.servers import PATIENCE, Local, Relay, relay


def test_ready_without_a_token(server: Relay) -> None:
    """Both routes are for everybody, and say nothing that is anybody's."""
    for path in ("/healthz", "/readyz", "/healthz/", "/readyz/"):
        answer = requests.get(server.url + path, timeout=PATIENCE)

        assert 200 == answer.status_code
        assert "application/json" == answer.headers["Content-Type"]
        assert server.api_token not in answer.text
        assert str(server.data_folder) not in answer.text
        assert b"" == requests.head(server.url + path, timeout=PATIENCE).content


def test_asking_is_cheap(server: Relay) -> None:
    """However often readiness is asked, the database is written to once a second."""
    log = server.data_folder / "pikarelay.sqlite3-wal"
    with requests.Session() as session:
        session.get(server.url + "/readyz", timeout=PATIENCE)
        began, before = time.monotonic(), log.stat().st_size
        for _ in range(500):
            assert 200 == session.get(server.url + "/readyz", timeout=PATIENCE).status_code
    seconds, grown = time.monotonic() - began, log.stat().st_size - before

    assert 0 <= grown <= (seconds + 1) * (4096 + 24)


def test_discord_that_is_not_there(tmp_path: Path, local: Local) -> None:
    """A server that cannot reach Discord is ready: jobs can be read, and no other server could do better."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v9"
    with relay(tmp_path, Local(address, {"api": address})) as server:
        assert 200 == server.get("/readyz").status_code
