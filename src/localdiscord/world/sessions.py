"""
Gateway sessions: their sequence numbers, what they remember for a resume, and what armed faults do to events.

A session outlives its connection. Each event is encoded once, whatever the number of sessions; a session adds
only its own envelope.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from localdiscord.faults.armed import ArmedFaults
from localdiscord.faults.model import (
    Close,
    Cut,
    Delay,
    Duplicate,
    EventDo,
    InvalidSession,
    Lose,
    Reconnect,
    Reorder,
)
from localdiscord.limits.windows import EARLY_SECONDS
from localdiscord.world.models import User
from localdiscord.world.rules import Rules
from localdiscord.world.snowflakes import Chance


class Timer(Protocol):
    """A call that has not happened yet."""

    def cancel(self) -> None: ...


#: Calls a function after so many seconds; an event loop's `call_later` is one.
Later = Callable[[float, Callable[[], None]], Timer]


class Event(NamedTuple):
    """A dispatch before it has a sequence number."""

    name: str
    #: The payload, encoded.
    data: bytes
    #: Id of the message it is about, for the ledger; None for others.
    message_id: int | None = None


class Connection(Protocol):
    """A socket that serves a session. Nothing here waits: an edge queues and sends on its own."""

    def send(self, frame: bytes, event: Event | None = None) -> None: ...

    def close(self, code: int) -> None: ...

    def cut(self) -> None: ...


@dataclass(slots=True, eq=False)
class Session:
    """One identified session of a user or bot."""

    id: str
    user: User
    replay_limit: int
    #: Bit set; None when the client named none, and then every event comes.
    intents: int | None = None
    #: Guilds it subscribed to with op 37 or op 14.
    subscribed: set[int] = field(default_factory=set)
    seq: int = 0
    connection: Connection | None = None
    #: Runs while it waits for a resume.
    expiry: Timer | None = None
    #: Held back by the fault `reorder`.
    held: list[Event] = field(default_factory=list)
    _buffer: deque[tuple[int, Event]] = field(init=False)

    def __post_init__(self) -> None:
        self._buffer = deque(maxlen=self.replay_limit)

    def push(self, event: Event, *, transmit: bool = True) -> None:
        """Number the event, remember it, and send it when somebody listens."""
        self.seq += 1
        self._buffer.append((self.seq, event))
        if transmit and self.connection is not None:
            self.connection.send(envelope(self.seq, event), event)

    def shrink(self, size: int) -> None:
        """Forget all but the last `size` events."""
        self._buffer = deque(islice(self._buffer, max(len(self._buffer) - size, 0), None), self.replay_limit)

    def missed(self, seq: int) -> list[tuple[bytes, Event]] | None:
        """Return the frames after `seq`, in order; None when some of them are forgotten."""
        first_kept = self.seq - len(self._buffer) + 1
        if seq + 1 < first_kept:
            return None
        return [(envelope(number, event), event) for number, event in self._buffer if number > seq]


def envelope(seq: int, event: Event) -> bytes:
    """Return the op 0 frame."""
    return b'{"op":0,"s":%d,"t":"%s","d":%s}' % (seq, event.name.encode(), event.data)


RECONNECT = b'{"op":7,"d":null,"s":null,"t":null}'
ASK_HEARTBEAT = b'{"op":1,"d":null,"s":null,"t":null}'


def invalid_session(*, resumable: bool) -> bytes:
    return b'{"op":9,"d":%s,"s":null,"t":null}' % (b"true" if resumable else b"false")


class Sessions:
    """All sessions, by id and by user; every event to a session passes here, where faults may strike it."""

    def __init__(self, chance: Chance, rules: Rules, faults: ArmedFaults, later: Later) -> None:
        self._chance = chance
        self._rules = rules
        self._faults = faults
        self._later = later
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[int, dict[str, Session]] = {}
        self._identified_at: dict[int, float] = {}

    def may_identify(self, user_id: int, now: float) -> bool:
        """Count an IDENTIFY; False when the user's last one is too fresh."""
        last = self._identified_at.get(user_id)
        if last is not None and now - last < self._rules.identify_interval - EARLY_SECONDS:
            return False
        self._identified_at[user_id] = now
        return True

    def forgive_identify(self, user_id: int) -> None:
        """Let the user identify at once: it was us who took its session."""
        self._identified_at.pop(user_id, None)

    def open(self, user: User, *, intents: int | None) -> Session:
        session = Session(self._chance.hexadecimal(32), user, self._rules.replay_limit, intents)
        self._by_id[session.id] = session
        self._by_user.setdefault(user.id, {})[session.id] = session
        return session

    def get(self, session_id: str) -> Session | None:
        return self._by_id.get(session_id)

    def of(self, user_id: int) -> list[Session]:
        return list(self._by_user.get(user_id, {}).values())

    def all(self) -> list[Session]:
        return list(self._by_id.values())

    def end(self, session: Session) -> None:
        """Forget the session: it cannot be resumed."""
        if session.expiry is not None:
            session.expiry.cancel()
        self._by_id.pop(session.id, None)
        self._by_user.get(session.user.id, {}).pop(session.id, None)

    def detached(self, session: Session, connection: Connection) -> None:
        """Note that the connection is gone; unless another took over, the session waits for a resume."""
        if session.connection is not connection:
            return
        session.connection = None
        if session.id in self._by_id:
            session.expiry = self._later(self._rules.resume_window, lambda: self.end(session))

    def attach(self, session: Session, connection: Connection) -> None:
        """Serve the session by this connection; one that still does is closed."""
        if session.expiry is not None:
            session.expiry.cancel()
            session.expiry = None
        previous, session.connection = session.connection, connection
        if previous is not None:
            previous.close(4000)

    def emit(self, session: Session, event: Event) -> None:
        """Send the event to the session, or let an armed fault have it."""
        strike = self._faults.strike("gateway", EventDo, self.facts(session, event.name))
        if strike is None:
            session.push(event)
            self._release(session)
        else:
            self._strike(session, event, strike)

    @staticmethod
    def facts(session: Session, event: str | None = None) -> Mapping[str, str | None]:
        """Return what faults can match on."""
        return {"user_id": str(session.user.id), "session_id": session.id, "event": event}

    def _strike(self, session: Session, event: Event, strike: EventDo) -> None:
        match strike:
            case Lose(gap=gap):
                if gap:
                    session.push(event, transmit=False)
            case Delay(seconds=seconds):
                self._later(seconds, lambda: session.push(event))
            case Duplicate():
                session.push(event)
                session.push(event)
            case Reorder(seconds=seconds):
                session.held.append(event)
                self._later(seconds, lambda: self._release(session))
            case Cut() | Close() | Reconnect() | InvalidSession():
                session.push(event, transmit=False)
                self.disturb(session, strike)

    def _release(self, session: Session) -> None:
        held, session.held = session.held, []
        for event in held:
            session.push(event)

    def disturb(self, session: Session, strike: Cut | Close | Reconnect | InvalidSession) -> None:
        """
        Do to the session's connection what the fault says, now.

        Whatever the client then does by the book, an IDENTIFY included, is our doing: its pace starts anew.
        """
        connection = session.connection
        self.forgive_identify(session.user.id)
        if isinstance(strike, InvalidSession) and not strike.resumable:
            self.end(session)
        if connection is None:
            return
        match strike:
            case Cut():
                connection.cut()
            case Close(code=code):
                connection.close(code)
            case Reconnect():
                connection.send(RECONNECT)
            case InvalidSession(resumable=resumable):
                connection.send(invalid_session(resumable=resumable))
