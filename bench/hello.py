"""The bare server that others are compared to: uvicorn with httptools and uvloop, and an application that says hello."""

import json
import sys
from typing import Any

import uvicorn

from bench.processes import end_with_parent

_BODY = b'{"hello":"world"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"ready": True, "port": port}), flush=True)


if __name__ == "__main__":
    end_with_parent()
    _Server(
        uvicorn.Config(
            hello,
            port=0,
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_level="warning",
        )
    ).run()
    sys.exit()
