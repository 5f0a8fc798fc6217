"""Which mirror the settings mean: opened, with the sessions that it and its source need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from pikarelay.discord.client.transport import USER_AGENT
from pikarelay.jobs.secret import Secret
from pikarelay.mirror.folder import FolderMirror
from pikarelay.outbound import open_origin_session
from pikarelay.settings import DiscordSettings
from pikarelay.settings.mirror import Bucket, MirrorSettings

if TYPE_CHECKING:
    from pikarelay.mirror.bucket import BucketMirror, BucketPlace


@asynccontextmanager
async def open_mirror(settings: MirrorSettings) -> AsyncIterator["FolderMirror | BucketMirror | None"]:
    """Open the configured mirror, if there is one. Raises OSError when its folder or its secret's file cannot be used."""
    match settings.target:
        case None:
            yield None
        case Bucket():
            # Here, for few have a bucket, and its library takes a tenth of a second.
            from pikarelay.mirror.bucket import BucketMirror

            place = _bucket_place(settings, settings.target)
            async with open_origin_session([place.url], user_agent=USER_AGENT) as session:
                yield BucketMirror(place, session)
        case folder:
            yield FolderMirror(folder)


def _bucket_place(settings: MirrorSettings, bucket: Bucket) -> "BucketPlace":
    from pikarelay.mirror.bucket import BucketPlace

    secret, file = settings.s3_secret_access_key, settings.s3_secret_access_key_file
    if secret is None and file is not None:
        secret = Secret(file.read_text(encoding="utf-8").strip())
    return BucketPlace(
        bucket=bucket.name,
        prefix=bucket.prefix,
        endpoint=settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com",
        region=settings.s3_region,
        is_path_style=settings.s3_path_style,
        access_key_id=settings.s3_access_key_id or "",
        secret_access_key=secret or Secret(""),
        public_url=settings.s3_public_url,
    )


def cdn_session(settings: DiscordSettings) -> aiohttp.ClientSession:
    """Open the session that may read results: Discord's CDN; a local Discord's is where its API is."""
    origins = [settings.api_url]
    if settings.is_discord_itself:
        origins = ["https://cdn.discordapp.com", "https://media.discordapp.net"]
    return open_origin_session(origins, user_agent=USER_AGENT)
