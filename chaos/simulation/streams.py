"""Discord's Gateway: sessions, what is dispatched to them, and what becomes of it on its way."""

from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Protocol

from chaos.simulation.book import Book
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.plan import Outage, Plan
from pikarelay.jobs.messages import BotMessage, Sighting

#: How long a session without a connection is kept.
_KEPT_SECONDS = 180.0
_GAP = None


class Listener(Protocol):
    """The other end of a connection."""

    def receive(self, sequence: int, sighting: Sighting | None) -> None:
        """Take the next dispatch; None for one that got lost and left a gap in the sequence."""
        ...

    def cut(self) -> None:
        """Learn that the connection is gone."""
        ...


@dataclass(eq=False)
class Session:
    """One session: what was dispatched to it, with or without a connection."""

    id: str
    user_id: str
    sent: list[Sighting | None] = field(default_factory=list)
    listener: Listener | None = None
    #: Since when it has no connection.
    alone_since: float | None = None
    #: No dispatch is taken out of the order of the wire.
    wire_free_at: float = 0.0


class Streams:
    """All sessions of all users."""

    def __init__(self, plan: Plan, book: Book, loop: VirtualLoop) -> None:
        self._plan = plan
        self._book = book
        self._loop = loop
        self._chance = Random(f"{plan.seed} streams")
        self._sessions: dict[str, Session] = {}
        self._serial = count(1)
        #: Outages that have begun.
        self._down = 0
        for outage in plan.session_outages:
            loop.soon_in_world(outage.begin, self._break, outage)
            loop.soon_in_world(outage.end, self._mend)

    @property
    def is_down(self) -> bool:
        return self._down > 0

    def tell(self, user_id: str, sighting: Sighting) -> None:
        """Dispatch to all sessions of the user, with the seed's trouble."""
        fate = self._fate()
        if fate == "lost":
            self._book.note("gateway", "loses {}", _name(sighting))
        elif fate == "delayed":
            delay = self._chance.choice((0.5, 2.0, 6.0, 25.0))
            self._book.note("gateway", "holds {} back for {} s", _name(sighting), delay)
            self._loop.soon_in_world(delay, self._dispatch, user_id, sighting)
        elif fate == "lost_with_gap":
            self._book.note("gateway", "loses {}, which leaves a gap", _name(sighting))
            self._dispatch(user_id, _GAP)
        else:
            self._dispatch(user_id, sighting)
            if fate == "duplicated":
                delay = self._chance.choice((0.0, 0.0, 1.0, 10.0))
                self._loop.soon_in_world(delay, self._dispatch, user_id, sighting)

    def identify(self, user_id: str, listener: Listener) -> Session:
        """Begin a session."""
        session = Session(f"session-{next(self._serial)}", user_id)
        self._sessions[session.id] = session
        session.listener = listener
        self._book.note("gateway", "begins {} of {}", session.id, user_id)
        return session

    def resume(self, session_id: str, sequence: int, listener: Listener) -> Session | None:
        """Go on with a session, from after that dispatch on. None when it is gone."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.listener is not None:
            session.listener.cut()
        session.listener, session.alone_since = listener, None
        missed = session.sent[sequence:]
        self._book.note("gateway", "resumes {} with {} dispatches", session.id, len(missed))
        for number, sighting in enumerate(missed, sequence + 1):
            self._wire(session, number, sighting)
        return session

    def leave(self, session: Session, listener: Listener) -> None:
        """Lose the connection, but not the session."""
        if session.listener is listener:
            session.listener, session.alone_since = None, self._loop.time()

    def _fate(self) -> str:
        plan = self._plan
        if self._book.calm is not None or self._chance.random() >= plan.event_trouble:
            return ""
        return self._chance.choice(plan.event_fates)

    def _dispatch(self, user_id: str, sighting: Sighting | None) -> None:
        for session in list(self._sessions.values()):
            if session.user_id != user_id:
                continue
            if session.alone_since is not None and self._loop.time() - session.alone_since > _KEPT_SECONDS:
                del self._sessions[session.id]
                continue
            session.sent.append(sighting)
            self._wire(session, len(session.sent), sighting)

    def _wire(self, session: Session, number: int, sighting: Sighting | None) -> None:
        if session.listener is not None:
            now = self._loop.time()
            session.wire_free_at = max(session.wire_free_at, now + self._chance.uniform(0.01, 0.3))
            self._loop.soon_in_world(session.wire_free_at - now, session.listener.receive, number, sighting)

    def _break(self, outage: Outage) -> None:
        self._down += 1
        self._book.note(
            "gateway", "is down; sessions {}", "can be resumed" if outage.is_resumable else "are lost"
        )
        for session in list(self._sessions.values()):
            if not outage.is_resumable:
                del self._sessions[session.id]
            if session.listener is not None:
                listener, session.listener = session.listener, None
                session.alone_since = self._loop.time()
                listener.cut()

    def _mend(self) -> None:
        self._down -= 1
        self._book.note("gateway", "is up")


def _name(sighting: Sighting) -> str:
    return sighting.id if isinstance(sighting, BotMessage) else type(sighting).__name__
