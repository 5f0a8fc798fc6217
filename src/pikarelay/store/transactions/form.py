"""What a transaction is to whoever writes one."""

from collections.abc import Generator, Sequence
from typing import Final, TypeVar

from pikarelay.services.ports import News
from pikarelay.store.rows import Params, Row

T = TypeVar("T")
Transaction = Generator[tuple[str, Params], Sequence[Row], T]

#: No statement: a runner tells it to all nodes, once the transaction is committed.
ANNOUNCE: Final = "announce"


def announce(news: News, job_id: str = "", channel: str = "") -> tuple[str, Params]:
    """Return what a transaction yields to tell everybody. It is answered with no rows."""
    return ANNOUNCE, {"news": news, "job_id": job_id, "channel": channel}
