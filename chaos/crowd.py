"""
Many clients at once, in a process of their own: each holds a connection for nothing, or for as little as the server lets it.

    python -m chaos.crowd '{"host": "127.0.0.1", "port": 8080, "token": "…", "count": 10000, "pace": 400, "kinds": {"silent": 2, "half": 1}}'

Every connection that ends is opened anew, so that there are `count` of them for as long as the server takes them, but no more than `pace` in a
second; `kinds` says in which shares. None of them asks for anything that may make a job: what they begin they never finish. Once a second a line
of JSON says what became of them so far. The end of stdin ends them all.
"""

import asyncio
import json
import resource
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import uvloop

#: The words of prompts that nobody may ever see at the bot.
PROMPT = "one of the crowd"
_TICK_SECONDS = 0.05
_SHOWN = 10
#: Close with a reset: what is left of ten thousand connections should not keep their ports.
_AT_ONCE = struct.pack("ii", 1, 0)

#: A part that is enough of a pace for the thirteen seconds until the next.
_CHATTER = b'--crowd\r\nContent-Disposition: form-data; name="chatter"\r\n\r\n' + b"x" * 14_000 + b"\r\n"
_HALF = b"GET /v1/pika/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: "
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def _post(path: str, token: str, more: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n".encode()


def _part(name: str, more: str = "") -> bytes:
    return f'--crowd\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


def _texts(token: str) -> bytes:
    """A form whose every text is as long as it may be, but for the last, which does not end."""
    head = _post(
        "/v1/pika/animate",
        token,
        "Content-Type: multipart/form-data; boundary=crowd\r\nContent-Length: 9000000\r\n",
    )
    names = ("replyUrl", "replyRef", "discord", "channel", "maxJobs")
    whole = b"".join(_part(name) + b"x" * 16_000 + b"\r\n" for name in names)
    return head + whole + _part("prompt") + PROMPT.encode() + b"x" * 8_000


def _upload(token: str) -> bytes:
    """A picture of which most is still to come."""
    head = _post(
        "/v1/pika/animate",
        token,
        "Content-Type: multipart/form-data; boundary=crowd\r\nContent-Length: 9000000\r\n",
    )
    picture = _part("image", '; filename="blob"') + _PNG + bytes(40_000)
    return head + _part("prompt") + PROMPT.encode() + b"\r\n" + picture


def _body(token: str) -> bytes:
    """A JSON body that lacks its end."""
    head = _post("/v1/pika/create", token, "Content-Type: application/json\r\nContent-Length: 65000\r\n")
    return head + b'{"prompt": "' + PROMPT.encode() + b"x" * 32_000


def _slow(token: str) -> bytes:
    """A form that has much to say of what nobody asked for."""
    head = _post(
        "/v1/pika/create",
        token,
        "Content-Type: multipart/form-data; boundary=crowd\r\nContent-Length: 9000000\r\n",
    )
    return head + _part("prompt") + PROMPT.encode() + b"\r\n" + _CHATTER


def _heads() -> bytes:
    """As much of a head as there is room for, but for its last line."""
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"a:" + b"b" * 256 + b"\r\n") * 120


class Manner(NamedTuple):
    """How one kind behaves."""

    says: bytes
    #: What it adds, after so many seconds each, and how often.
    adds: bytes = b""
    every: float = 0.0
    times: int = 0


