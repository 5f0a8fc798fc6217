"""Sessions are handed from one process to the next."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

from pikarelay.jobs.ownership import EVERYTHING
from pikarelay.services.ports import KeptSession
from pikarelay.workers.session_keeper import SessionKeeper
from tests.fakes.relay import FakeRelay

A = KeptSession(user_id="1", session_id="a", sequence=1, resume_url="wss://x.example")
B = KeptSession(user_id="1", session_id="a", sequence=2, resume_url="wss://x.example")


class FakeSessions:
    """`Sessions` that are as a test says."""

    def __init__(self) -> None:
        self.now: dict[bytes, KeptSession] = {}
        self.resumed: list[dict[bytes, KeptSession]] = []

    def sessions(self) -> Mapping[bytes, KeptSession]:
        return self.now

    def lives(self) -> int:
        return len({kept.session_id for kept in self.now.values()})

    def resume(self, sessions: Mapping[bytes, KeptSession]) -> None:
        self.resumed.append(dict(sessions))

    def drop(self, digests: Collection[bytes]) -> None:
        self.now = {digest: kept for digest, kept in self.now.items() if digest not in digests}


async def test_a_new_session_is_kept_at_once(relay: FakeRelay) -> None:
    """A session that has just begun is kept within half a second; that one goes on, within five."""
    sessions = FakeSessions()
    keeper = SessionKeeper(relay.store, sessions, relay.clock)
    await keeper.start()
    await keeper.take_up(EVERYTHING)
    sessions.now = {b"d": A}
    await relay.clock.advance(timedelta(seconds=0.5))
    assert {b"d": A} == relay.store.sessions

    sessions.now = {b"d": B}
    await relay.clock.advance(timedelta(seconds=4))
    assert {b"d": A} == relay.store.sessions
    await relay.clock.advance(timedelta(seconds=2))
    await keeper.stop()

    assert {b"d": B} == relay.store.sessions


async def test_ends_while_the_store_is_away(relay: FakeRelay) -> None:
    """A server that cannot keep how far its sessions have come stops all the same, and what was kept last is gone on with."""
    sessions = FakeSessions()
    keeper = SessionKeeper(relay.store, sessions, relay.clock)
    await keeper.start()
    sessions.now = {b"d": A}
    await relay.clock.advance(timedelta(seconds=1))
    sessions.now = {b"d": B}
    relay.store.unavailable.add("keep_sessions")
    await keeper.stop()

    assert {b"d": A} == relay.store.sessions


async def test_handed_on(relay: FakeRelay) -> None:
    """What was kept is gone on with at the start; changes are kept within seconds, and the last at the end."""
    relay.store.sessions = {b"d": A}
    sessions = FakeSessions()
    keeper = SessionKeeper(relay.store, sessions, relay.clock)
    await keeper.start()
    await keeper.take_up(EVERYTHING)
    assert [{b"d": A}] == sessions.resumed
    sessions.now = {b"d": B}
    await relay.clock.advance(timedelta(seconds=5))
    assert {b"d": B} == relay.store.sessions
    sessions.now = {b"e": A}
    await keeper.stop()

    assert {b"e": A} == relay.store.sessions


async def test_written_in_the_order_of_looks(relay: FakeRelay) -> None:
    """A look at a moment in which a session is being closed does not have it forgotten after its last state was kept."""
    sessions = FakeSessions()
    keeper = SessionKeeper(relay.store, sessions, relay.clock)
    await keeper.take_up(EVERYTHING)
    sessions.now = {b"d": A}
    await keeper._keep()
    sessions.now = {}
    looking = asyncio.create_task(keeper._keep())
    await asyncio.sleep(0)
    sessions.now = {b"d": A}
    await keeper.let_go(EVERYTHING)
    await looking

    assert {b"d": A} == relay.store.sessions
