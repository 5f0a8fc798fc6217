"""
One account's Gateway session: a machine without sockets, clock or randomness.

A session outlives its connections. It begins with IDENTIFY and READY; every dispatch raises its sequence number; when the
connection ends, the next one goes on with RESUME, and Discord replays what was missed. Only when Discord refuses
that does a new session begin, and what happened in between must be read elsewhere.

Whoever owns the sockets keeps to this order:

    attempt = session.next_attempt(now)          where to connect, and not before when; None when it has stopped
    session.connected(now)                       or session.lost(None, now) when that failed
    session.receive(payload, now)                for each inflated message of the server
    session.tick(now)                            at `session.deadline`, or earlier
    session.to_send(now), session.events()       after every call
    session.closing                              not None: close with this code, then call lost()
    session.lost(code, now)                      the server's close code; None when there was none

Times are seconds from any fixed start (a monotonic clock). `jitter` returns numbers from 0 to 1.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from msgspec import Raw, Struct

from pikarelay.discord.wire import closecodes, frames, payloads
from pikarelay.discord.wire.closecodes import COMING_BACK, Remedy
from pikarelay.discord.wire.dispatches import Ignored
from pikarelay.discord.wire.frames import FrameBudget
from pikarelay.discord.wire.heart import Heart
from pikarelay.discord.wire.opcodes import Opcode
from pikarelay.discord.wire.payloads import WireError
from pikarelay.jobs.secret import Secret

#: Discord takes one IDENTIFY per account in five seconds, counted when it arrives.
IDENTIFY_SECONDS: Final = 5.5
#: HELLO, and then READY or RESUMED, must come within this.
HANDSHAKE_SECONDS: Final = 20.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
#: A connection that lived so long was a good one: the next loss is the first again.
GOOD_SECONDS: Final = 10.0
#: So many connections in a row may fail to resume before the session is given up.
RESUME_TRIES: Final = 2

_QUERY = "/?v={version}&encoding=json&compress=zlib-stream"


class Phase(Enum):
    """Where the machine stands."""

    OFFLINE = "offline"
    CONNECTED = "connected"
    IDENTIFYING = "identifying"
    RESUMING = "resuming"
    LIVE = "live"
    STOPPED = "stopped"


class SessionState(Struct, frozen=True, kw_only=True):
    """All it takes to resume a session, also from another process. Useless without the token."""

    user_id: str
    session_id: str
    sequence: int
    resume_url: str


class Attempt(NamedTuple):
    """Where to connect, and not before when."""

    url: str
    at: float


class Began(Struct, frozen=True):
    """A new session is live."""

    user_id: str
    #: Ids of the account's direct-message channels.
    private_channels: frozenset[str]
    #: True when an earlier session was lost, and dispatches with it.
    has_gap: bool


class Resumed(Struct, frozen=True):
    """The session is live again and nothing was lost."""


class Gap(Struct, frozen=True):
    """A sequence number was skipped: at least one dispatch never came."""

    missing: int


class Dispatched(Struct, frozen=True):
    """A dispatch for others to read."""

    name: str
    payload: Raw


class Stopped(Struct, frozen=True):
    """There will be no further connection."""

    remedy: Remedy
    #: For a person to read.
    reason: str


SessionEvent = Began | Resumed | Gap | Dispatched | Stopped | Ignored


class IdentifyPace:
    """
    When an account may IDENTIFY next: once in five seconds, whichever of its tokens does it.

    Shared by the machines of one account, each of which reads and sets it.
    """

    def __init__(self) -> None:
        #: No IDENTIFY before this moment of the machines' clock.
        self.free_at = -inf


class GatewaySession:
    """See the module."""

    def __init__(
        self,
        token: Secret,
        gateway_url: str,
        *,
        jitter: Callable[[], float],
        version: int = 9,
        intents: int | None = None,
        state: SessionState | None = None,
        identify_pace: IdentifyPace | None = None,
    ) -> None:
        """`state` is a session to resume. `identify_pace` is what the account's machines share; None: it has one."""
        self._token = token
        self._gateway_url = gateway_url
        self._jitter = jitter
        self._query = _QUERY.format(version=version)
        self._intents = intents

        self.phase = Phase.OFFLINE
        #: The code to close with, when the connection is of no more use.
        self.closing: int | None = None
        #: Whose session it is. None before the first READY.
        self.user_id = state.user_id if state else None

        self._session_id = state.session_id if state else None
        self._sequence = state.sequence if state else None
        self._resume_url = state.resume_url if state else None
        self._had_session = state is not None

        self._events: list[SessionEvent] = []
        self._urgent: list[bytes] = []
        self._waiting: deque[bytes] = deque()
        #: Frames that were to be sent, and may have been lost with the connection: since the last heartbeat, and before it.
        self._unsure: list[bytes] = []
        self._beaten: list[bytes] = []
        self._guild_ids: dict[str, None] = {}

        # Of the present connection.
        self._budget = FrameBudget()
        self._heart: Heart | None = None
        self._handshake_until: float | None = None
        self._live_since: float | None = None
        self._was_sent_away = False

        # Of the connections before it.
        self._losses = 0
        self._failed_resumes = 0
        self._not_before = -inf
        self._identify_pace = identify_pace or IdentifyPace()

    # What the owner asks

    @property
    def session_id(self) -> str | None:
        """The live session's id. None while no session is live."""
        return self._session_id if self.phase is Phase.LIVE else None

    @property
    def state(self) -> SessionState | None:
        """What a later connection can resume with. None while there is nothing to resume."""
        user_id, session_id = self.user_id, self._session_id
        sequence, resume_url = self._sequence, self._resume_url
        if user_id is None or session_id is None or sequence is None or resume_url is None:
            return None
        return SessionState(user_id=user_id, session_id=session_id, sequence=sequence, resume_url=resume_url)

    @property
    def has_work(self) -> bool:
        """Whether `to_send` or `closing` should be looked at without waiting for the deadline."""
        has_frames = bool(self._urgent) or (bool(self._waiting) and self.phase is Phase.LIVE)
        return has_frames or self.closing is not None

    @property
    def deadline(self) -> float | None:
        """When `tick` and `to_send` must be called at the latest. None when nothing waits for the time."""
        moments = [] if self._handshake_until is None else [self._handshake_until]
        if self._heart is not None:
            moments.append(self._heart.due)
        if self._waiting and self.phase is Phase.LIVE:
            moments.append(self._budget.free_at())
        return min(moments, default=None)

    def next_attempt(self, now: float) -> Attempt | None:
        """Return where to connect next; None when the machine has stopped."""
        if self.phase is Phase.STOPPED:
            return None
        at = max(now, self._not_before)
        if (state := self.state) is not None:
            return Attempt(self._address(state.resume_url), at)
        return Attempt(self._address(self._gateway_url), max(at, self._identify_pace.free_at))

    def events(self) -> Sequence[SessionEvent]:
        """Return what happened since the last call, in order."""
        happened, self._events = self._events, []
        return happened

    def to_send(self, now: float) -> Sequence[bytes]:
        """Return the frames to send now, in order, and count them as sent."""
        ready, self._urgent = self._urgent, []
        for _ in ready:
            self._budget.spend(now)
        while self._waiting and self.phase is Phase.LIVE and self._budget.free_at() <= now:
            self._budget.spend(now)
            self._unsure.append(self._waiting.popleft())
            ready.append(self._unsure[-1])
        return ready

    # What the owner reports

    def subscribe(self, guild_id: str) -> None:
        """Ask for the messages of a guild, now and in every session to come."""
        if guild_id not in self._guild_ids:
            self._guild_ids[guild_id] = None
            self._waiting.extend(frames.subscriptions([guild_id]))

    def connected(self, now: float) -> None:
        """A connection to the attempt's address is open."""
        self.phase = Phase.CONNECTED
        self._budget = FrameBudget()
        self._handshake_until = now + HANDSHAKE_SECONDS

    def receive(self, payload: bytes, now: float) -> None:
        """Take one message of the server. Raises `WireError`; the connection is then closing."""
        if self.closing is not None:
            # Whatever comes now is replayed to the next connection.
            return
        try:
            self._take(payloads.read_envelope(payload), now)
        except WireError:
            self.closing = COMING_BACK
            raise

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.closing is not None:
            return
        if self._handshake_until is not None and now >= self._handshake_until:
            self.closing = COMING_BACK
        elif self._heart is not None and now >= self._heart.due:
            self._beat(self._heart, now)

    def lost(self, code: int | None, now: float) -> None:
        """The connection is gone, or was never made. Decides what comes next."""
        if self.phase is Phase.STOPPED:
            return
        closing = closecodes.UNKNOWN if self.closing is not None else closecodes.after_close(code)
        if closing.remedy in {Remedy.STOP, Remedy.TOKEN_INVALID}:
            self._reset(Phase.STOPPED)
            self._forget()
            self._events.append(Stopped(closing.remedy, closing.reason))
            return
        self._settle_session(closing.remedy)
        self._not_before = max(self._not_before, now + max(closing.pause, self._backoff(now)))
        self._reset(Phase.OFFLINE)

    # Opcodes

    def _take(self, frame: payloads.Envelope, now: float) -> None:
        match frame.op:
            case Opcode.DISPATCH:
                self._dispatch(frame, now)
            case Opcode.HEARTBEAT:
                # Out of turn; it says nothing about the answer to our own.
                if self._budget.free_at(is_heartbeat=True) <= now:
                    self._urgent.append(frames.heartbeat(self._sequence))
            case Opcode.HEARTBEAT_ACK:
                if self._heart is not None:
                    self._heart.acknowledge()
                    # What was sent before that heartbeat has arrived with it.
                    self._beaten.clear()
            case Opcode.HELLO if self.phase is Phase.CONNECTED:
                self._greet(payloads.read("HELLO", frame.d, payloads.Hello), now)
            case Opcode.RECONNECT:
                self._was_sent_away = True
                self.closing = COMING_BACK
            case Opcode.INVALID_SESSION:
                # Resumable only when Discord says so in one word.
                self._refused(now, can_resume=bytes(frame.d).strip() == b"true")
            case _:
                self._events.append(Ignored(f"opcode {frame.op}"))

    def _greet(self, hello: payloads.Hello, now: float) -> None:
        self._heart = Heart(hello.heartbeat_interval, now, self._jitter())
        self._handshake_until = now + HANDSHAKE_SECONDS
        if (state := self.state) is not None:
            self.phase = Phase.RESUMING
            self._urgent.append(frames.resume(self._token, state.session_id, state.sequence))
        elif now < self._identify_pace.free_at:
            # Another machine of this account was quicker. Come back when it is this one's turn.
            self.closing = COMING_BACK
        else:
            self.phase = Phase.IDENTIFYING
            self._identify_pace.free_at = now + IDENTIFY_SECONDS
            self._urgent.append(frames.identify(self._token, self._intents))

    def _refused(self, now: float, *, can_resume: bool) -> None:
        if not can_resume:
            self._forget()
            self._not_before = now + 1 + 4 * self._jitter()
        self.closing = COMING_BACK

    def _beat(self, heart: Heart, now: float) -> None:
        if heart.beat(now):
            self._urgent.append(frames.heartbeat(self._sequence))
            self._beaten, self._unsure = self._unsure, []
        else:
            self.closing = COMING_BACK

    # Dispatches

    def _dispatch(self, frame: payloads.Envelope, now: float) -> None:
        name = frame.t or ""
        if name == "READY" and self.phase is Phase.IDENTIFYING:
            # A READY starts the count anew, so it comes before the sequence is looked at.
            self._begin(payloads.read("READY", frame.d, payloads.Ready), frame.s, now)
            return
        self._count(frame.s)
        if name == "RESUMED" and self.phase is Phase.RESUMING:
            self._go_live(now)
            self._events.append(Resumed())
        else:
            self._events.append(Dispatched(name, frame.d))

    def _begin(self, ready: payloads.Ready, sequence: int | None, now: float) -> None:
        self.user_id = ready.user.id
        self._session_id = ready.session_id
        self._resume_url = ready.resume_gateway_url
        self._sequence = sequence
        self._go_live(now)
        self._waiting = deque(frames.subscriptions(tuple(self._guild_ids)))
        self._events.append(
            Began(ready.user.id, frozenset(ref.id for ref in ready.private_channels), self._had_session)
        )
        self._had_session = True

    def _count(self, sequence: int | None) -> None:
        if sequence is None:
            return
        last = self._sequence if self._sequence is not None else sequence - 1
        if sequence > last + 1:
            self._events.append(Gap(sequence - last - 1))
        # A replayed dispatch may come twice; the count never goes back.
        self._sequence = max(last, sequence)

    def _go_live(self, now: float) -> None:
        self.phase = Phase.LIVE
        self._live_since = now
        self._handshake_until = None
        self._failed_resumes = 0

    # Losses

    def _settle_session(self, remedy: Remedy) -> None:
        """Keep the session, or give it up."""
        if remedy is Remedy.IDENTIFY:
            self._forget()
        elif self.phase is not Phase.LIVE and self.state is not None:
            self._failed_resumes += 1
            if self._failed_resumes >= RESUME_TRIES:
                self._forget()

    def _backoff(self, now: float) -> float:
        """Return how many seconds to stay away: up to 1, 2, 4, … 60, drawn anew each time."""
        if self._live_since is not None and now - self._live_since >= GOOD_SECONDS:
            self._losses = 0
        longest = min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(self._losses, 10))
        self._losses += 1
        # Sent away by a healthy server, which waits for us elsewhere: no reason to hesitate.
        return 0.0 if self._was_sent_away and self._losses == 1 else longest * self._jitter()

    def _forget(self) -> None:
        self._session_id = self._sequence = self._resume_url = None
        self._failed_resumes = 0

    def _reset(self, phase: Phase) -> None:
        self.phase = phase
        # A session that is resumed goes on with what has arrived; the next one asks for everything anew.
        self._waiting.extendleft(reversed((*self._beaten, *self._unsure)))
        self._beaten, self._unsure = [], []
        self.closing = None
        self._urgent.clear()
        self._heart = None
        self._handshake_until = None
        self._live_since = None
        self._was_sent_away = False

    def _address(self, url: str) -> str:
        return url.rstrip("/") + self._query
