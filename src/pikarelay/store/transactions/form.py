"""What a transaction is to whoever writes one."""

from collections.abc import Generator, Iterable, Sequence
from typing import Final, TypeVar

from pikarelay.services.ports import News
from pikarelay.store.rows import Params, Row

T = TypeVar("T")
Transaction = Generator[tuple[str, Params], Sequence[Row], T]

#: No statement: a runner tells it to all nodes, once the transaction is committed.
ANNOUNCE: Final = "announce"


def in_rows(one: str, many: str, params: Iterable[Params], at_once: int) -> Transaction[None]:
    """Insert rows by the statement `many`, which takes `at_once` of them; those that do not fill it, one by one."""
    some = list(params)
    whole = len(some) - len(some) % at_once
    for start in range(0, whole, at_once):
        yield (
            many,
            {f"{k}_{n}": v for n, its in enumerate(some[start : start + at_once]) for k, v in its.items()},
        )
    for its in some[whole:]:
        yield one, its


def announce(
    news: News, job_id: str = "", channel: str = "", *, leaves_work: bool = True
) -> tuple[str, Params]:
    """Return what a transaction yields to tell everybody. It is answered with no rows."""
    return ANNOUNCE, {"news": news, "job_id": job_id, "channel": channel, "leaves_work": leaves_work}
