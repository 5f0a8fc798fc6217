"""
Real videos from a prompt and a seed: H.264 in yuv420p, MP4 with its index in front, playable anywhere.

Each shows the prompt and the seed, and a disc whose colour, size and path come from the seed, so that two runs of
one prompt differ to the eye. All functions here take processor time and belong in a thread.
"""

import colorsys
import json
import struct
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from random import Random

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

#: Enough for a moving disc, and half the cost of 24.
FRAMES_PER_SECOND = 12
CONTENT_TYPE = "video/mp4"


@dataclass(frozen=True, slots=True)
class Film:
    """Size and length of a video."""

    width: int
    height: int
    #: In seconds.
    length: float
    frames_per_second: int = FRAMES_PER_SECOND

    @property
    def frames(self) -> int:
        return max(1, round(self.length * self.frames_per_second))


#: The smallest film that every player still takes for one.
TINY = Film(64, 36, length=1.0, frames_per_second=4)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a video shows."""

    prompt: str
    seed: int
    #: An encoded picture for the background; empty for none.
    picture: bytes = b""


def shrink(data: bytes, film: Film) -> bytes:
    """Return the picture `data` at the size of `film`, encoded small; empty when it is not a picture."""
    try:
        with Image.open(BytesIO(data)) as picture:
            fitted = ImageOps.fit(picture.convert("RGB"), (film.width, film.height))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # What Pillow raises for bytes that are no picture, or a broken one, differs from format to format.
        return b""
    small = BytesIO()
    fitted.save(small, "JPEG", quality=70)
    return small.getvalue()


def render(scene: Scene, film: Film) -> bytes:
    """Return the MP4 of `scene`."""
    # The index can only be moved to the front in a file that can be opened twice.
    with tempfile.TemporaryDirectory(prefix="pika-") as directory:
        path = Path(directory, "video.mp4")
        _encode(path, scene, film)
        return path.read_bytes()


def stamp(scene: Scene) -> bytes:
    """
    Return a real, tiny MP4 that differs from all others by its bytes alone.

    The pictures are encoded once per process. A `free` box, which ISO/IEC 14496-12 tells players to skip, holds
    prompt and seed; it follows the media data, so the index stays in front and its offsets stay true.
    """
    name = json.dumps({"prompt": scene.prompt, "seed": scene.seed}).encode()
    return _blank() + struct.pack(">I4s", 8 + len(name), b"free") + name


@lru_cache(maxsize=1)
def _blank() -> bytes:
    return render(Scene("", 0), TINY)


def _encode(path: Path, scene: Scene, film: Film) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["title"] = scene.prompt[:100]
        container.metadata["comment"] = f"seed {scene.seed}"
        stream = container.add_stream(
            "libx264", rate=film.frames_per_second, options={"preset": "ultrafast", "crf": "28"}
        )
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        # The bot already renders side by side; more threads here would only fight each other.
        stream.thread_count = 1
        for picture in _pictures(scene, film):
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))


def _pictures(scene: Scene, film: Film) -> Iterator[Image.Image]:
    # Chance that makes pictures, not secrets.
    chance = Random(scene.seed)  # noqa: S311
    hue = chance.random()
    background = _background(scene, film, hue)
    colour = _colour((hue + 0.5) % 1, 1.0)
    radius = round(film.height * chance.uniform(0.06, 0.14))
    start = chance.random(), chance.random()
    speed = chance.uniform(0.3, 1.2), chance.uniform(0.3, 1.2)
    for number in range(film.frames):
        time = number / film.frames_per_second
        x = _bounced(start[0] + speed[0] * time) * film.width
        y = _bounced(start[1] + speed[1] * time) * film.height
        picture = background.copy()
        ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        yield picture


def _background(scene: Scene, film: Film, hue: float) -> Image.Image:
    picture = Image.new("RGB", (film.width, film.height), _colour(hue, 0.35))
    if scene.picture:
        with Image.open(BytesIO(scene.picture)) as given:
            picture.paste(given.convert("RGB").resize(picture.size))
    size = max(8, film.height // 16)
    lines = [*textwrap.wrap(scene.prompt, width=48, max_lines=5, placeholder=" …"), f"seed {scene.seed}"]
    ImageDraw.Draw(picture).multiline_text(
        (size, size),
        "\n".join(lines),
        font=_font(size),
        fill="white",
        stroke_width=size // 12,
        stroke_fill="black",
    )
    return picture


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _bounced(way: float) -> float:
    """Return where a ball is that has gone `way` along a lane from 0 to 1 with walls at both ends."""
    return 1 - abs(way % 2 - 1)


def _colour(hue: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
    return round(red * 255), round(green * 255), round(blue * 255)
