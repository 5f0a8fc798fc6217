"""
`/healthz` and `/readyz`, for proxies and managers of services. Both are for everybody, and tell nothing that is anybody's.

`/healthz` answers as soon as the event loop does, and looks at nothing. `/readyz` is 503 when no work should be sent here.
"""

from collections.abc import Mapping

import msgspec

from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.routing import Route
from pikarelay.contract.bodies import encode
from pikarelay.services.readiness import Readiness

_HEADERS = ((b"cache-control", b"no-store"),)


class _Ready(msgspec.Struct, frozen=True):
    ready: bool
    checks: Mapping[str, str]


class _NotReady(msgspec.Struct, frozen=True):
    error: str
    checks: Mapping[str, str]
    code: int = 503


def health(readiness: Readiness) -> list[Route]:
    """Return both routes, for GET and, as some proxies ask, HEAD."""
    alive = Reply(body=encode({"status": "ok"}), headers=_HEADERS)

    async def healthz(_: Exchange) -> Reply:
        return alive

    async def readyz(_: Exchange) -> Reply:
        report = await readiness.report()
        if report.is_ready:
            return Reply(body=encode(_Ready(ready=True, checks=report.checks)), headers=_HEADERS)
        told = _NotReady(error=f"not ready: {', '.join(report.troubles)}", checks=report.checks)
        return Reply(status=told.code, body=encode(told), headers=_HEADERS)

    return [
        Route(method=method, path=path, handler=handler)
        for path, handler in (("/healthz", healthz), ("/readyz", readyz))
        for method in ("GET", "HEAD")
    ]
