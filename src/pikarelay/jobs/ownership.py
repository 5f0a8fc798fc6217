"""
Which worker works for which channels and Discord sessions, and how that changes as workers come and go.

A Discord token has one Gateway session, and the presses of a channel are made one at a time: so both a session and a channel are
worked on by one worker, which *holds* them. Where a token is used on two channels, or two tokens on one, they must be held by
the same worker. What hangs together like that is an *estate*; it is claimed and let go as a whole.

All workers plan by themselves, from the same facts, and the store decides between them. A plan is made of what each worker can
see, so it may rest on what was true a moment ago; whatever comes of that, a holding has one holder.
"""

import hashlib
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pikarelay.jobs.secret import Secret


class Seat(NamedTuple):
    """A Discord session that is used on a channel, by their names as holdings."""

    session: str
    channel: str


def channel_name(channel: str) -> str:
    """Return a channel's name as a holding."""
    return f"channel {channel}"


def session_name(token: Secret) -> str:
    """Return the name, as a holding, of a token's session. The token cannot be read from it."""
    return session_name_of(token.digest)


def session_name_of(digest: bytes) -> str:
    """The same, of a token's SHA-256."""
    return f"session {digest.hex()}"


class Estate(NamedTuple):
    """The names of the holdings that hang together, in order."""

    names: tuple[str, ...]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a name, and for the how manieth time it changed hands."""

    #: A worker. None when nobody holds it.
    owner: str | None
    epoch: int


class _Everything:
    """What has every name in it."""

    def __contains__(self, _name: object) -> bool:
        return True


#: The names of all that there is, and will be.
EVERYTHING: Container[str] = _Everything()


class Plan(NamedTuple):
    """What a worker should do next."""

    claim: tuple[Estate, ...] = ()
    #: Names to let go.
    release: tuple[str, ...] = ()


def estates_of(seats: Iterable[Seat]) -> tuple[Estate, ...]:
    """Return what hangs together, ordered by its first name."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for session, channel in seats:
        one, other = sorted((root(session), root(channel)))
        parent[other] = one
    members: dict[str, list[str]] = {}
    for name in parent:
        members.setdefault(root(name), []).append(name)
    return tuple(sorted(Estate(tuple(sorted(names))) for names in members.values()))


def plan(
    me: str,
    workers: Collection[str],
    estates: Sequence[Estate],
    holdings: Mapping[str, Holding],
    *,
    moved_at_once: int,
    kept: Collection[str] = (),
) -> Plan:
    """
    Say what `me` should claim and let go, `workers` being those that are alive, itself included.

    Everybody may have as many estates as if all had the same, rounded up. Who has more than somebody lacks lets
    `moved_at_once` go. What is used by nobody is let go, but for what is in `kept`. Where two workers hold parts of one estate,
    all but the holder of its first held name let go.
    """
    keepers = {estate: _keeper(estate, workers, holdings) for estate in estates}
    mine = [estate for estate in estates if keepers[estate] == me]
    free = [estate for estate in estates if keepers[estate] is None]
    counts = dict.fromkeys(workers, 0)
    for keeper in keepers.values():
        if keeper is not None:
            counts[keeper] += 1
    released = _strangers(me, estates, holdings, keepers, kept)
    surplus = _surplus(len(mine), counts, len(free))
    for estate in mine[len(mine) - min(surplus, moved_at_once) :] if surplus else []:
        released += [name for name in estate.names if _holder(name, workers, holdings) == me]
        mine.remove(estate)
    room = max(0, -(-len(estates) // max(1, len(workers))) - len(mine))
    # Each begins elsewhere, lest all reach for the same.
    start = int(hashlib.sha256(me.encode()).hexdigest(), 16) % len(free) if free else 0
    incomplete = [e for e in mine if not all(_holder(name, workers, holdings) == me for name in e.names)]
    taken = [] if surplus else (free[start:] + free[:start])[:room]
    return Plan(claim=(*incomplete, *taken), release=tuple(released))


def _holder(name: str, workers: Collection[str], holdings: Mapping[str, Holding]) -> str | None:
    """Return the worker that holds it, if that is alive."""
    holding = holdings.get(name)
    return holding.owner if holding is not None and holding.owner in workers else None


def _keeper(estate: Estate, workers: Collection[str], holdings: Mapping[str, Holding]) -> str | None:
    holders = (_holder(name, workers, holdings) for name in estate.names)
    return next((holder for holder in holders if holder is not None), None)


def _strangers(
    me: str,
    estates: Sequence[Estate],
    holdings: Mapping[str, Holding],
    keepers: Mapping[Estate, str | None],
    kept: Collection[str],
) -> list[str]:
    """Return what I hold of estates that are kept by others, and what is used by nobody any more."""
    used = {**dict.fromkeys(kept, me), **{n: keepers[estate] for estate in estates for n in estate.names}}
    return sorted(name for name, holding in holdings.items() if holding.owner == me and used.get(name) != me)


def _surplus(mine: int, counts: Mapping[str, int], free: int) -> int:
    """Return how many estates I have that another lacks. None as long as there are free ones to be had instead."""
    if free or len(counts) < 2:
        return 0
    least, rest = divmod(sum(counts.values()), len(counts))
    most = least + bool(rest)
    lacking = sum(max(0, least - count) for count in counts.values())
    # Where there are fewer than workers nobody lacks one, and still nobody is to have two.
    return max(0, mine - most, min(mine - least, lacking))
