import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pikarelay.discord.wire.closecodes import CLOSE_CODES, COMING_BACK, Remedy
from pikarelay.discord.wire.dispatches import Ignored
from pikarelay.discord.wire.frames import LARGEST_FRAME, FrameBudget, subscriptions
from pikarelay.discord.wire.payloads import WireError
from pikarelay.discord.wire.session import (
    HANDSHAKE_SECONDS,
    IDENTIFY_SECONDS,
    Attempt,
    Began,
    Dispatched,
    Gap,
    GatewaySession,
    Phase,
    Resumed,
    SessionState,
    Stopped,
)
from tests.unit.discord.wire.gateway_server import (
    ACK,
    HELLO,
    READY,
    RESUME_URL,
    TOKEN,
    URL,
    dispatch,
    frame,
    live,
    machine,
    resumed,
    sent,
)

QUERY = "/?v=9&encoding=json&compress=zlib-stream"
STATE = SessionState(user_id="1170000000000000001", session_id="f00dfeed", sequence=1, resume_url=RESUME_URL)

# The beginning


def test_hello_is_answered_with_identify() -> None:
    """A first connection identifies with the token, honest properties, and no intents."""
    session = machine()
    session.connected(0.0)
    session.receive(HELLO, 0.0)

    (identify,) = sent(session)

    assert identify["op"] == 2
    assert identify["d"]["token"] == TOKEN.reveal()
    assert identify["d"]["properties"] == {"os": "linux", "browser": "pikarelay", "device": "pikarelay"}
    assert identify["d"]["capabilities"] == 26175
    assert not identify["d"]["capabilities"] & 1 << 8
    assert "intents" not in identify["d"]


def test_ready_makes_it_live() -> None:
    """READY tells who we are, where we talk in private, and how to come back."""
    session = machine()
    session.connected(0.0)
    session.receive(HELLO, 0.0)
    session.receive(READY, 0.0)

    assert session.events() == [
        Began("1170000000000000001", frozenset({"1180000000000000001"}), has_gap=False)
    ]
    assert session.session_id == "f00dfeed"
    assert session.state == STATE


def test_a_silent_server_is_left() -> None:
    """Without HELLO, or without READY, the connection is given up."""
    session = machine()
    session.connected(0.0)

    assert session.deadline == HANDSHAKE_SECONDS
    session.tick(HANDSHAKE_SECONDS)
    assert session.closing == COMING_BACK


def test_a_state_is_resumed_at_once() -> None:
    """A session of another process goes on where it was."""
    session = machine(state=STATE)

    assert session.next_attempt(0.0) == Attempt(RESUME_URL + QUERY, 0.0)
    session.connected(0.0)
    session.receive(HELLO, 0.0)
    assert sent(session) == [{"op": 6, "d": {"token": TOKEN.reveal(), "session_id": "f00dfeed", "seq": 1}}]


# Heartbeats


def test_heartbeats_carry_the_sequence() -> None:
    """The first beat comes after a random part of the interval, the next after all of it, with the last `s`."""
    session = live(jitter=0.5)
    first = session.deadline

    assert first is not None
    assert first == pytest.approx(19.0)
    session.receive(dispatch(7), 1.0)
    session.tick(first)
    assert sent(session, first) == [{"op": 1, "d": 7}]
    assert session.deadline == pytest.approx(first + 38.0)


def test_an_unanswered_heartbeat_closes() -> None:
    """When the next beat is due and the last was not answered, the connection is dead."""
    session = live()
    session.tick(19.0)
    session.tick(57.0)

    assert session.closing == COMING_BACK


def test_an_answered_heartbeat_does_not_close() -> None:
    """An answer in time keeps the connection."""
    session = live()
    session.tick(19.0)
    session.receive(ACK, 20.0)
    session.tick(57.0)

    assert session.closing is None
    assert len(sent(session, 57.0)) == 2


def test_the_server_may_ask_for_a_beat() -> None:
    """A heartbeat asked for is sent at once and says nothing about our own."""
    session = live()
    session.receive(frame(1), 1.0)

    assert sent(session, 1.0) == [{"op": 1, "d": 1}]
    session.tick(19.0)
    assert session.closing is None


# Losses


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 4000, 4001, 4002, 4005, 4008, 4321])
def test_most_losses_are_resumed(code: int | None) -> None:
    """After these the session goes on at its resume address, soon."""
    session = live()
    session.lost(code, 100.0)
    attempt = session.next_attempt(100.0)

    assert attempt is not None
    assert attempt.url == RESUME_URL + QUERY
    assert attempt.at == (105.0 if code == 4008 else 100.5)


