"""
Callers' servers that are as good as dead: each takes connections, and never answers.

The argument says how many; they listen on 127.0.4.1, 127.0.4.2 and so on, all on one port. `GET /` at 127.0.0.1 returns
`{"held": connections held now, "seconds": [how long each was held that is no more, …], "most": the most at one of them}`.
"""

import asyncio
import json
import sys
import time
from collections import Counter

from bench.load import run
from bench.processes import end_with_parent

_held: Counter[str] = Counter()
_most: Counter[str] = Counter()
_seconds: list[float] = []


class Holder(asyncio.Protocol):
    """One connection, held until the other side has had enough."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._since = 0.0

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        self._since = time.monotonic()
        _held[self._host] += 1
        _most[self._host] = max(_most[self._host], _held[self._host])

    def connection_lost(self, _error: Exception | None) -> None:
        _held[self._host] -= 1
        _seconds.append(time.monotonic() - self._since)


class Teller(asyncio.Protocol):
    """Tells what the others hold."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's transport, always

    def data_received(self, _data: bytes) -> None:
        known = {"held": _held.total(), "seconds": _seconds, "most": max(_most.values(), default=0)}
        body = json.dumps(known).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Teller, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hosts = [f"127.0.4.{n}" for n in range(1, count + 1)]
    for host in hosts:
        await loop.create_server(lambda host=host: Holder(host), host, port)  # type: ignore[misc]
    urls = [f"http://{host}:{port}/" for host in hosts]
    sys.stdout.write(json.dumps({"ready": True, "url": f"http://127.0.0.1:{port}/", "urls": urls}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    run(_serve(int(sys.argv[1])))
