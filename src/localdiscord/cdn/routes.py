"""The CDN's routes: files behind signed links with ranges, and the bucket that takes uploads."""

import re
from urllib.parse import quote

from aiohttp import web

from localdiscord.limits.violations import Violation
from localdiscord.wire.errors import ApiError
from localdiscord.world.world import World

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
GONE = "This content is no longer available."


class Cdn:
    """Serves the files of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/{folder:attachments|ephemeral-attachments}/{owner}/{attachment}/{filename}", self.read),
            web.put("/uploads/{upload:.+}", self.upload),
        ]

    async def read(self, request: web.Request) -> web.Response:
        """Answer the file, or a part of it; 404 for a link that is expired, unsigned or made up."""
        self._count_token(request)
        match = request.match_info
        path = f"/{match['folder']}/{match['owner']}/{match['attachment']}/{quote(match['filename'])}"
        attachment = None
        if match["attachment"].isdigit() and self._world.links.is_valid(path, request.query_string):
            attachment = self._world.files.get(int(match["attachment"]))
        if attachment is None or self._world.links.path_of(attachment) != path:
            return web.Response(status=404, text=GONE)
        headers = {
            "Content-Type": attachment.content_type or "application/octet-stream",
            "Accept-Ranges": "bytes",
            "Cache-Control": "public, max-age=31536000",
            "ETag": f'"{attachment.id}"',
        }
        return partial(attachment.data, request.headers.get("Range"), headers)

    async def upload(self, request: web.Request) -> web.Response:
        """Store the bytes. The link is the permission: any other credential, or a content type, is a mistake."""
        self._count_token(request)
        if request.headers.get("Content-Type"):
            return web.Response(status=403, text="SignatureDoesNotMatch: unexpected Content-Type")
        try:
            stored = self._world.uploads.put(
                request.match_info["upload"], request.query.get("upload_id", ""), await request.read()
            )
        except (ApiError, web.HTTPRequestEntityTooLarge):
            return web.Response(status=400, text="EntityTooLarge")
        return web.Response(status=200) if stored else web.Response(status=404, text="NoSuchUpload")

    def _count_token(self, request: web.Request) -> None:
        if "Authorization" in request.headers:
            self._world.violations.count(Violation.AUTHORIZATION_SENT_TO_CDN, path=request.path)


def partial(data: bytes, wanted: str | None, headers: dict[str, str]) -> web.Response:
    """Answer the range asked for: 206, or 416 when there is no such; without a readable range, everything."""
    found = RANGE.fullmatch(wanted or "")
    if found is None or found[0] == "bytes=-":
        return web.Response(body=data, headers=headers)
    size = len(data)
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    else:
        start, end = max(size - int(found[2]), 0), size - 1
    if start > end:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
    return web.Response(status=206, body=data[start : end + 1], headers=headers)
