import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.discord.wire.inflate import Inflater
from pikarelay.discord.wire.payloads import WireError


def deflated(*messages: bytes) -> list[bytes]:
    stream = zlib.compressobj()
    return [stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH) for message in messages]


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), st.integers(1, 40))
def test_messages_survive_any_framing(messages: list[bytes], size: int) -> None:
    """However a server cuts its messages into frames, each comes out whole, at its last frame."""
    inflater = Inflater()
    came = []
    for frame in deflated(*messages):
        for start in range(0, len(frame), size):
            piece = inflater.feed(frame[start : start + size])
            if piece is not None:
                came.append(piece)

    assert b"".join(messages) == b"".join(came)


def test_one_stream_for_all_messages() -> None:
    """Later messages refer to earlier ones, so they are shorter and still come out."""
    first, second = deflated(b"the same words " * 20, b"the same words " * 20)
    inflater = Inflater()
    inflater.feed(first)

    assert len(second) < len(first)
    assert inflater.feed(second) == b"the same words " * 20


def test_a_bomb_is_not_inflated() -> None:
    """A message beyond the largest size is refused before it fills the memory."""
    (bomb,) = deflated(bytes(100_000))

    with pytest.raises(WireError, match="too large"):
        Inflater(largest=10_000).feed(bomb)


def test_an_endless_message_is_not_collected() -> None:
    """Frames that never end a message are refused at the largest size."""
    inflater = Inflater(largest=1000)
    inflater.feed(b"x" * 900)

    with pytest.raises(WireError, match="too large"):
        inflater.feed(b"x" * 900)


def test_garbage() -> None:
    """What is not zlib is said to be that, and nothing else."""
    with pytest.raises(WireError, match="not a zlib stream"):
        Inflater().feed(b"hello\x00\x00\xff\xff")