def manners(token: str) -> Mapping[str, Manner]:
    """Return how each kind behaves."""
    return {
        "silent": Manner(b""),
        "half": Manner(_HALF, b"x", 4.0, 100),
        "heads": Manner(_heads()),
        "kept": Manner(_HEALTH),
        "slow": Manner(_slow(token), _CHATTER, 13.0, 30),
        "body": Manner(_body(token), b"x" * 13_000, 12.0, 2),
        "texts": Manner(_texts(token), b"x" * 1_000, 9.0, 7),
        "upload": Manner(_upload(token), bytes(13_000), 12.0, 600),
    }


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, crowd: "Crowd", kind: str) -> None:
        self._crowd = crowd
        self._kind = kind
        self._manner = crowd.manners[kind]
        self._added = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none of asyncio's classes, and has all that one of them has.
        self._transport = cast("asyncio.Transport", transport)
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._crowd.clients.add(self)
        self._crowd.counts["opened"] += 1
        self._since = time.monotonic()
        if self._manner.says:
            self._transport.write(self._manner.says)
        self._wait()

    def _wait(self) -> None:
        if self._added < self._manner.times:
            self._timer = asyncio.get_running_loop().call_later(self._manner.every, self._add)

    def _add(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._added += 1
            # A server that takes nothing is not sent more.
            if not self._transport.get_write_buffer_size():
                self._transport.write(self._manner.adds)
            self._wait()

    def data_received(self, data: bytes) -> None:
        if not self._answer:
            self._crowd.slowest = max(
                self._crowd.slowest, time.monotonic() - self._since if self._kind == "kept" else 0
            )
        self._answer += data

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._crowd.clients.discard(self)
        self._crowd.missing.append(self._kind)
        self._crowd.ended(self._kind, self._answer)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Crowd:
    """All of them."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._host, self._port = str(order["host"]), int(order["port"])
        self.manners = manners(str(order["token"]))
        self.clients: set[Client] = set()
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        #: Answers that are in no form that was promised.
        self.odd: list[str] = []
        #: How long the slowest answer took, of those that were to be answered at once.
        self.slowest = 0.0
        shares = [kind for kind, share in order["kinds"].items() for _ in range(share)]
        #: What is to be opened.
        self.missing = deque(shares[number % len(shares)] for number in range(int(order["count"])))
        self._pace = float(order["pace"])
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, end: asyncio.Event) -> None:
        """Keep them open until told to end."""
        told = time.monotonic()
        while not end.is_set():
            await asyncio.sleep(_TICK_SECONDS)
            self._fill()
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                self.tell()
        for client in [*self.clients]:
            client.close()

    def _fill(self) -> None:
        for _ in range(int(self._pace * _TICK_SECONDS) - len(self._opening)):
            if not self.missing:
                return
            task = asyncio.create_task(self._open(self.missing.popleft()))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, kind: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(10):
                await loop.create_connection(lambda: Client(self, kind), self._host, self._port)
        except (OSError, TimeoutError) as error:
            self.counts[f"not opened: {type(error).__name__}"] += 1
            self.missing.append(kind)

    def ended(self, kind: str, answer: bytes) -> None:
        """Take down how a connection ended."""
        if not answer:
            self.counts["ended without a word"] += 1
            return
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head[9:12].decode("latin-1")
        self.answers[status] += 1
        if not _is_promised(kind, status, body) and len(self.odd) < _SHOWN:
            self.odd.append(f"{kind}: {answer[:300]!r}")

    def tell(self) -> None:
        news = {
            "open": len(self.clients), "counts": self.counts, "answers": self.answers, "odd": self.odd,
            "slowest": round(self.slowest, 3),
        }  # fmt: skip
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()


def _is_promised(kind: str, status: str, body: bytes) -> bool:
    """Whether an answer is one of those that such a connection may get."""
    if status == "200":
        return kind == "kept"
    if status not in {"400", "429", "503"}:
        return False
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("code") == int(status) and bool(said.get("error"))


async def _main(order: Mapping[str, Any]) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Nobody writes to it: it is readable when it has ended.
    loop.add_reader(sys.stdin.fileno(), end.set)
    crowd = Crowd(order)
    await crowd.run(end)
    crowd.tell()


def raise_limit(wanted: int) -> None:
    """Let this process, and those that it starts, open so many descriptors. Raising the hard limit takes root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


if __name__ == "__main__":
    the_order = json.loads(sys.argv[1])
    raise_limit(int(the_order["count"]) + 1024)
    uvloop.run(_main(the_order))
