"""
Promises broken on purpose, to prove that the matrix would notice. Each is applied in the server's process from the outside.

None of this is reachable from the server: a child process of the harness replaces what it is told to before the
command line runs.
"""

import copy
import itertools
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.breaks import press_before_note


@dataclass(frozen=True)
class Sabotage:
    """What is broken, and the row that must turn red."""

    apply: Callable[[], None]
    row: str
    #: How much of the row's quick amount shows it.
    share: float
    #: What one of the row's violations must say: red for another reason is no proof.
    shows: str


def _commit_without_sync() -> None:
    import sqlite3
    from functools import partial

    class Unsynced(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *parameters)

    setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Unsynced))


def _callback_after_commit() -> None:
    """The job ends in one transaction, and its callback is stored in the next."""
    from pikarelay.services.ports import Change
    from pikarelay.store.sql import SqlStore

    change = SqlStore.change

    async def in_two(self: Any, job_id: str, decide: Any) -> Any:
        due: list[Any] = []

        def without_callback(job: Any) -> Any:
            decided = decide(job)
            if decided is not None and decided.callback is not None:
                due.append(decided.callback)
                return msgspec.structs.replace(decided, callback=None)
            return decided

        after = await change(self, job_id, without_callback)
        for callback in due:
            await change(self, job_id, lambda job, callback=callback: Change(job=job, callback=callback))  # type: ignore[misc]
        return after

    setattr(SqlStore, "change", in_two)


def _delivered_before_sent() -> None:
    """A callback is settled as delivered, and then sent."""
    from datetime import timedelta

    from pikarelay.services.deliver_callback import CallbackDelivery
    from pikarelay.services.ports import Delivery

    deliver = CallbackDelivery.deliver

    async def settled_first(self: Any, callback: Any, claim: Any) -> None:
        asked: list[Any] = []

        class Pretending:
            async def send(self, *what: Any) -> Delivery:
                asked.append(what)
                return Delivery(status=200, duration=timedelta())

        pretender = copy.copy(self)
        pretender._sender = Pretending()
        await deliver(pretender, callback, claim)
        for what in asked:
            await self._sender.send(*what)

    setattr(CallbackDelivery, "deliver", settled_first)


def _no_recovery() -> None:
    """What the last process left is not taken up."""
    from pikarelay.workers.gateway_listener import GatewayListener
    from pikarelay.workers.presser import Presser

    async def idle(_self: Any, _names: Any) -> None:
        return None

    setattr(GatewayListener, "take_up", idle)
    setattr(Presser, "take_up", idle)


def _no_intent() -> None:
    for where, attribute, broken in press_before_note():
        setattr(where, attribute, broken)


def _new_id_each_try() -> None:
    from pikarelay.callbacks.sender import HttpCallbackSender

    headers = HttpCallbackSender._headers

    def with_new_id(self: Any, *callback: Any) -> dict[str, str]:
        return {**headers(self, *callback), "webhook-id": f"cb_{secrets.token_hex(13)}"}

    setattr(HttpCallbackSender, "_headers", with_new_id)


def _no_fencing() -> None:
    """A try decides about its callback even when somebody else has claimed that since."""
    from pikarelay.store.transactions import callbacks

    finish = callbacks.finish_callback

    def unfenced(attempt: Any, *rest: Any) -> Any:
        transaction = finish(attempt, *rest)
        try:
            step = next(transaction)
            while True:
                rows = yield step
                if step[0] == "callback_to_finish" and rows:
                    # The newest try on record is always said to be this one.
                    rows = [(attempt.attempt, *rows[0][1:])]
                step = transaction.send(rows)
        except StopIteration as end:
            return end.value

    setattr(callbacks, "finish_callback", unfenced)


