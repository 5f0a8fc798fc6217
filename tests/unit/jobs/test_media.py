"""What a file is, told by its first bytes."""

import pytest

from pikarelay.jobs.media import UNKNOWN, extension_of, is_shown, media_type_of
from tests.factories import a_file


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "video/mp4"),
        (b"\x00\x00\x00\x1cftypmp42", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ", "video/quicktime"),
        (
            b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
            "video/webm",
        ),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_known_types(head: bytes, media_type: str) -> None:
    """A video or a picture is known by how it begins, and may be shown."""
    assert media_type == media_type_of(head)
    assert is_shown(media_type)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska",
        b"\x00\x00\x00\x1cftypavif",
        b"\x00\x00\x00\x1cftypheic",
        b"\x00\x00\x00\x1cftyp"[:7],
    ],
)
def test_everything_else_is_bytes(head: bytes) -> None:
    """What is no known video or picture has a type that no browser shows."""
    assert UNKNOWN == media_type_of(head)
    assert not is_shown(UNKNOWN)


@pytest.mark.parametrize(
    ("filename", "content_type", "extension"),
    [
        ("pika.mp4", None, "mp4"),
        ("Pika.MOV", "video/mp4", "mov"),
        ("video", "video/mp4", "mp4"),
        ("video", "Video/WebM; codecs=vp9", "webm"),
        ("a.b.jpeg", None, "jpeg"),
        ("page.html", "text/html", "bin"),
        ("page.html", "video/mp4", "mp4"),
        ("x.mp4/../../y", None, "bin"),
        ("", None, "bin"),
    ],
)
def test_extension(filename: str, content_type: str | None, extension: str) -> None:
    """A link ends in the file's own extension if that is one of a video or picture, in its type's otherwise."""
    assert extension == extension_of(a_file(filename=filename, content_type=content_type))
