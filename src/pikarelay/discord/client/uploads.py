"""
Files for a command: a place is reserved at Discord, the bytes go to a storage bucket, the command names the place.

The bucket is not Discord: it gets no token, and refuses a content type that it does not expect.
"""

from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from pikarelay.discord.client.rest import Rest
from pikarelay.discord.client.transport import USER_AGENT, unreachable
from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.interactions import Uploaded
from pikarelay.discord.wire.payloads import WireError
from pikarelay.discord.wire.ratelimit import Route
from pikarelay.errors import DiscordRefused, DiscordUnavailable
from pikarelay.services.ports import FileToUpload

#: For the whole of one file, in seconds.
TIMEOUT: Final = aiohttp.ClientTimeout(total=120, connect=7)
TRIES: Final = 3


class Uploads:
    """Uploads files in an account's name."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def upload(self, rest: Rest, channel: str, files: Sequence[FileToUpload]) -> list[Uploaded]:
        """
        Upload the files (ten at most) for a command in `channel`, and say what to call them there, in their order.

        Raises what `Rest.read` raises.
        """
        slots = await self._reserve(rest, channel, files)
        uploaded = []
        for slot, file in zip(slots, files, strict=True):
            await self._put(slot.upload_url, file)
            uploaded.append(Uploaded(file.filename, slot.upload_filename))
        return uploaded

    async def _reserve(
        self, rest: Rest, channel: str, files: Sequence[FileToUpload]
    ) -> tuple[payloads.UploadSlot, ...]:
        wanted = [
            {"id": str(index), "filename": file.filename, "file_size": file.size}
            for index, file in enumerate(files)
        ]
        answer = await rest.reserve(
            Route("POST /channels/{}/attachments", channel),
            f"/channels/{channel}/attachments",
            msgspec.json.encode({"files": wanted}),
        )
        try:
            slots = payloads.read("upload slots", answer, payloads.UploadSlots).attachments
        except WireError as error:
            raise DiscordUnavailable(str(error), may_have_happened=False) from None
        if len(slots) != len(files):
            raise DiscordUnavailable("Discord reserved another number of files", may_have_happened=False)
        return slots

    async def _put(self, url: str, file: FileToUpload) -> None:
        """Store one file; the same bytes may be stored again, so a failure of the bucket's is repeated at once."""
        for _ in range(TRIES - 1):
            try:
                return await self._put_once(url, file)
            except DiscordUnavailable:
                continue
        return await self._put_once(url, file)

    async def _put_once(self, url: str, file: FileToUpload) -> None:
        try:
            async with self._http.put(
                url,
                data=file.read(),
                headers={"User-Agent": USER_AGENT, "Content-Length": str(file.size)},
                skip_auto_headers=["Content-Type"],
                allow_redirects=False,
                timeout=TIMEOUT,
            ) as response:
                body = (await response.content.read(4096)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DiscordUnavailable(str(unreachable(error)), may_have_happened=False) from None
        if response.status >= 500:
            raise DiscordUnavailable(
                "The upload bucket failed", may_have_happened=False, status=response.status, details=body
            )
        if response.status >= 300:
            raise DiscordRefused(response.status, body)
