"""Callbacks of jobs whose POST another process may still be answering."""

import asyncio
from datetime import datetime, timedelta

import pytest

from pikarelay.services.answers_elsewhere import ON_THE_WAY, OverlappingAnswers
from pikarelay.services.board import Board
from tests.factories import a_job, a_running_job
from tests.fakes.clock import START, settle
from tests.fakes.relay import ANSWER_WAIT, FakeRelay

AT_MOST = ANSWER_WAIT + ON_THE_WAY
SECOND = timedelta(seconds=1)


def waiting(relay: FakeRelay, board: Board, alone_since: datetime | None = None) -> "asyncio.Task[None]":
    answers = OverlappingAnswers(relay.store, board, relay.clock, ANSWER_WAIT, alone_since)
    return asyncio.ensure_future(answers.left("job-1"))


async def test_young_job_of_another_process(relay: FakeRelay) -> None:
    """A job that another process has admitted is called back when its POST must have been answered, and no sooner."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(SECOND)
    held = waiting(relay, relay.board)
    await relay.clock.advance(AT_MOST - 2 * SECOND)
    before = held.done()
    await relay.clock.advance(SECOND)

    assert not before
    assert held.done()


async def test_old_job_of_another_process(relay: FakeRelay) -> None:
    """A job that has been running for longer than any POST waits is called back at once."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(AT_MOST)
    held = waiting(relay, relay.board)
    await settle()

    assert held.done()


async def test_own_job(relay: FakeRelay) -> None:
    """A job of this process is known by its own POST, and time has no say in it."""
    relay.store.jobs["job-1"] = a_running_job()
    board = Board()
    with board.refusable(relay.job()):
        held = waiting(relay, board)
        await settle()
        before = held.done()
    board.close_answer("job-1")
    await settle()

    assert not before
    assert held.done()


@pytest.mark.parametrize(("younger_by", "is_done"), [(-SECOND, True), (timedelta(), False)])
async def test_job_of_a_dead_process(relay: FakeRelay, younger_by: timedelta, is_done: bool) -> None:
    """Where nobody else was there, only jobs that were made since may have an answer under way."""
    relay.store.jobs["job-1"] = a_running_job(created=START + younger_by)
    held = waiting(relay, relay.board, alone_since=START)
    await settle()

    assert is_done is held.done()
    held.cancel()


async def test_clock_that_is_ahead(relay: FakeRelay) -> None:
    """A job whose time lies ahead of ours, because clocks differ, waits for one whole wait at most."""
    relay.store.jobs["job-1"] = a_running_job(created=START + timedelta(hours=1))
    held = waiting(relay, relay.board)
    await relay.clock.advance(AT_MOST)

    assert held.done()


async def test_job_that_is_gone(relay: FakeRelay) -> None:
    """A callback whose job was removed waits for nobody."""
    held = waiting(relay, relay.board)
    await settle()

    assert held.done()


def test_board_forgets_in_time() -> None:
    """What this process has admitted is forgotten after ten minutes, as younger jobs come."""
    board = Board()
    for number in range(4):
        with board.refusable(a_job(f"job-{number}", created=START + number * timedelta(minutes=4))):
            pass

    assert [False, True, True, True] == [board.has_admitted(f"job-{number}") for number in range(4)]
