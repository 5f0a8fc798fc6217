"""
A caller's program that uses pikarelay: orders come as lines of JSON on stdin, and what became of them goes to stdout.

It asks over HTTP, and what it is given is what the callback says. A POST that is refused ends a call; one that breaks off
does not, for the job may exist.
"""

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp import web

from bench.load import Answer, Client, post_form, run

Json = dict[str, Any]


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic_ns(), **fields}), flush=True)


class Caller:
    """Asks one server for jobs on one channel."""

    def __init__(self, place: Json) -> None:
        self._place = place
        self._client = Client(place["port"])
        self._headers = (
            f"Host: 127.0.0.1:{place['port']}\r\nAuthorization: Bearer {place['api_token']}\r\n".encode()
        )
        self._jobs: dict[str, str] = {}
        self._url = ""

    async def serve(self) -> None:
        """Take callbacks."""
        app = web.Application()
        app.router.add_post("/callback", self._called_back)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        self._url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"

    async def configure(self) -> None:
        """Set the account of the channel."""
        channel = self._place["channel"]
        fields = {"discord": self._place["token"], "channel": channel, "maxJobs": "10"}
        answer = await self._post(f"/v1/pika/account/{channel}", fields)
        if answer.status not in {200, 201, 204}:
            raise SystemExit(f"HTTP status {answer.status}: {answer.body.decode()}")

    async def order(self, order: Json) -> None:
        call = order["call"]
        fields = {"channel": self._place["channel"], "replyUrl": self._url, "replyRef": call}
        # An account may ask for ten at most; a request may ask for more.
        fields["maxJobs"] = "10000"
        if order["do"] == "again":
            path, fields = (
                "/v1/pika/button",
                fields | {"jobid": self._jobs[order["of"]], "button": "retry"},
            )
        else:
            path, fields = "/v1/pika/create", fields | {"prompt": order["prompt"]}
        say("asked", call=call)
        try:
            answer = await self._post(path, fields)
        except ConnectionError as error:
            say("broken", call=call, error=str(error))
            return
        body = json.loads(answer.body)
        if answer.status == 200:
            self._jobs[call] = body["jobid"]
            say("taken", call=call, handle=body["jobid"])
        else:
            say("ended", call=call, error=f"HTTP status {answer.status}: {body.get('error')}")

    async def _called_back(self, request: web.Request) -> web.Response:
        at = time.monotonic_ns()
        job = await request.json()
        call = job["replyRef"]
        if job["status"] == "completed":
            say("ended", call=call, at=at, url=job["attachments"][0]["url"])
        else:
            say("ended", call=call, at=at, error=f"{job['status']}: {job.get('error') or job.get('content')}")
        return web.Response(text="ok")

    async def _post(self, path: str, fields: dict[str, str]) -> Answer:
        return await self._client.send(post_form(self._headers, path, fields))


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    caller = Caller(json.loads(await lines.readline()))
    await caller.serve()
    await caller.configure()
    say("ready")
    tasks: set[asyncio.Task[None]] = set()
    while line := await lines.readline():
        task = asyncio.create_task(caller.order(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    run(main())
