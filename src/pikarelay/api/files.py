"""
Copies of results, for whoever knows their link. No token is asked for: clients fetch a video with a plain GET.

Files are a stranger's, so a browser is told to take them for nothing but what they are: a fixed type that was told by the
file's first bytes, no guessing, no scripts, no origin. What is no known video or picture is to be saved, not shown.
"""

from starlette.responses import FileResponse

from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.routing import Route
from pikarelay.contract.bodies import FILES_PATH
from pikarelay.jobs.media import is_shown
from pikarelay.services.find_file import FileElsewhere, FileFinder

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_SANDBOX = b"default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox"
_FILE_HEADERS = (
    _NO_SNIFFING,
    (b"content-security-policy", _SANDBOX),
    # Pages of other origins may show it.
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"cache-control", b"public, max-age=86400"),
)


class Files:
    """Handlers for links to copies."""

    def __init__(self, finder: FileFinder) -> None:
        self._finder = finder

    def table(self) -> list[Route]:
        """Return what is served."""
        return [
            Route(method=method, path=f"{FILES_PATH}/{{name}}", handler=self.file, is_secret=True)
            for method in ("GET", "HEAD")
        ]

    async def file(self, exchange: Exchange) -> Reply:
        """The copy, or a part of it; before there is one, and for a copy in a bucket, a redirect to where the file is."""
        found = await self._finder.find(exchange.parameters["name"], exchange.method)
        if isinstance(found, FileElsewhere):
            # Good now, and for a while: the next one who asks may be sent elsewhere.
            headers = [(b"location", found.url.encode()), (b"cache-control", b"no-store"), _NO_SNIFFING]
            return Reply(status=302, headers=headers)
        shown = "inline" if is_shown(found.media_type) else "attachment"
        response = FileResponse(
            found.path,
            media_type=found.media_type,
            filename=found.path.name,
            content_disposition_type=shown,
        )
        return Reply(headers=_FILE_HEADERS, stream=response)
