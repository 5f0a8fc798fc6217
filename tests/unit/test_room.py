"""Memory for unfinished requests."""

from pikarelay.api.room import Place, Room


def test_little_is_always_taken() -> None:
    """What a connection has for itself, nobody else can use up."""
    room = Room(100, own=10)
    greedy, modest = Place(room), Place(room)

    assert greedy.take(110)
    assert not greedy.take(1)
    assert modest.take(10)
    assert not modest.take(1)
    assert 100 == room.taken


def test_what_was_refused_takes_nothing() -> None:
    """A refusal leaves things as they were."""
    room = Room(100, own=0)
    place = Place(room)
    place.take(60)
    place.take(60)

    assert (60, 60) == (place.held, room.taken)


def test_what_is_given_back_is_there_for_others() -> None:
    """Room comes back with what is let go of, and all of it at the end."""
    room = Room(100, own=10)
    one, other = Place(room), Place(room)
    one.take(110)
    one.give(30)

    assert other.take(40)

    one.keep(20)
    assert 40 == room.taken

    one.keep(0)
    other.give(1000)
    assert (0, 0, 0) == (one.held, other.held, room.taken)
