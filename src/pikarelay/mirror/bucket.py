"""
A bucket that speaks S3. The requests and signatures are aiohttp-s3-client's, the connections are ours: it is handed the
session to use, one that may reach this bucket's endpoint and nothing else, and credentials that it need not look for.

A file goes through as it comes from Discord, in one PUT: an object of S3 is there whole or not at all. Its body is not
part of the signature, which would have to be known before the first byte; TLS is what protects it.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp_s3_client import S3Client
from aiohttp_s3_client.credentials import StaticCredentials

from pikarelay.jobs.media import is_shown
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import CopyFailed, Download

#: How long a link to an object can be followed. A new one is made for everybody who comes.
LINK_SECONDS = 3600
#: For requests without a body. A PUT takes as long as its file, and whoever makes it sets a time.
_SHORTLY = aiohttp.ClientTimeout(total=30)
#: The most that is read of an answer that says no, in bytes.
_LARGEST_REFUSAL = 4096
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
#: Refusals that say that the key is good, and may not list.
_KNOWN_KEY = frozenset({"AccessDenied", "NoSuchKey"})


class BucketPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bucket is, and who we are there."""

    bucket: str
    #: What keys begin with; empty or without a slash at either end.
    prefix: str
    #: A URL of scheme, host and port.
    endpoint: str
    region: str
    #: Whether the bucket is the first part of the path rather than of the host's name.
    is_path_style: bool
    access_key_id: str
    secret_access_key: Secret
    #: Where everybody may read the bucket's objects by their keys. None when they may not.
    public_url: str | None = None

    @property
    def url(self) -> str:
        """Where the bucket answers."""
        if self.is_path_style:
            return f"{self.endpoint}/{self.bucket}"
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"


class BucketMirror:
    """A `Mirror` in a bucket. The session must reach the place's URL; the caller closes it."""

    def __init__(self, place: BucketPlace, session: aiohttp.ClientSession) -> None:
        self._place = place
        credentials = StaticCredentials(
            access_key_id=place.access_key_id,
            secret_access_key=place.secret_access_key.reveal(),
            region=place.region,
        )
        self._client = S3Client(session, place.url, credentials=credentials)

    @property
    def name(self) -> str:
        return f"s3:{self._place.url}/{self._place.prefix}".rstrip("/")

    async def put(self, name: str, download: Download) -> None:
        media_type = download.media_type
        shown = "inline" if is_shown(media_type) else "attachment"
        headers = {"Content-Type": media_type, "Content-Disposition": f'{shown}; filename="{name}"'}
        try:
            async with self._client.put(
                self._key(name),
                download.chunks,
                data_length=download.size,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                await _check(answer, {200})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # What went wrong may be what the body was read from.
            if isinstance(error.__cause__, CopyFailed):
                raise error.__cause__ from None
            raise _unreachable(error) from None

    async def find(self, name: str, *, method: str) -> str:
        """Return a link without asking whether there is anything behind it."""
        if self._place.public_url is not None:
            return f"{self._place.public_url}/{quote(self._key(name))}"
        return str(self._client.presign_url(method, self._key(name), expires=LINK_SECONDS))

    async def remove(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                async with self._client.delete(
                    self._key(name), allow_redirects=False, timeout=_SHORTLY
                ) as answer:
                    await _check(answer, {200, 204, 404})
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _unreachable(error) from None

    async def tidy(self) -> None:
        """Do nothing: a PUT that broke off leaves no object."""

    async def problem(self) -> str | None:
        """Return in a sentence why no copy can be kept here, as far as reading tells; None when all is well."""
        try:
            async with self._client.get(
                self._key("check.bin"), allow_redirects=False, timeout=_SHORTLY
            ) as answer:
                code = None if answer.status == 200 else await _code(answer)
                if code in _KNOWN_KEY or (answer.status in {200, 404} and code != "NoSuchBucket"):
                    return None
                return str(_refused(answer.status, code))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(_unreachable(error))

    def _key(self, name: str) -> str:
        return f"{self._place.prefix}/{name}".lstrip("/")


async def _check(answer: aiohttp.ClientResponse, good: set[int]) -> None:
    if answer.status not in good:
        raise _refused(answer.status, await _code(answer))


async def _code(answer: aiohttp.ClientResponse) -> str | None:
    """Return S3's word for what is wrong. Its other words may quote what was sent."""
    found = _CODE.search(await answer.content.read(_LARGEST_REFUSAL))
    return found[1].decode() if found else None


def _refused(status: int, code: str | None) -> CopyFailed:
    return CopyFailed(f"The bucket answered HTTP status {status}{f' ({code})' if code else ''}.")


def _unreachable(error: BaseException) -> CopyFailed:
    return CopyFailed(f"The bucket did not answer ({type(error).__name__}).")
