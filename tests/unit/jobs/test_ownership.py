"""Estates, and who is to have them."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.ownership import (
    Estate,
    Holding,
    Plan,
    Seat,
    channel_name,
    estates_of,
    plan,
    session_name,
)
from pikarelay.jobs.secret import Secret


def held(**owners: str | None) -> dict[str, Holding]:
    return {name: Holding(owner=owner, epoch=1) for name, owner in owners.items()}


def one_each(*names: str) -> tuple[Estate, ...]:
    return tuple(Estate((name,)) for name in names)


def test_names() -> None:
    """A channel is named by its id; a session's name has nothing of its token."""
    assert "channel 100" == channel_name("100")
    assert "canary" not in session_name(Secret("canary"))
    assert session_name(Secret("a")) == session_name(Secret("a")) != session_name(Secret("b"))


def test_what_hangs_together() -> None:
    """A token on two channels, and two tokens on one, tie all of them together; others stay apart."""
    seats = [Seat("s1", "c1"), Seat("s1", "c2"), Seat("s2", "c2"), Seat("s3", "c3")]

    assert (Estate(("c1", "c2", "s1", "s2")), Estate(("c3", "s3"))) == estates_of(seats)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_estates_are_a_partition(pairs: list[tuple[int, int]]) -> None:
    """Each name is in one estate, both names of a seat are in the same, and the order of the seats does not matter."""
    seats = [Seat(f"s{session}", f"c{channel}") for session, channel in pairs]
    estates = estates_of(seats)
    place = {name: estate for estate in estates for name in estate.names}

    assert sum(len(estate.names) for estate in estates) == len(place)
    assert all(place[seat.session] is place[seat.channel] for seat in seats)
    assert estates == estates_of(reversed(seats))


def test_a_single_worker_has_everything() -> None:
    """A worker that is alone claims all at once, also what a dead one held."""
    estates = one_each("a", "b", "c")

    planned = plan("me", {"me"}, estates, held(a="dead", b=None), moved_at_once=1)

    assert set(estates) == set(planned.claim)
    assert () == planned.release


def test_fair_share() -> None:
    """Of seven free estates, one of three workers claims three at most."""
    planned = plan("me", {"me", "you", "they"}, one_each(*"abcdefg"), {}, moved_at_once=1)

    assert 3 == len(planned.claim)


def test_newcomer_is_given_something() -> None:
    """Who has more than a newcomer lacks lets go, so many at once; and claims nothing meanwhile."""
    everything = held(a="me", b="me", c="me", d="me")

    assert Plan(release=("d",)) == plan("me", {"me", "new"}, one_each(*"abcd"), everything, moved_at_once=1)
    assert Plan(release=("c", "d")) == plan(
        "me", {"me", "new"}, one_each(*"abcd"), everything, moved_at_once=5
    )


def test_nothing_moves_that_is_even() -> None:
    """A difference of one is even enough."""
    holdings = held(a="me", b="me", c="you")

    assert Plan() == plan("me", {"me", "you"}, one_each(*"abc"), holdings, moved_at_once=9)
    assert Plan() == plan("you", {"me", "you"}, one_each(*"abc"), holdings, moved_at_once=9)


def test_estates_that_grew_together() -> None:
    """Of two holders of one estate, the first name's keeps it and the other lets go; then the first claims the rest."""
    estate = Estate(("a", "b", "s"))
    both = held(a="me", s="me", b="you")

    assert Plan(release=("b",)) == plan("you", {"me", "you"}, (estate,), both, moved_at_once=1)
    assert Plan(claim=(estate,)) == plan("me", {"me", "you"}, (estate,), both, moved_at_once=1)


def test_what_nobody_uses_is_let_go() -> None:
    """A session whose account was removed is held no longer."""
    assert Plan(release=("old",)) == plan(
        "me", {"me"}, one_each("a"), held(a="me", old="me", theirs="you"), moved_at_once=1
    )


def test_what_is_kept() -> None:
    """What is used by nobody may be kept for a while, and costs nobody its share; what is another's is let go all the same."""
    holdings = held(a="me", old="me", b="you", s="me")
    estates = (Estate(("b", "s")), Estate(("c",)))

    planned = plan("me", {"me", "you"}, estates, holdings, moved_at_once=1, kept={"a", "old", "s"})

    assert Plan(claim=(Estate(("c",)),), release=("s",)) == planned


@given(
    st.integers(1, 5),
    st.integers(0, 24),
    st.dictionaries(st.integers(0, 23), st.integers(0, 6), max_size=24),
    st.integers(1, 4),
)
def test_all_come_to_rest(workers: int, count: int, before: dict[int, int], pace: int) -> None:
    """From any beginning, workers that follow their plans in turn come to hold everything, each as much as any other."""
    alive = {f"w{n}" for n in range(workers)}
    estates = one_each(*(f"e{n:02}" for n in range(count)))
    holdings: dict[str, Holding] = {
        f"e{place:02}": Holding(owner=f"w{owner}", epoch=1) for place, owner in before.items()
    }
    for _ in range(3 * count + 3):
        for me in sorted(alive):
            _follow(me, plan(me, alive, estates, holdings, moved_at_once=pace), alive, holdings)
    shares = [sum(h.owner == me for n, h in holdings.items() if Estate((n,)) in estates) for me in alive]

    assert count == sum(shares)
    assert max(shares) - min(shares) <= 1
    assert all(Plan() == plan(me, alive, estates, holdings, moved_at_once=pace) for me in alive)


def _follow(me: str, planned: Plan, alive: set[str], holdings: dict[str, Holding]) -> None:
    """Do as the store does: what is free, or a dead worker's, can be claimed."""
    for name in planned.release:
        holdings[name] = Holding(owner=None, epoch=holdings[name].epoch)
    for estate in planned.claim:
        if all(_is_free_for(me, name, alive, holdings) for name in estate.names):
            for name in estate.names:
                holdings[name] = Holding(owner=me, epoch=1)


def _is_free_for(me: str, name: str, alive: set[str], holdings: Mapping[str, Holding]) -> bool:
    return name not in holdings or holdings[name].owner not in alive - {me}
