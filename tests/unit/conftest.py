"""A relay on fakes, for the tests of services and workers."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.relay import FakeRelay, fake_relay


@pytest.fixture
async def relay() -> AsyncIterator[FakeRelay]:
    async with fake_relay() as running:
        yield running