@pytest.mark.parametrize("code", [4003, 4007, 4009])
def test_some_losses_end_the_session(code: int) -> None:
    """After these a new session begins, at the first address, and the gap is told."""
    session = live()
    session.lost(code, 100.0)

    assert session.next_attempt(100.0) == Attempt(URL + QUERY, 100.5)
    session.connected(101.0)
    session.receive(HELLO, 101.0)
    session.receive(READY, 101.0)
    (began,) = session.events()
    assert isinstance(began, Began)
    assert began.has_gap


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014, 4015, 4016])
def test_some_losses_are_final(code: int) -> None:
    """After these nothing is tried again, and somebody is told why."""
    session = live()
    session.lost(code, 100.0)

    assert session.next_attempt(100.0) is None
    assert session.state is None
    (stopped,) = session.events()
    assert isinstance(stopped, Stopped)
    assert stopped.reason == CLOSE_CODES[code].reason
    assert (stopped.remedy is Remedy.TOKEN_INVALID) == (code == 4004)


def test_sent_away_comes_back_at_once() -> None:
    """After opcode 7 the connection closes resumably and the next one does not wait."""
    session = live()
    session.receive(frame(7), 50.0)

    assert session.closing == COMING_BACK
    session.lost(None, 50.0)
    assert session.next_attempt(50.0) == Attempt(RESUME_URL + QUERY, 50.0)


def test_what_comes_while_closing_is_left_to_the_replay() -> None:
    """A dispatch behind opcode 7 does not count, so the resume brings it again."""
    session = live()
    session.receive(frame(7), 50.0)
    session.receive(dispatch(2), 50.0)

    assert session.events() == []
    assert session.state == STATE


@pytest.mark.parametrize(("answer", "url"), [(True, RESUME_URL), (False, URL), (None, URL)])
def test_invalid_session(answer: bool | None, url: str) -> None:
    """Opcode 9 says whether to resume or to begin anew, then after one to five seconds."""
    session = live()
    session.receive(frame(9, answer), 100.0)
    assert session.closing == COMING_BACK
    session.lost(None, 100.0)
    attempt = session.next_attempt(100.0)

    assert attempt is not None
    assert attempt.url == url + QUERY
    assert attempt.at == (100.5 if answer else 103.0)


def test_two_failed_resumes_begin_anew() -> None:
    """A session that twice could not be resumed is given up."""
    session = live()
    session.lost(None, 100.0)
    session.lost(None, 101.0)
    assert session.state == STATE
    session.connected(102.0)
    session.receive(HELLO, 102.0)
    session.lost(1006, 103.0)

    assert session.state is None


def test_backoff_doubles_to_a_minute() -> None:
    """Each loss in a row waits up to twice as long, a minute at most; a good connection starts over."""
    session = machine(jitter=1.0)
    waits = []
    for _ in range(9):
        session.lost(None, 0.0)
        attempt = session.next_attempt(0.0)
        assert attempt is not None
        waits.append(attempt.at)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    session.connected(100.0)
    session.receive(HELLO, 100.0)
    session.receive(READY, 100.0)
    session.lost(None, 200.0)
    attempt = session.next_attempt(200.0)

    assert attempt is not None
    assert attempt.at == 201.0


def test_identify_is_paced() -> None:
    """No second IDENTIFY leaves within five seconds of the first, however the first ended."""
    session = machine(jitter=0.0)
    session.connected(0.0)
    session.receive(HELLO, 0.0)
    session.lost(4009, 0.1)

    assert session.next_attempt(0.1) == Attempt(URL + QUERY, IDENTIFY_SECONDS)


# Dispatches


def test_a_resume_replays_and_ends() -> None:
    """Replayed dispatches come in order, then the resume is complete."""
    session = machine(state=STATE)
    session.connected(0.0)
    session.receive(HELLO, 0.0)
    for each in (dispatch(2), dispatch(3), resumed(4)):
        session.receive(each, 0.0)

    assert session.events() == [
        Dispatched("TYPING_START", Raw(b"{}")),
        Dispatched("TYPING_START", Raw(b"{}")),
        Resumed(),
    ]
    assert session.session_id == "f00dfeed"
    assert session.state is not None
    assert session.state.sequence == 4


def test_a_skipped_number_is_a_gap() -> None:
    """A dispatch that never came is noticed by the next one's number."""
    session = live()
    session.receive(dispatch(4), 0.0)

    assert session.events()[0] == Gap(2)


def test_a_repeated_number_is_no_gap() -> None:
    """A dispatch may come twice or late; the count does not go back."""
    session = live()
    for number in (2, 3, 2):
        session.receive(dispatch(number), 0.0)

    assert all(isinstance(event, Dispatched) for event in session.events())
    assert session.state is not None
    assert session.state.sequence == 3


def test_an_unknown_opcode_is_ignored() -> None:
    """What we do not know is named and left alone."""
    session = live()
    session.receive(frame(99), 0.0)

    assert session.events() == [Ignored("opcode 99")]


def test_an_unreadable_frame_ends_the_connection() -> None:
    """A frame that makes no sense is an error, and the connection is closed resumably."""
    session = live()

    with pytest.raises(WireError):
        session.receive(b"{", 0.0)
    assert session.closing == COMING_BACK


# Subscriptions and the budget


