"""How many frames a picture has."""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pikarelay.errors import InvalidValue
from pikarelay.jobs.frames import MAX_FRAMES, FrameCounter
from pikarelay.jobs.images import ImageProbe

TOO_MANY = r"^image is too large \(frames\)$"
MEDIA_TYPES = ["image/gif", "image/webp", "image/png", "image/jpeg"]


def moving(kind: str, frames: int) -> bytes:
    """A picture that a library made; no two frames in a row are alike, or it would leave one out."""
    colours = itertools.cycle(["teal", "black", "white"])
    first, *others = (Image.new("RGB", (4, 3), next(colours)) for _ in range(frames))
    target = io.BytesIO()
    options = {"save_all": True, "append_images": others} if others else {}
    first.save(target, kind, **options)
    return target.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def look(data: bytes, size: int = 65536) -> None:
    probe = ImageProbe()
    for piece in pieces(data, size):
        probe.feed(piece)
    probe.finish()


@pytest.mark.parametrize("size", [1, 7, 64, 65536])
@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_as_many_as_may_be(kind: str, size: int) -> None:
    """Five hundred frames are taken and one more is refused, in whatever pieces they come."""
    look(moving(kind, MAX_FRAMES), size)

    with pytest.raises(InvalidValue, match=TOO_MANY):
        look(moving(kind, MAX_FRAMES + 1), size)


def test_png_that_moves() -> None:
    """A PNG of several frames is refused, and one of a single frame taken."""
    look(moving("PNG", 1))

    with pytest.raises(InvalidValue, match=TOO_MANY):
        look(moving("PNG", 2))


def test_png_that_says_it_has_one_frame() -> None:
    """A PNG that could move and does not is taken."""
    still = moving("PNG", 1)
    control = b"acTL" + struct.pack(">II", 1, 0)
    chunk = struct.pack(">I", 8) + control + struct.pack(">I", zlib.crc32(control))
    look(still[:33] + chunk + still[33:])


def test_after_the_end() -> None:
    """What follows the end of the picture is not counted."""
    frame = b"\x2c" + bytes(8) + b"\x00\x02\x00"
    look(moving("GIF", 2) + frame * (MAX_FRAMES + 1))


def test_frames_of_nothing() -> None:
    """A GIF whose frames have no bytes of a picture has as many frames as one whose frames have."""
    head, frame = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0), b"\x2c" + bytes(8) + b"\x00\x02\x00"
    look(head + frame * MAX_FRAMES + b";" + bytes(32))

    with pytest.raises(InvalidValue, match=TOO_MANY):
        look(head + frame * (MAX_FRAMES + 1) + b";")


def test_little_is_kept() -> None:
    """Of a large picture no more is kept than its last piece, and nothing of what is passed over."""
    counter = FrameCounter("image/webp")
    counter.feed(b"RIFF\x00\x00\x00\x00WEBPVP8X" + struct.pack("<I", 1 << 30))
    for _ in range(100):
        counter.feed(bytes(65536))

    assert len(counter._buffer) <= 65536


@given(st.binary(max_size=400), st.sampled_from(MEDIA_TYPES), st.integers(1, 50))
def test_any_bytes_are_counted_alike(noise: bytes, media_type: str, size: int) -> None:
    """Whatever comes is counted, and in pieces as it is at once."""

    def verdict(size: int) -> tuple[int, str]:
        counter = FrameCounter(media_type)
        try:
            for piece in pieces(noise, size):
                counter.feed(piece)
        except InvalidValue as refusal:
            return counter._frames, refusal.message
        return counter._frames, ""

    assert verdict(400) == verdict(size)
