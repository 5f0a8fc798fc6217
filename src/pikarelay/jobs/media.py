"""
What a result's file is, told by its first bytes.

Only what a browser may safely be given to show has a type here. The name and the type that came with a file mean nothing.
"""

from collections.abc import Mapping

from pikarelay.jobs.job import Attachment

#: As many bytes as it takes to tell.
HEAD = 64
#: What everything else is: bytes, to be saved and not shown.
UNKNOWN = "application/octet-stream"

_PICTURES: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
#: Files of MP4's form that are no videos, by their brand: AVIF, HEIF and sound.
_NO_VIDEOS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"M4A "})

_EXTENSIONS: Mapping[str, str] = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_KNOWN_EXTENSIONS = frozenset({*_EXTENSIONS.values(), "m4v", "jpeg"})


def media_type_of(head: bytes) -> str:
    """Return the type of a file that begins with these bytes, `HEAD` of them if there are as many."""
    for mark, its in _PICTURES.items():
        if head.startswith(mark):
            return its
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12])
    # Matroska says which of its kinds it is a little later.
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head:
        return "video/webm"
    return UNKNOWN


def _of_brand(brand: bytes) -> str:
    if brand in _NO_VIDEOS:
        return UNKNOWN
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def is_shown(media_type: str) -> bool:
    """Whether a browser may be told to show a file of this type."""
    return media_type in _EXTENSIONS


def extension_of(attachment: Attachment) -> str:
    """Return the extension for a link to the file, as far as it can be known before the file is: never one that is run."""
    given = attachment.filename.rpartition(".")[2].lower()
    if given in _KNOWN_EXTENSIONS:
        return given
    return _EXTENSIONS.get((attachment.content_type or "").partition(";")[0].strip().lower(), "bin")
