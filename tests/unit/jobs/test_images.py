"""What uploaded bytes are, and how many pixels they announce."""

import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pikarelay.errors import InvalidValue
from pikarelay.jobs.images import ImageFacts, ImageProbe


def probe(data: bytes, size: int = 65536) -> ImageFacts:
    found = ImageProbe()
    for start in range(0, len(data), size):
        found.feed(data[start : start + size])
    return found.finish()


def drawn(kind: str, width: int, height: int, **options: object) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(target, kind, **options)
    return target.getvalue()


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(9)
    )


FILES = {
    "png": (drawn("PNG", 33, 7), "image/png"),
    "gif": (drawn("GIF", 33, 7), "image/gif"),
    "jpeg": (drawn("JPEG", 33, 7), "image/jpeg"),
    "progressive jpeg": (drawn("JPEG", 33, 7, progressive=True), "image/jpeg"),
    "jpeg with large metadata": (
        drawn("JPEG", 33, 7, exif=b"Exif\x00\x00" + b"\xff\xc0" * 20000, icc_profile=b"x" * 150_000),
        "image/jpeg",
    ),
    "lossy webp": (drawn("WEBP", 33, 7), "image/webp"),
    "lossless webp": (drawn("WEBP", 33, 7, lossless=True), "image/webp"),
    "extended webp": (drawn("WEBP", 33, 7, exif=b"Exif\x00\x00abc"), "image/webp"),
}


@pytest.mark.parametrize(("data", "media_type"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_real_files_are_recognised(data: bytes, media_type: str, size: int) -> None:
    """Files as a library writes them are known by type and size, in whatever pieces they come."""
    assert ImageFacts(media_type, 33, 7) == probe(data, size)


def test_trailing_data_is_tolerated() -> None:
    """What follows the image is not looked at."""
    assert probe(drawn("PNG", 3, 4) + b"<html>").width == 3


def test_gif_that_is_also_html_is_a_gif() -> None:
    """A file of two natures is what its first bytes say."""
    assert probe(b"GIF89a\x21\x00\x21\x00<html><script>alert(1)</script></html>").media_type == "image/gif"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        drawn("JPEG", 33, 7)[:40],
        b"GIF89",
        b"<html><body>hello, I am a page</body></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"%PDF-1.7\n" + bytes(100),
        b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"BM" + bytes(100),
        b"RIFF\x00\x00\x00\x00WAVE" + bytes(100),
        b"RIFF\x00\x00\x00\x00WEBPVP9 " + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        png_header(0, 5),
        b"GIF89a" + bytes(100),
        b"\xff\xd8\xff\xda" + bytes(100),
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(100),
        b"\xff\xd8\xff\xe0\x00\x10" + bytes(100),
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    """Whatever is none of the four formats, or not enough of one, is no image."""
    with pytest.raises(InvalidValue, match=r"^image is not supported$"):
        probe(data)


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (9_000, 9_000), (16_385, 1), (1, 16_385), (2**31, 2**31)]
)
def test_announced_pixels_are_counted(width: int, height: int) -> None:
    """A small file that announces a large picture is refused by its header, and costs no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(InvalidValue, match=r"^image is too large \(pixels\)$"):
            probe(png_header(width, height))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize(("width", "height"), [(8_000, 5_000), (16_384, 2_441), (1, 16_384)])
def test_limits_are_inclusive(width: int, height: int) -> None:
    """Forty megapixels and 16,384 a side still pass."""
    assert (width, height) == (
        probe(png_header(width, height)).width,
        probe(png_header(width, height)).height,
    )


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP"])
)
def test_any_bytes_get_an_answer(noise: bytes, beginning: bytes) -> None:
    """Whatever comes, in whatever pieces, has the same verdict."""
    verdicts = set()
    for size in (1, 5, 1000):
        try:
            verdicts.add(str(probe(beginning + noise, size)))
        except InvalidValue as refusal:
            verdicts.add(refusal.message)

    assert len(verdicts) == 1
