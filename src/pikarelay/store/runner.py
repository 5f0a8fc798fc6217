"""What runs transactions: the one part of a store that knows an engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, Protocol, TypeVar

from pikarelay.services.ports import Hear, Sign
from pikarelay.store.transactions import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Runner(Protocol):
    """
    Runs transactions on one engine. Raises `Unavailable` when the engine cannot do its work now.

    It is given what makes a transaction and its arguments, for it may have to begin one anew: nothing that a transaction
    calls may have an effect of its own.
    """

    async def write(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it alone or as if alone, and return once it is on the disk."""
        ...

    async def write_soon(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for whoever is waited for: raises `Unavailable` when it has not begun soon, and then it never does."""
        ...

    async def write_alone(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for one of a single statement, which may be run twice without harm."""
        ...

    async def read(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it on what is committed, each of its statements on what is committed by then."""
        ...

    async def snapshot(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, with all of its statements on one state."""
        ...

    def subscribe(self, hear: Hear) -> None:
        """As `Announcer`."""
        ...

    async def be_present(self, worker_id: str) -> int | None:
        """Give the sign by which other nodes see that this one lives; return since when, if that is to be written down."""
        ...

    async def signs(self, workers: Sequence[str]) -> Mapping[str, Sign]:
        """Return what is known of these workers beside their leases."""
        ...
