"""The world without sockets: a clock that moves when told, timers that fire when told."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from localdiscord.faults.armed import ArmedFaults, MisplacedFault
from localdiscord.faults.model import Captcha, EventDo, Fault, Lose, Match, NoAcks, Refuse, RestDo
from localdiscord.wire import components
from localdiscord.wire.errors import ApiError, InvalidForm
from localdiscord.wire.snowflake import first_of, iso, time_of
from localdiscord.world.drafts import mentioned, read, snowflake
from localdiscord.world.history import History
from localdiscord.world.models import Message
from localdiscord.world.sessions import Event
from localdiscord.world.world import World

NOW = 1_800_000_000.0


class Timers:
    """Calls that fire when told, in the order of their time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Any]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> "Waiting":
        one = Waiting(self, call)
        self.waiting.append((seconds, one))
        return one

    def fire(self) -> None:
        """Fire everything that waits."""
        waiting, self.waiting = sorted(self.waiting, key=lambda each: each[0]), []
        for _, one in waiting:
            one.call()


class Waiting:
    """One call that has not fired yet."""

    def __init__(self, timers: Timers, call: Callable[[], None]) -> None:
        self.timers = timers
        self.call = call

    def cancel(self) -> None:
        self.timers.waiting = [each for each in self.timers.waiting if each[1] is not self]


class StillClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Wire:
    """A connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.ended: list[int] = []

    def send(self, frame: bytes, event: Event | None = None) -> None:
        self.frames.append(msgspec.json.decode(frame))

    def close(self, code: int) -> None:
        self.ended.append(code)

    def cut(self) -> None:
        self.ended.append(1006)

    def names(self) -> list[str]:
        return [frame["t"] for frame in self.frames]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def world(clock: StillClock, timers: Timers) -> World:
    return World(clock=clock, monotonic=clock.now, monotonic_ns=lambda: 0, later=timers, seed=7)


def pressed(world: World, nonce: str = "1") -> tuple[Any, Wire, Any]:
    """Let a user press a command of an application that lives nowhere."""
    user = world.directory.add_user("ada")
    application = world.directory.add_application("Robot")
    command = world.commands.register(application, [{"name": "go"}])[0]
    channel = world.open_direct_channel(user, application.bot)
    session = world.sessions.open(user, intents=None)
    wire = Wire()
    world.sessions.attach(session, wire)
    body = {
        "type": 2,
        "application_id": str(application.id),
        "channel_id": str(channel.id),
        "session_id": session.id,
        "nonce": nonce,
        "data": {"id": str(command.id), "version": str(command.version), "name": "go"},
    }
    return world.interactions.press(user, body), wire, (user, body)


def test_same_seed_makes_the_same_world(clock: StillClock) -> None:
    """Two worlds of one seed, at one time, have the same ids and tokens."""
    worlds = [
        World(clock=clock, monotonic=clock.now, monotonic_ns=lambda: 0, later=Timers(), seed=3)
        for _ in range(2)
    ]
    one, two = (each.directory.add_user("x") for each in worlds)

    assert (one.id, one.token) == (two.id, two.token)


def test_deadline_expires_the_press(world: World, timers: Timers) -> None:
    """When the deadline fires, the press has failed and its callback is unknown."""
    interaction, wire, _ = pressed(world)
    timers.fire()

    assert wire.names() == ["INTERACTION_CREATE", "INTERACTION_FAILURE"]
    with pytest.raises(ApiError, match="Unknown interaction"):
        world.interactions.callback(
            interaction.id, interaction.token, {"type": 4, "data": {"content": "late"}}
        )


def test_answer_stops_the_deadline(world: World, timers: Timers) -> None:
    """After a callback no timer waits."""
    interaction, wire, _ = pressed(world)
    world.interactions.callback(interaction.id, interaction.token, {"type": 5})

    assert timers.waiting == []
    assert wire.names() == ["INTERACTION_CREATE", "MESSAGE_CREATE", "INTERACTION_SUCCESS"]


def test_old_interactions_are_forgotten(world: World, clock: StillClock) -> None:
    """Half an hour later neither the interaction nor its nonce is remembered; the count of presses is."""
    interaction, _, (user, body) = pressed(world)
    clock.time += 1801
    again = world.interactions.press(user, body)

    assert again is not None
    assert None is world.interactions.get(interaction.id)
    assert world.ledger.presses == {"1": 2}
    assert world.violations.total == 0


def test_session_replays_what_it_remembers(world: World) -> None:
    """Events of before the buffer cannot be replayed."""
    session = world.sessions.open(world.directory.add_user("ada"), intents=None)
    for number in range(600):
        session.push(Event("X", str(number).encode()))
    missed = session.missed(598)

    assert [frame for frame, _ in missed or []] == [
        b'{"op":0,"s":599,"t":"X","d":598}',
        b'{"op":0,"s":600,"t":"X","d":599}',
    ]
    assert None is session.missed(99)
    assert len(session.missed(100) or []) == 500
    session.shrink(1)
    assert None is session.missed(598)
    assert len(session.missed(599) or []) == 1
    assert session.missed(600) == []


def test_event_is_encoded_once_for_all(world: World) -> None:
    """Sessions of one user share the payload's bytes."""
    user = world.directory.add_user("ada")
    sessions = [world.sessions.open(user, intents=None) for _ in range(3)]
    world.audience.tell_user(user.id, "X", {"a": 1})

    payloads = {id((session.missed(0) or [])[0][1].data) for session in sessions}
    assert len(payloads) == 1


