"""A client for the tests: thin over aiohttp, so that what the server sends is seen as it is."""

import asyncio
import contextlib
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

Json = dict[str, Any]

NONCES = itertools.count(1_000_000)
#: What a careful user client asks for: small READY, READY_SUPPLEMENTAL.
CAPABILITIES = 26175


class Gateway:
    """One websocket. Frames that were read and not wanted yet are kept in `seen`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, zlib_stream: bool = False) -> None:
        self.socket = socket
        self.seen: list[Json] = []
        self.seq = 0
        self.session_id = ""
        self.ready: Json = {}
        self._inflater = zlib.decompressobj() if zlib_stream else None

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_json({"op": op, "d": data})

    async def next(self) -> Json:
        """Return the next frame; raise `ConnectionResetError` when the server is gone."""
        message = await self.socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT:
            assert self._inflater is None
            frame: Json = json.loads(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            frame = json.loads(self._inflate(message.data))
        else:
            raise ConnectionResetError(message.type)
        if frame.get("s") is not None:
            self.seq = frame["s"]
        return frame

    def _inflate(self, data: bytes) -> bytes:
        if self._inflater is None:
            return zlib.decompress(data)
        assert data.endswith(b"\x00\x00\xff\xff")
        return self._inflater.decompress(data)

    async def frame(self, wanted: Callable[[Json], bool]) -> Json:
        """Return the next frame that is wanted, seen or to come."""
        for position, frame in enumerate(self.seen):
            if wanted(frame):
                return self.seen.pop(position)
        while not wanted(frame := await self.next()):
            self.seen.append(frame)
        return frame

    async def op(self, op: int) -> Json:
        return await self.frame(lambda frame: frame["op"] == op)

    async def event(self, name: str) -> Json:
        """Return the payload of the next event of that name."""
        payload: Json = (await self.frame(lambda frame: frame["t"] == name))["d"]
        return payload

    async def settle(self) -> list[str]:
        """Return the names of all events sent by now: everything before the ack of a heartbeat."""
        await self.send(1, self.seq)
        await self.op(11)
        names = [frame["t"] for frame in self.seen if frame["op"] == 0]
        self.seen.clear()
        return names

    async def identify(self, token: str, **more: Any) -> None:
        """Identify and wait for READY."""
        properties = {"os": "linux", "browser": "test", "device": "test"}
        await self.send(2, {"token": token, "properties": properties, **more})
        self.ready = await self.event("READY")
        self.session_id = self.ready["session_id"]

    async def resume(self, token: str, session_id: str, seq: int) -> None:
        await self.send(6, {"token": token, "session_id": session_id, "seq": seq})

    async def close_code(self) -> int | None:
        """Wait for the end and return the server's close code; 1006 after a cut."""
        with contextlib.suppress(ConnectionResetError):
            while True:
                self.seen.append(await self.next())
        return self.socket.close_code


class Client:
    """Somebody with a token."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str, *, bot: bool = False) -> None:
        self.http = http
        self.url = url
        self.token = token
        self.bot = bot
        self.id = ""
        #: Direct message channel with the in-process application, for users.
        self.channel = ""
        self.application_id = ""

    @property
    def authorization(self) -> str:
        return f"Bot {self.token}" if self.bot else self.token

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return status and decoded body; the whole answer stays in `last`."""
        headers = {"Authorization": self.authorization, **options.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.url}/api/v9{path}"
        async with self.http.request(method, url, headers=headers, **options) as answer:
            raw = await answer.read()
            self.last = answer
            is_json = answer.headers.get("Content-Type") == "application/json"
            return answer.status, json.loads(raw) if is_json else raw

    @contextlib.asynccontextmanager
    async def gateway(self, query: str = "?v=10&encoding=json") -> AsyncIterator[Gateway]:
        """Connect; identify is up to the caller."""
        async with self.http.ws_connect(f"{self.url}/{query}", compress=15) as socket:
            gateway = Gateway(socket, zlib_stream="zlib-stream" in query)
            yield gateway

    @contextlib.asynccontextmanager
    async def session(self, query: str = "?v=10&encoding=json", **identify: Any) -> AsyncIterator[Gateway]:
        """Connect and identify, as a user or as a bot with all intents."""
        async with self.gateway(query) as gateway:
            await gateway.op(10)
            more = {"intents": 53608447} if self.bot else {"capabilities": CAPABILITIES}
            await gateway.identify(self.token, **(more | identify))
            if not self.bot and (more | identify)["capabilities"] & 1 << 5:
                await gateway.event("READY_SUPPLEMENTAL")
            yield gateway

    def press(self, message: Json, session: Gateway, *, button: int = 0, **more: Any) -> Json:
        """Return the body that presses a button of the message's first row."""
        component = message["components"][0]["components"][button]
        return {
            "type": 3,
            "application_id": message.get("application_id", message["author"]["id"]),
            "channel_id": message["channel_id"],
            "message_id": message["id"],
            "message_flags": message["flags"],
            "session_id": session.session_id,
            "nonce": str(next(NONCES)),
            "data": {"component_type": 2, "custom_id": component["custom_id"]},
            **more,
        }

    async def command(
        self, channel_id: str, session: Gateway, name: str, *options: Json, **more: Any
    ) -> Json:
        """Return the body that uses a command, as the index describes it."""
        _, index = await self.call("GET", f"/channels/{channel_id}/application-command-index")
        command = next(each for each in index["application_commands"] if each["name"] == name)
        return {
            "type": 2,
            "application_id": command["application_id"],
            "channel_id": channel_id,
            "session_id": session.session_id,
            "nonce": str(next(NONCES)),
            "data": {
                "id": command["id"],
                "version": command["version"],
                "name": name,
                "type": 1,
                "options": list(options),
                **more,
            },
        }


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the test's own timeout ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - the world is watched from outside: it has no event to wait on
        await asyncio.sleep(0.005)
