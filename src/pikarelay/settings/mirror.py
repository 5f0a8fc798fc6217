"""What can be set about the mirror."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pikarelay.jobs.secret import Secret
from pikarelay.settings.values import (
    a_number,
    a_path,
    a_secret,
    a_switch,
    a_text,
    a_url,
    about,
)


@dataclass(frozen=True)
class Bucket:
    """A bucket that speaks S3, and what keys in it begin with."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


#: What all that speak S3 take for a bucket's name.
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: Without steps up: `..` would be another place to some, and is no name to anybody.
_PREFIX = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


def a_folder_or_bucket(value: Any) -> Path | Bucket:
    text = a_text(value)
    if not text.startswith("s3://"):
        if "://" in text or not text:
            raise ValueError("must be a folder's path, or a bucket like s3://name/prefix")
        return Path(text)
    name, _, prefix = text.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET_NAME.fullmatch(name) or not (prefix == "" or _PREFIX.fullmatch(prefix)):
        raise ValueError("must be a bucket like s3://name/prefix, in plain letters and digits")
    return Bucket(name, prefix)


def an_origin(value: Any) -> str:
    url = str(a_url("https", "http")(value))
    parts = urlsplit(url)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be a URL of nothing but a scheme, a host and a port")
    return url


@dataclass(frozen=True, kw_only=True)
class MirrorSettings:
    """Where copies of results are kept, so that their links last."""

    target: Path | Bucket | None = field(
        default=None,
        metadata=about(
            a_folder_or_bucket,
            "Where results are copied to, a folder or s3://bucket/prefix; by default nowhere.",
        ),
    )
    public_url: str | None = field(
        default=None,
        metadata=about(
            a_url("https", "http"),
            "Where whoever downloads a result reaches this server: links to copies begin so.",
        ),
    )
    remove_with_jobs: bool = field(
        default=True,
        metadata=about(
            a_switch, "Whether a copy is removed with its job; else it stays, and its link with it."
        ),
    )
    max_file_mib: float = field(
        default=512.0,
        metadata=about(
            a_number(0.001, 5 * 1024),
            "How large a result may be to be copied, in MiB; a larger one stays at Discord.",
        ),
    )
    total_seconds: float = field(
        default=600.0,
        metadata=about(
            a_number(1, 12 * 3600),
            "How long one try to copy a result may take from beginning to end, in seconds.",
        ),
    )
    s3_endpoint: str | None = field(
        default=None,
        metadata=about(an_origin, "Where the bucket's S3 answers; by default Amazon's of the region."),
    )
    s3_region: str = field(default="us-east-1", metadata=about(a_text, "The bucket's region."))
    s3_path_style: bool = field(
        default=True,
        metadata=about(
            a_switch,
            "Whether the bucket's name stands in the path of its URLs; else it begins the host's name.",
        ),
    )
    s3_access_key_id: str | None = field(
        default=None,
        metadata=about(a_text, "The id of the key that may write, read and delete in the bucket."),
    )
    s3_secret_access_key: Secret | None = field(default=None, metadata=about(a_secret, "That key's secret."))
    s3_secret_access_key_file: Path | None = field(
        default=None, metadata=about(a_path, "A file that holds that key's secret.")
    )
    s3_public_url: str | None = field(
        default=None,
        metadata=about(
            a_url("https", "http"),
            "Where everybody can read the bucket, if they can; by default they get links signed for an hour.",
        ),
    )

    @property
    def max_bytes(self) -> int:
        return int(self.max_file_mib * 1024 * 1024)


def contradictions_of_mirror(mirror: MirrorSettings) -> Iterator[str]:
    secret, file = mirror.s3_secret_access_key, mirror.s3_secret_access_key_file
    if mirror.target is not None and mirror.public_url is None:
        yield "mirror.target is set without mirror.public_url, which links to copies begin with"
    if secret is not None and file is not None:
        yield "mirror.s3_secret_access_key and mirror.s3_secret_access_key_file are both set: keep the one that holds it"
    if isinstance(mirror.target, Bucket):
        if mirror.s3_access_key_id is None:
            yield "mirror.target is a bucket, which needs mirror.s3_access_key_id"
        if secret is None and file is None:
            yield "mirror.target is a bucket, which needs mirror.s3_secret_access_key or mirror.s3_secret_access_key_file"
