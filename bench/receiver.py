"""
A caller's server, or with a number as its argument so many: takes callbacks and notes when the first byte of each arrived.

They listen on 127.0.3.1, 127.0.3.2 and so on, all on one port. `GET /` at 127.0.0.1 returns
`[{"jobid", "message_id", "updated", "first_byte_ns", "first_byte_time"}, …]` of all callbacks so far, the last in seconds since 1970.
"""

import asyncio
import json
import re
import sys
import time

from bench.load import run
from bench.processes import Json, end_with_parent

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_received: list[Json] = []


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._first_byte_ns = 0
        self._first_byte_time = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport, always

    def data_received(self, data: bytes) -> None:
        if not self._got:
            self._first_byte_ns, self._first_byte_time = time.monotonic_ns(), time.time()
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._got, 0, end + 2)
        body = self._got[end + 4 :]
        if len(body) < (int(length[1]) if length else 0):
            return
        is_callback, self._got = self._got.startswith(b"POST"), b""
        self._answer(self._take(body) if is_callback else json.dumps(_received).encode())

    def _take(self, body: bytes) -> bytes:
        job = json.loads(body)
        _received.append(
            {
                "jobid": job["jobid"],
                "message_id": job["messageId"],
                "updated": job["updated"],
                "first_byte_ns": self._first_byte_ns,
                "first_byte_time": self._first_byte_time,
            }
        )
        return b"ok"

    def _answer(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiver, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hosts = [f"127.0.3.{n}" for n in range(1, count + 1)]
    for host in hosts:
        await loop.create_server(Receiver, host, port, backlog=1000)
    urls = [f"http://{host}:{port}/" for host in hosts]
    sys.stdout.write(json.dumps({"ready": True, "url": f"http://127.0.0.1:{port}/", "urls": urls}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