def _slot_freed_in_memory() -> None:
    """Places are counted up on the disk, and down in memory only."""
    from pikarelay.services.board import Board
    from pikarelay.store.sql import SqlStore

    admit, publish = SqlStore.admit, Board.publish
    freed: set[str] = set()
    count = itertools.count()

    def taken_file() -> Path:
        import sys

        return Path(sys.argv[sys.argv.index("--data-folder") + 1]) / "places.json"

    async def counting(self: Any, caller_id: str, channels: Any, decide: Any, *rest: Any, **more: Any) -> Any:
        path = taken_file()
        taken = json.loads(path.read_text()) if path.exists() else {}
        held = {
            channel: tuple(job for job, its in taken.items() if its == channel and job not in freed)
            for channel in channels
        }
        job = await admit(self, caller_id, channels, lambda _executing: decide(held), *rest, **more)
        taken = json.loads(path.read_text()) if path.exists() else {}
        part = path.with_suffix(f".{next(count)}")
        part.write_text(json.dumps({**taken, job.job_id: job.channel}))
        part.rename(path)
        return job

    def freeing(self: Any, job: Any) -> None:
        if job.is_final:
            freed.add(job.job_id)
        publish(self, job)

    setattr(SqlStore, "admit", counting)
    setattr(Board, "publish", freeing)


def _callback_before_answer() -> None:
    """A callback does not wait for its job's POST to be answered."""
    from pikarelay.services.board import Board

    async def at_once(_self: Any, _job_id: str) -> None:
        return None

    setattr(Board, "answered", at_once)


def _breaker_drops() -> None:
    """A callback whose try has failed is given up instead of waiting."""
    from pikarelay.services import deliver_callback
    from pikarelay.services.ports import CallbackOutcome

    outcome_of = deliver_callback.outcome_of

    def dropping(callback: Any, delivery: Any, *rest: Any) -> CallbackOutcome:
        outcome = outcome_of(callback, delivery, *rest)
        if delivery.error is None:
            return outcome
        return msgspec.structs.replace(outcome, retry_at=None, given_up=True)

    setattr(deliver_callback, "outcome_of", dropping)


def _first_address_only() -> None:
    """Of a name's addresses the first is judged, and the others are not looked at."""
    from pikarelay.callbacks.guard import GuardedLookup

    addresses = GuardedLookup.addresses

    async def careless(self: Any, *what: Any, **more: Any) -> Any:
        careful = copy.copy(self)

        async def first(name: str, family: int) -> Any:
            return (await self._lookup(name, family))[:1]

        careful._lookup = first
        return await addresses(careful, *what, **more)

    setattr(GuardedLookup, "addresses", careless)


def _keys_never_learned() -> None:
    """A server knows the data keys that it has found at its start, and no others."""
    from pikarelay.store.vault import Vault

    learn = Vault.learn

    def once(self: Any, data_keys: Any) -> None:
        if not self._ciphers:
            learn(self, data_keys)

    setattr(Vault, "learn", once)


def _rotations_left_alone() -> None:
    """A rotation that was begun and not finished is nobody's business."""
    from pikarelay.services.rotate_keys import KeyRotation

    async def nothing(self: Any) -> None:
        await self._keys.learn()

    setattr(KeyRotation, "catch_up", nothing)


def _room_without_end() -> None:
    """What unfinished requests hold in memory is counted, and has no end."""
    from pikarelay.api.room import Room

    def endless(self: Any, size: int) -> bool:
        self.taken += size
        return True

    setattr(Room, "move", endless)


SABOTAGES: dict[str, Sabotage] = {
    "commit_without_sync": Sabotage(_commit_without_sync, "C3", 0.2, "is lost"),
    "callback_after_commit": Sabotage(_callback_after_commit, "C1", 1.0, "I2 "),
    "delivered_before_sent": Sabotage(_delivered_before_sent, "C1", 1.0, "I2 "),
    "no_recovery": Sabotage(_no_recovery, "C2", 0.2, "failed although"),
    "no_intent": Sabotage(_no_intent, "C1", 1.0, "I5 "),
    "new_id_each_try": Sabotage(_new_id_each_try, "C2", 0.03, "I3 "),
    "no_fencing": Sabotage(_no_fencing, "C5", 1.0, "I4 "),
    "slot_freed_in_memory": Sabotage(_slot_freed_in_memory, "C2", 0.05, "acknowledged in a minute"),
    "breaker_drops": Sabotage(_breaker_drops, "C7", 0.1, "I2 "),
    "keys_never_learned": Sabotage(_keys_never_learned, "C13", 0.3, "a request failed"),
    "rotations_left_alone": Sabotage(_rotations_left_alone, "C13", 0.1, "not finished"),
    "room_without_end": Sabotage(_room_without_end, "C12", 0.5, "memory: the system killed"),
    "first_address_only": Sabotage(_first_address_only, "C11", 0.1, "class mixed answers"),
}
