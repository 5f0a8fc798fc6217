"""The server's half of a Gateway conversation, as frames."""

import json
from typing import Any

from pikarelay.discord.wire.session import GatewaySession, SessionState
from pikarelay.jobs.secret import Secret
from tests.unit.discord.wire import recorded

TOKEN = Secret("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
URL = "wss://gateway.example"
RESUME_URL = "wss://gateway-us-east1-b.discord.gg"


def frame(op: int, d: Any = None, *, s: int | None = None, t: str | None = None) -> bytes:
    return json.dumps({"op": op, "d": d, "s": s, "t": t}).encode()


HELLO = frame(10, {"heartbeat_interval": 40_000})
ACK = frame(11)
READY = frame(0, recorded.payload("ready"), s=1, t="READY")


def dispatch(s: int, name: str = "TYPING_START") -> bytes:
    return frame(0, {}, s=s, t=name)


def resumed(s: int) -> bytes:
    return dispatch(s, "RESUMED")


def machine(jitter: float = 0.5, state: SessionState | None = None) -> GatewaySession:
    return GatewaySession(TOKEN, URL, jitter=lambda: jitter, state=state)


def sent(session: GatewaySession, now: float = 0.0) -> list[Any]:
    return [json.loads(each) for each in session.to_send(now)]


def live(now: float = 0.0, jitter: float = 0.5) -> GatewaySession:
    """Return a machine whose session just began; its frames and events are taken already."""
    session = machine(jitter)
    session.connected(now)
    session.receive(HELLO, now)
    session.receive(READY, now)
    session.to_send(now)
    session.events()
    return session
