"""A TCP proxy on loopback that passes everything on until it is told to cut, to stall, or to refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

#: Sees what the client sends before it is passed on. True: cut the connection, and pass nothing on.
Watch = Callable[[bytes], bool]


class Proxy:
    """Stands between a client and one port. Made by `proxy_to`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refuses = False
        self.port = 0
        #: Looks at what the client sends.
        self.watch: Watch = lambda _data: False
        #: Whether what is cut by `watch` has gone through to the server all the same.
        self.passes_what_it_cuts = False

    def cut(self) -> int:
        """Break every connection. Returns how many there were."""
        cut = len(self._open)
        for writer in self._open:
            writer.transport.abort()
        return cut

    def stall(self) -> None:
        """Pass nothing on, and break nothing, as a network that is gone."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on again, what was held up included."""
        self._flowing.set()

    def refuse(self, *, refuses: bool = True) -> None:
        """Take no more connections, and break those there are; or take them again."""
        self._refuses = refuses
        if refuses:
            self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ours = {writer, back}
        self._open |= ours
        try:
            await asyncio.gather(
                self._pass(reader, back, ours, self._looked_at), self._pass(there, writer, ours)
            )
        finally:
            self._open -= ours

    def _looked_at(self, data: bytes) -> bool:
        return self.watch(data)

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        ours: set[asyncio.StreamWriter],
        watch: Watch = lambda _data: False,
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                if watch(data):
                    if self.passes_what_it_cuts:
                        target.write(data)
                        await target.drain()
                        # The server has it; its answer will find nobody.
                        await asyncio.sleep(0.2)
                    break
                target.write(data)
                await target.drain()
        for writer in ours:
            writer.transport.abort()


@asynccontextmanager
async def proxy_to(target: int) -> AsyncIterator[Proxy]:
    """Listen on a free port, and pass on to `target`."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.flow()
        proxy.cut()
