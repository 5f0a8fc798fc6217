"""
What a browser is served: the API's document at `/openapi.json`, the page to try it at `/`, and its parts under `/try/`.

Everything comes from this package: the page works without any network but the way to this server. Its parts are read when
somebody asks for them, which few do, and not kept: they would be two megabytes of every server's memory. The page's policy
lets it load nothing from elsewhere but videos, which lie at Discord's.
"""

import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.routing import Route
from pikarelay.contract.bodies import encode

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_MEDIA_TYPES = {
    ".html": _HTML,
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".txt": b"text/plain; charset=utf-8",
    "": b"text/plain; charset=utf-8",
}
#: The parts of the page, by their path below `/try/` and in `static/` alike.
_PARTS = (
    "page.css",
    "page.js",
    "follow.js",
    "swagger-ui/swagger-ui.css",
    "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui/swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui/favicon-16x16.png",
    "swagger-ui/favicon-32x32.png",
    "swagger-ui/LICENSE",
    "swagger-ui/NOTICE",
)
# Styles: Swagger UI writes some into its elements. Videos: Discord's CDN, or a local Discord's on this machine.
_POLICY = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    b" media-src 'self' https: http://127.0.0.1:* http://localhost:*;"
    b" object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # Asked for again each time, and answered by a 304 while it is the same.
    (b"cache-control", b"no-cache"),
)


def pages(document: Mapping[str, Any]) -> list[Route]:
    """Return the routes of everything that is not the API; `document` is the API's OpenAPI document."""
    static = files(__package__) / "static"
    policy = ((b"content-security-policy", _POLICY),)
    encoded = encode(document)
    return [
        _page("/", _HTML, (static / "index.html").read_bytes, policy),
        _page("/openapi.json", _JSON, lambda: encoded),
        *(_part(static, name) for name in _PARTS),
    ]


def _part(static: Traversable, name: str) -> Route:
    file = static.joinpath(*name.split("/"))
    _, dot, suffix = file.name.rpartition(".")
    return _page(f"/try/{name}", _MEDIA_TYPES[dot + suffix if dot else ""], file.read_bytes)


def _page(
    path: str, media_type: bytes, read: Callable[[], bytes], more: tuple[tuple[bytes, bytes], ...] = ()
) -> Route:
    tag = b'"%s"' % hashlib.sha256(read()).hexdigest()[:32].encode()
    headers = (*_HEADERS, (b"etag", tag), *more)
    unchanged = Reply(status=304, headers=headers)

    async def page(exchange: Exchange) -> Reply:
        if tag in exchange.headers(b"if-none-match"):
            return unchanged
        return Reply(body=read(), media_type=media_type, headers=headers)

    return Route(method="GET", path=path, handler=page, slash_matters=True)
