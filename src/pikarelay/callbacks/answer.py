"""
The answer to a callback, as far as the HTTP client leaves it unbounded.

A server may send interim answers (`100 Continue`, `103 Early Hints`) before the real one, and HTTP does not say how many.
aiohttp takes them as fast as they come, without ever letting go of the event loop: twenty receivers that sent nothing else
held it for seconds, and cost sixty mebibytes.
"""

from typing import Any

import aiohttp

#: No honest server sends more than one or two.
MOST_INTERIM = 16


class BoundedAnswer(aiohttp.ClientResponse):
    """An answer with few interim ones before it; others are a broken connection."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        read, left = protocol.read, 1 + MOST_INTERIM

        async def read_one() -> Any:
            nonlocal left
            if left == 0:
                raise aiohttp.ServerDisconnectedError("too many interim answers")
            left -= 1
            return await read()

        # The one place that each of them passes. The connection is this answer's own, and closed after it.
        protocol.read = read_one
        return await super().start(connection)
