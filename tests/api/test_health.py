"""Both routes for proxies and managers of services, without a socket."""

import json
from typing import Any

import pytest

from pikarelay.api.app import Api
from pikarelay.api.health import health
from pikarelay.api.routing import RouteTable
from pikarelay.errors import Unavailable
from pikarelay.services.readiness import Readiness
from tests.fakes.store import FakeStore


class OddStore(FakeStore):
    """A store that can be out of order, and counts its probes."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False
        self.probes = 0

    async def probe(self) -> Any:
        self.probes += 1
        if self.is_broken:
            raise Unavailable
        return await super().probe()


async def ask(store: FakeStore, path: str, method: str = "GET") -> tuple[int, dict[str, str], Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing() -> Any:
        raise AssertionError("nobody reads a body")

    api = Api(RouteTable(health(Readiness(store, lambda: 1, 0, lambda: 0.0))))
    await api(
        {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}, nothing, send
    )
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(sent[1]["body"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_alive(method: str) -> None:
    """Alive is who answers; nothing is looked at for it, so a broken store changes nothing."""
    store = OddStore()
    store.is_broken = True
    code, headers, body = await ask(store, "/healthz", method)

    assert (200, {"status": "ok"}) == (code, body)
    assert ("application/json", "no-store") == (headers["content-type"], headers["cache-control"])
    assert 0 == store.probes


async def test_ready() -> None:
    """Ready is 200 with what was looked at."""
    code, _, body = await ask(OddStore(), "/readyz")

    assert (200, True, "ok") == (code, body["ready"], body["checks"]["database"])


async def test_not_ready() -> None:
    """Not ready is 503 in the API's form, and says what is the matter."""
    store = OddStore()
    store.is_broken = True
    code, headers, body = await ask(store, "/readyz")

    assert (503, 503) == (code, body["code"])
    assert "not ready: database" == body["error"]
    assert "takes no write" == body["checks"]["database"]
    assert "no-store" == headers["cache-control"]
