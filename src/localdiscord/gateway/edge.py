"""The websocket routes: the handshake, one reader and one writer for each connection, and how a connection ends."""

import asyncio
import contextlib
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from localdiscord.gateway.compression import compressor_for
from localdiscord.gateway.connection import Socket
from localdiscord.gateway.dialogue import DECODE_ERROR, Dialogue, Hangup, Terms
from localdiscord.world.sessions import Event, Session
from localdiscord.world.world import World

PATHS = ("/", "/gateway", "/gateway/")
VERSIONS = frozenset({6, 7, 8, 9, 10})
INVALID_VERSION = 4012
#: Ends of a connection by which a client gives its session up.
FAREWELLS = frozenset({1000, 1001})
#: Frames beyond the limit must be read to be refused, but not without bound.
READ_LIMIT = 4 * 1024 * 1024


class Gateway:
    """All connections."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dialogues: dict[Socket, Dialogue] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get(path, self.serve) for path in PATHS]

    def close_all(self) -> None:
        """Cut every connection: the server stops."""
        for socket in list(self._dialogues):
            socket.cut()

    def ask_heartbeats(self, sessions: Sequence[Session]) -> int:
        """Ask the connections of these sessions for a heartbeat; return how many there were."""
        asked = [each for each in self._dialogues.values() if each.session in sessions]
        for dialogue in asked:
            dialogue.ask_heartbeat()
        return len(asked)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=400, text="This is the Gateway: it speaks WebSocket.")
        if self._world.faults.refuses_connections():
            return web.Response(status=503, text="upstream connect error")
        # Never permessage-deflate: clients built on curl offer it and cannot read it.
        websocket = web.WebSocketResponse(compress=False, timeout=1.0, max_msg_size=READ_LIMIT)
        await websocket.prepare(request)
        compressor = compressor_for(request.query.get("compress"))
        version = request.query.get("v", "10")
        if compressor is None or request.query.get("encoding", "json") != "json":
            await websocket.close(code=DECODE_ERROR)
            return websocket
        if not version.isdigit() or int(version) not in VERSIONS:
            await websocket.close(code=INVALID_VERSION)
            return websocket
        socket = Socket(websocket, request.transport, compressor, self._sent)
        resume_url = self._world.links.base_url.replace("http", "ws", 1)
        terms = Terms(int(version), resume_url, request.remote or "unknown")
        await self._converse(websocket, socket, Dialogue(self._world, socket, terms))
        return websocket

    async def _converse(self, websocket: web.WebSocketResponse, socket: Socket, dialogue: Dialogue) -> None:
        self._dialogues[socket] = dialogue
        dialogue.begin()
        writer = asyncio.create_task(socket.write())
        try:
            await self._read(websocket, dialogue)
        except Hangup as hangup:
            socket.close(hangup.code)
            with contextlib.suppress(ConnectionError, RuntimeError):
                await writer
        finally:
            writer.cancel()
            dialogue.end()
            del self._dialogues[socket]
            self._part(websocket, socket, dialogue)

    @staticmethod
    async def _read(websocket: web.WebSocketResponse, dialogue: Dialogue) -> None:
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                dialogue.hear(message.data.encode())
            elif message.type is WSMsgType.BINARY:
                dialogue.hear(message.data)

    def _part(self, websocket: web.WebSocketResponse, socket: Socket, dialogue: Dialogue) -> None:
        session = dialogue.session
        if session is None:
            return
        if socket.closed_with is None and websocket.close_code in FAREWELLS:
            self._world.sessions.end(session)
        self._world.sessions.detached(session, socket)

    def _sent(self, socket: Socket, event: Event) -> None:
        """Note when a message's frame left: a benchmark in another process compares it with its own clock."""
        if event.message_id is None:
            return
        session = self._dialogues[socket].session
        self._world.ledger.note(
            "frame_sent",
            message_id=str(event.message_id),
            frame=event.name,
            session_id=session.id if session else None,
            user_id=str(session.user.id) if session else None,
        )
