"""Who works for what, as all nodes see it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from pikarelay.jobs.ownership import Holding, Seat


class Hold(NamedTuple):
    """A worker's hold on something: a fence, for it is good for one owner and one epoch."""

    owner: str
    epoch: int


class Holds(Protocol):
    """What this worker holds."""

    @property
    def worker_id(self) -> str:
        """As whose the store has it."""
        ...

    def hold(self, name: str) -> Hold | None:
        """Return the hold on `name`. None when it is not this worker's."""
        ...

    def is_kept(self, name: str) -> bool:
        """Whether `name` is this worker's, and is not about to be let go."""
        ...


class NotHeld(Exception):
    """What was to be changed is not, or no longer, this worker's."""


class Sign(StrEnum):
    """What is known of a worker beside its lease."""

    PRESENT = "present"
    #: Its connection is gone, which it may only have lost.
    MISSING = "missing"
    #: It has certainly ended.
    GONE = "gone"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was heard of."""

    worker_id: str
    #: Whether its lease has not run out.
    is_in_time: bool
    sign: Sign


class OwnershipStore(Protocol):
    """Leases of workers, and what they hold. All times are the database's."""

    async def beat(self, worker_id: str, lease: timedelta) -> None:
        """Renew the worker's lease."""
        ...

    async def members(self) -> tuple[Member, ...]:
        """Return all workers that were heard of lately."""
        ...

    async def retire(self, worker_id: str) -> None:
        """Forget the worker, and let go all it holds."""
        ...

    async def holdings(self) -> dict[str, Holding]: ...

    async def claim(
        self, estates: Sequence[Collection[str]], worker_id: str, over: Collection[str]
    ) -> Mapping[str, int]:
        """
        Take all names of each estate of which none is held by anybody but the worker itself and those in `over`.

        Returns the epoch of each name taken, which has grown; none of an estate where one was somebody else's. From now on
        every change that rests on an earlier epoch is refused.
        """
        ...

    async def release(self, worker_id: str, names: Sequence[str]) -> None:
        """Let go of those that the worker holds."""
        ...

    async def seats(self) -> tuple[Seat, ...]:
        """Return every use of a session on a channel: by an account, or by an unfinished job."""
        ...