# --- faults ------------------------------------------------------------------------------------------------


def test_faults_strike_by_kind_and_match() -> None:
    """A fault strikes only where it is armed, for the kinds asked for, and when all its patterns fit."""
    faults = ArmedFaults(lambda: 0.0)
    faults.arm(Fault(where="gateway", do=Lose(), match=Match(event="MESSAGE_*", user_id="7")))

    assert None is faults.strike("rest", RestDo, {"user_id": "7"})
    assert None is faults.strike("gateway", NoAcks, {"event": "MESSAGE_CREATE", "user_id": "7"})
    assert None is faults.strike("gateway", EventDo, {"event": "MESSAGE_CREATE", "user_id": "8"})
    assert None is faults.strike("gateway", EventDo, {"event": "MESSAGE_CREATE", "user_id": None})
    assert Lose() == faults.strike("gateway", EventDo, {"event": "MESSAGE_CREATE", "user_id": "7"})
    assert None is faults.strike("gateway", EventDo, {"event": "MESSAGE_CREATE", "user_id": "7"})


def test_misplaced_fault_is_refused() -> None:
    """A captcha cannot strike the Gateway."""
    with pytest.raises(MisplacedFault):
        ArmedFaults(lambda: 0.0).arm(Fault(where="gateway", do=Captcha()))


def test_refusal_ends_with_its_time() -> None:
    """The Gateway is down for as long as the fault says."""
    time = [0.0]
    faults = ArmedFaults(lambda: time[0])
    faults.arm(Fault(where="gateway", do=Refuse(seconds=2)))

    assert faults.refuses_connections()
    time[0] = 2.0
    assert not faults.refuses_connections()


# --- pure parts --------------------------------------------------------------------------------------------


def test_history_answers_every_cursor() -> None:
    """History is newest first; ephemeral messages are found by id and never shown."""
    history = History()
    for number in range(1, 8):
        flags = 64 if number == 4 else 0
        history.add(Message(number, 1, None, 1, NOW, flags=flags))

    assert [each.id for each in history.latest(2)] == [7, 6]
    assert [each.id for each in history.before(5, 2)] == [3, 2]
    assert [each.id for each in history.after(2, 2)] == [5, 3]
    assert [each.id for each in history.around(5, 3)] == [6, 5, 3]
    assert history.get(4) is not None
    assert None is history.shown(4)
    history.remove(4)
    history.remove(5)
    assert [each.id for each in history.latest(50)] == [7, 6, 3, 2, 1]


NESTED = [
    {
        "type": 17,
        "components": [
            {
                "type": 9,
                "components": [{"type": 10, "content": "text"}],
                "accessory": {"type": 2, "style": 1, "custom_id": "deep"},
            },
            {"type": 1, "id": 2, "components": [{"type": 2, "style": 5, "url": "https://x.invalid"}]},
        ],
    }
]


def test_components_are_numbered_around_given_ids() -> None:
    """Every component gets an integer id, depth first; given ids stay."""
    numbered = components.validated(NESTED, version_2=True)

    assert [each["id"] for each in components.walk(numbered)] == [1, 3, 4, 5, 2, 6]
    assert "id" not in NESTED[0]


def test_deep_button_is_found() -> None:
    """A button may be the accessory of a section in a container."""
    found = components.find(NESTED, "deep")

    assert found is not None
    assert found["type"] == 2
    assert None is components.find(NESTED, "other")


BUTTON = {"type": 2, "style": 1, "custom_id": "a"}


@pytest.mark.parametrize(
    "bad",
    [
        "no list",
        [{"type": 99}],
        [BUTTON],
        [{"type": 1, "components": [BUTTON, BUTTON]}],
        [{"type": 1, "components": [{"type": 2, "style": 1}]}],
        [{"type": 1, "components": [{**BUTTON, "custom_id": "x" * 101}]}],
        [{"type": 1, "components": []}] * 6,
    ],
)
def test_bad_components_are_refused(bad: Any) -> None:
    """Unknown kinds, loose buttons, repeated, missing and overlong ids, and a sixth row are form errors."""
    with pytest.raises(InvalidForm):
        components.validated(bad, version_2=False)


def test_snowflake_begins_with_its_time() -> None:
    """A snowflake tells its millisecond."""
    assert time_of(first_of(NOW)) == NOW
    assert iso(NOW) == "2027-01-15T08:00:00.000000+00:00"


@pytest.mark.parametrize("value", ["", "x", "1" * 21, "-1", 1.5, True, [], "\u0661"])
def test_what_is_no_snowflake_is_refused(value: Any) -> None:
    """Only decimal digits, at most twenty, are an id."""
    with pytest.raises(InvalidForm):
        snowflake(value, "id")


def test_draft_pings_whom_it_may() -> None:
    """Mentions are found once each, and allowed_mentions narrows them."""
    assert mentioned("<@1> <@!2> <@1> <#3>") == [1, 2]
    assert None is read({"content": "x"}).pinged
    assert frozenset() == read({"content": "x", "allowed_mentions": {"parse": []}}).pinged
    assert frozenset({5}) == read({"content": "x", "allowed_mentions": {"users": ["5"]}}).pinged


def test_component_version_2_has_no_content() -> None:
    """Content and IS_COMPONENTS_V2 exclude each other."""
    with pytest.raises(InvalidForm):
        read({"content": "x", "flags": 1 << 15, "components": NESTED})