def test_guilds_are_asked_for_in_every_session() -> None:
    """A guild is subscribed to once now, and again after each READY."""
    session = live()
    session.subscribe("7")
    session.subscribe("7")

    wanted = {"op": 37, "d": {"subscriptions": {"7": {"typing": True, "threads": True, "activities": True}}}}
    assert sent(session) == [wanted]
    session.lost(4009, 10.0)
    session.connected(20.0)
    session.receive(HELLO, 20.0)
    assert [each["op"] for each in sent(session, 20.0)] == [2]
    session.receive(READY, 20.0)
    assert sent(session, 20.0) == [wanted]


def test_a_guild_is_asked_for_again_when_that_may_be_lost() -> None:
    """What was sent just before the connection died is sent again after the resume; what surely arrived is not."""
    session = live()
    session.subscribe("7")
    wanted = sent(session)
    session.tick(due := session.deadline or 0.0)
    assert [1] == [each["op"] for each in sent(session, due)]
    # It is lost before the heartbeat is answered.
    resume(session, due)
    assert wanted == sent(session, due)
    session.tick(due := session.deadline or 0.0)
    sent(session, due)
    session.receive(ACK, due)
    session.subscribe("8")
    (later,) = sent(session, due)
    resume(session, due)

    assert [later] == sent(session, due)


def resume(session: GatewaySession, now: float) -> None:
    """Cut the connection and go on with the session on another."""
    session.lost(None, now)
    session.connected(now)
    session.receive(HELLO, now)
    assert [6] == [each["op"] for each in sent(session, now)]
    session.receive(resumed(1), now)


def test_many_guilds_fit_into_frames() -> None:
    """However many guilds, no frame is larger than Discord takes."""
    frames = subscriptions([str(10**18 + number) for number in range(1000)])

    assert max(len(each) for each in frames) <= LARGEST_FRAME
    assert sum(len(json.loads(each)["d"]["subscriptions"]) for each in frames) == 1000


def test_the_budget_keeps_room_for_heartbeats() -> None:
    """A flood of subscriptions stops short of the limit, goes on a minute later, and never holds up a beat."""
    session = live()
    for number in range(200):
        session.subscribe(str(number))
    first = sent(session, 0.0)

    # One frame was the IDENTIFY.
    assert len(first) == FrameBudget.LIMIT - FrameBudget.KEPT_FOR_HEARTBEATS - 1
    assert sent(session, 30.0) == []
    session.tick(30.0)
    assert [each["op"] for each in sent(session, 30.0)] == [1]
    assert session.deadline == pytest.approx(FrameBudget.WINDOW_SECONDS)
    session.receive(ACK, 31.0)
    assert len(sent(session, FrameBudget.WINDOW_SECONDS)) == 200 - len(first)


# Whatever happens


steps = st.lists(
    st.one_of(
        st.sampled_from([HELLO, READY, ACK, frame(7), frame(9, d=True), frame(9, d=False), frame(1), b"?"]),
        st.integers(0, 9).map(dispatch),
        st.integers(0, 9).map(resumed),
        st.sampled_from([None, 1000, 4000, 4007, 4008, 4009]).map(lambda code: ("lost", code)),
        st.just(("connect", None)),
        st.integers(1, 90).map(lambda seconds: ("wait", seconds)),
    ),
    max_size=60,
)


class Wire:
    """Keeps to the machine's order of calls, and counts what it sends."""

    def __init__(self, jitter: float) -> None:
        self.session = machine(jitter)
        self.now = 0.0
        self.is_connected = False
        self.identified: list[float] = []
        self.frames: list[float] = []

    def step(self, step: bytes | tuple[str, int | None]) -> None:
        match step:
            case bytes() if self.is_connected:
                with suppress(WireError):
                    self.session.receive(step, self.now)
            case ("wait", int(seconds)):
                self.now += seconds
                self.session.tick(self.now)
            case ("connect", _) if not self.is_connected:
                self.connect()
            case ("lost", code):
                self.lose(code if isinstance(code, int) else None)
        self.flush()
        if self.session.closing is not None:
            self.lose(None)

    def connect(self) -> None:
        attempt = self.session.next_attempt(self.now)
        assert attempt is not None
        self.now = attempt.at
        self.session.connected(self.now)
        self.is_connected, self.frames = True, []

    def lose(self, code: int | None) -> None:
        self.session.lost(code, self.now)
        self.is_connected = False

    def flush(self) -> None:
        for each in self.session.to_send(self.now):
            self.frames.append(self.now)
            if json.loads(each)["op"] == 2:
                self.identified.append(self.now)


@given(steps, st.floats(0, 1))
def test_whatever_the_server_does(script: list[bytes | tuple[str, int | None]], jitter: float) -> None:
    """
    No order of frames, losses and pauses breaks the limits.

    IDENTIFYs stay five seconds apart, no minute holds more than 120 frames of a connection, the machine always wants to
    go on, and it is live exactly when it has a session to speak for.
    """
    wire = Wire(jitter)
    for step in script:
        wire.step(step)

        assert wire.session.phase is not Phase.STOPPED
        assert (wire.session.phase is Phase.LIVE) == (wire.session.session_id is not None)
        assert sum(1 for at in wire.frames if at > wire.now - 60) <= 120
    assert all(later - earlier >= 5 for earlier, later in pairwise(wire.identified))
