"""What a transaction is to whoever writes one."""

from collections.abc import Generator, Sequence
from typing import TypeVar

from pikarelay.store.rows import Params, Row

T = TypeVar("T")
Transaction = Generator[tuple[str, Params], Sequence[Row], T]
