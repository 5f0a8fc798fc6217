"""The loops that tests of sockets run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
#: Both that the server may run on: their transports differ.
BOTH: Mapping[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run tests of connections on each loop, all others on one."""
    return BOTH if item.path.name == "test_front_door.py" else {"asyncio": asyncio.new_event_loop}
