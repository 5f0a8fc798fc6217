"""The dispatcher with a real database and real sockets: receivers that hold their connection delay nobody else."""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pikarelay.callbacks.addresses import AddressPolicy, parse_exceptions
from pikarelay.callbacks.sender import HttpCallbackSender
from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.outbound import open_callback_session
from pikarelay.services.answers import LocalAnswers
from pikarelay.services.board import Board
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.record_event import EventRecorder
from pikarelay.store.migrations import migrate, sqlite_url
from pikarelay.store.root_key import KeySource, load_root_key
from pikarelay.store.sqlite import SqliteStore
from pikarelay.system import SystemClock, SystemIds
from pikarelay.workers.callback_dispatcher import CallbackDispatcher
from tests.callbacks.lookups import answers
from tests.factories import a_caller, a_press, a_running_job

DEAD = 100
HEALTHY = 200


async def test_a_hundred_dead_targets(tmp_path: Path, open_receiver: Any) -> None:
    """
    While a hundred targets hold a connection each, for up to a minute, 99 of 100 healthy callbacks come within two seconds.

    No target is ever connected to more than once at a time.
    """
    done = asyncio.Event()

    held = asyncio.Semaphore(0)

    async def hold(_: asyncio.StreamWriter) -> None:
        held.release()
        await done.wait()

    dead = [await open_receiver(hold) for _ in range(DEAD)]
    came: asyncio.Queue[float] = asyncio.Queue()

    async def take(writer: asyncio.StreamWriter) -> None:
        came.put_nowait(time.perf_counter())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    healthy = await open_receiver(take)
    clock, board = SystemClock(), Board()
    ids = SystemIds(clock.now)
    path = tmp_path / "a.db"
    migrate(sqlite_url(path))
    policy = AddressPolicy(exceptions=parse_exceptions(["127.0.0.0/8"]))
    async with (
        SqliteStore.open(path, root_key=load_root_key(KeySource(tmp_path))) as store,
        open_callback_session(policy, answers([]), user_agent="pikarelay/test") as session,
    ):
        recorder = EventRecorder(store, board, clock, ids)
        await store.add_caller(a_caller())

        async def end(url: str) -> None:
            job = a_running_job(ids.job_id(), reply_url=url, press=a_press(nonce=ids.nonce()))
            job = replace(job, created=datetime.now(UTC), updated=datetime.now(UTC))
            await store.admit(job.caller_id, [job.channel], lambda _: job)
            await recorder.record(job.job_id, Cancelled())

        delivery = CallbackDelivery(
            store,
            HttpCallbackSender(session, clock),
            LocalAnswers(store, board, clock),
            board.tally,
            clock,
            SCHEDULE,
            random.random,
        )
        dispatcher = CallbackDispatcher(store, delivery, board, clock)
        await dispatcher.start()
        for receiver in dead:
            for _ in range(3):
                await end(receiver.url())
        for _ in range(DEAD):
            await held.acquire()
        took = []
        for _ in range(HEALTHY):
            began = time.perf_counter()
            await end(healthy.url())
            took.append(await came.get() - began)
        at_once = [receiver.connections for receiver in dead]
        done.set()
        await dispatcher.stop()

    assert [1] * DEAD == at_once
    assert timedelta(seconds=2) > timedelta(seconds=sorted(took)[HEALTHY * 99 // 100])
