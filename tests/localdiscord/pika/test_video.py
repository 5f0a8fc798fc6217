"""The videos, judged by decoding them."""

from io import BytesIO

import av
import pytest
from PIL import Image, ImageChops

from localdiscord.apps.pika.video import TINY, Film, Scene, render, shrink, stamp

FULL = Film(1024, 576, length=1.5)


def decoded(data: bytes) -> list[Image.Image]:
    with av.open(BytesIO(data)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def spread(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures' pixels, from 0 to 255."""
    values = ImageChops.difference(one, other).convert("L").tobytes()
    return sum(values) / len(values)


def test_full_video() -> None:
    """A full video is H.264 in yuv420p with every frame of its length, the index in front."""
    data = render(Scene("waves on a beach", 1), FULL)

    with av.open(BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (1024, 576)
        assert pytest.approx(1.5, abs=0.01) == container.duration / av.time_base
        assert container.metadata["comment"] == "seed 1"
    assert len(decoded(data)) == 18
    assert data.index(b"moov") < data.index(b"mdat")


def test_it_moves() -> None:
    """The first and the last frame differ."""
    frames = decoded(render(Scene("waves", 1), FULL))

    assert frames[0].size == (1024, 576)
    assert ImageChops.difference(frames[0], frames[-1]).getbbox() is not None


def test_two_seeds_differ_to_the_eye() -> None:
    """Two runs of one prompt look different at once."""
    first, second = (decoded(render(Scene("waves", seed), FULL)) for seed in (1, 2))

    assert spread(first[0], second[0]) > 10


def test_one_seed_repeats() -> None:
    """The same scene renders to the same bytes."""
    assert render(Scene("waves", 5), TINY) == render(Scene("waves", 5), TINY)


def test_the_prompt_shows() -> None:
    """Two prompts of one seed differ where the text stands, and only there."""
    first, second = (decoded(render(Scene(prompt, 1), FULL))[0] for prompt in ("waves", "dunes in the sun"))
    # Compression leaves faint differences elsewhere.
    differs = ImageChops.difference(first, second).convert("L").point(lambda value: 255 * (value > 60))
    box = differs.getbbox()

    assert box is not None
    assert box[3] < 576 // 4


def test_the_picture_shows() -> None:
    """An uploaded picture becomes the background."""
    red = BytesIO()
    Image.new("RGB", (50, 90), (220, 10, 10)).save(red, "PNG")
    frames = decoded(render(Scene("", 3, shrink(red.getvalue(), FULL)), FULL))
    corner = frames[0].getpixel((1020, 570))

    assert isinstance(corner, tuple)
    assert corner[0] > 180
    assert max(corner[1:]) < 60


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_no_picture(data: bytes) -> None:
    """Bytes that are no picture shrink to nothing."""
    assert shrink(data, TINY) == b""


def test_stamped_videos() -> None:
    """Stamped videos differ in their bytes, share their pictures, and play."""
    first, second = stamp(Scene("waves", 1)), stamp(Scene("waves", 2))

    assert first != second
    assert decoded(first) == decoded(second)
    assert len(decoded(first)) == 4
