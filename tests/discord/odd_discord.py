"""A server that answers what it is told to: for what neither Discord nor its simulator should ever say."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

USER = "1170000000000000001"
CHANNEL = "1180000000000000001"


class OddDiscord:
    """Serves a Gateway that works, and one answer for every REST request."""

    def __init__(self) -> None:
        self.url = ""
        #: What every REST request gets.
        self.answer: Answer = plain(204)
        self.seen: list[web.Request] = []
        #: What the Gateway sends behind READY, as it is.
        self.behind_ready: list[bytes] = []
        self.is_compressed = True
        self.connections = 0
        self.close_codes: list[int | None] = []
        self.released = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator["OddDiscord"]:
        odd = cls()
        app = web.Application()
        app.router.add_get("/gateway/", odd._gateway)
        app.router.add_route("*", "/{path:.*}", odd._rest)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            odd.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield odd
        finally:
            odd.released.set()
            await runner.cleanup()

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.answer(request)

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.connections += 1
        stream = zlib.compressobj()

        async def send(frame: Any) -> None:
            text = json.dumps(frame)
            if self.is_compressed:
                data = stream.compress(text.encode()) + stream.flush(zlib.Z_SYNC_FLUSH)
                # In pieces, as a server under load may send them.
                for start in range(0, len(data), 7):
                    await socket.send_bytes(data[start : start + 7])
            else:
                await socket.send_str(text)

        await send({"op": 10, "d": {"heartbeat_interval": 60_000}})
        await socket.receive()
        await send({"op": 0, "s": 1, "t": "READY", "d": self._ready()})
        behind, self.behind_ready = self.behind_ready, []
        with suppress(ConnectionError):
            for frame in behind:
                await socket.send_bytes(frame)
        async for _ in socket:
            pass
        self.close_codes.append(socket.close_code)
        return socket

    def _ready(self) -> dict[str, Any]:
        return {
            "user": {"id": USER},
            "session_id": "s",
            "resume_gateway_url": self.url.replace("http", "ws") + "/gateway",
            "private_channels": [{"id": CHANNEL, "type": 1}],
        }


def plain(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


def as_json(status: int, body: Any) -> Answer:
    return plain(status, json.dumps(body), Via="1.1 odd")


def cut_off(status: int, body: bytes) -> Answer:
    """Promise more than is sent, then cut the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Length": str(len(body) + 100)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer
