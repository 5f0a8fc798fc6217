"""What those who work on holdings have in common."""

from collections.abc import Container
from typing import Protocol


class Tenant(Protocol):
    """Who works on what is held."""

    async def take_up(self, names: Container[str]) -> None:
        """Begin to work on these, which are this worker's by now."""
        ...

    async def let_go(self, names: Container[str]) -> None:
        """Stop to work on these. They are still held, unless they were lost."""
        ...
