from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.payloads import WireError, read_envelope, shape_of
from tests.unit.discord.wire import recorded


def test_d_stays_raw() -> None:
    """An envelope is read without looking into what it carries."""
    envelope = read_envelope(b'{"op":0,"s":3,"t":"TYPING_START","d":{"a":[1,2]}}')

    assert (envelope.op, envelope.s, envelope.t) == (0, 3, "TYPING_START")
    assert bytes(envelope.d) == b'{"a":[1,2]}'


def test_ready_is_read_for_its_ids() -> None:
    """Of READY only user, session, address and channels are kept."""
    ready = payloads.read("READY", recorded.raw("ready"), payloads.Ready)

    assert ready.user.id == "1170000000000000001"
    assert [channel.id for channel in ready.private_channels] == ["1180000000000000001"]


def test_an_error_shows_keys_and_types_only() -> None:
    """A payload that lacks something is described without a word of its content."""
    with pytest.raises(WireError) as caught:
        payloads.read("READY", b'{"user":{"id":"secret"},"token":"abc","list":[1,2]}', payloads.Ready)

    assert caught.value.shape == "{user: {id: str}, token: str, list: [int (2)]}"
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


@given(st.binary(max_size=200))
def test_garbage_raises_wire_error_only(garbage: bytes) -> None:
    """Whatever a frame holds, reading it succeeds or raises `WireError`."""
    with suppress(WireError):
        read_envelope(garbage)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.just("CONTENT"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "a b", "x"]), inner),
    max_leaves=20,
)


@given(json_values)
def test_a_shape_never_shows_a_value(value: object) -> None:
    """No text value, and no key that could be content, shows in a shape."""
    shape = shape_of(msgspec.json.encode(value))

    assert "CONTENT" not in shape
    assert "a b" not in shape
