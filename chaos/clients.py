"""
Callers as they are: they write down what they ask before they ask it, and try again only as something new.

A 429 that names executing jobs parks a caller until something ends; any other 429, and a refused connection, make it
wait and ask anew. An answer that was lost stays lost: the caller cannot know what became of it.
"""

import asyncio
import hashlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chaos.ledger import Ledger

#: A parked caller looks again after this long, should the callback that it waits for have come before.
_PARKED_SECONDS = 0.2
_PRESSABLE = 50


@dataclass(frozen=True)
class Seat:
    """A configured account: its channel, whose token it is, and how many jobs it may run at once."""

    channel: str
    token: str
    user_id: str
    max_jobs: int


class Clients:
    """All callers of one run. One instance speaks for one API token."""

    def __init__(
        self, ledger: Ledger, http: aiohttp.ClientSession, reply_urls: Sequence[str], seed: int
    ) -> None:
        self._ledger = ledger
        self._http = http
        self._reply_urls = itertools.cycle(reply_urls)
        self._numbers = itertools.count(1)
        self._seed = seed
        self.base_url = ""
        self.api_token = ""
        #: Clear while the server is known to be down.
        self.up = asyncio.Event()
        #: Jobs that a POST was answered with, in that order, and the last that was shown of each.
        self.jobs: dict[str, dict[str, Any]] = {}
        self.seat_of: dict[str, Seat] = {}
        #: Set whenever an answer came.
        self.news = asyncio.Event()

    def call_back_at(self, urls: Sequence[str]) -> None:
        """Let the callers' servers be these from now on."""
        self._reply_urls = itertools.cycle(urls)

    def next_url(self) -> str:
        """Return the caller's server whose turn it is."""
        return next(self._reply_urls)

    @property
    def acknowledged(self) -> int:
        return len(self.jobs)

    async def create(
        self, seat: Seat, *, picture: bytes | None = None, reply_url: str | None = None
    ) -> tuple[int | None, dict[str, Any]]:
        """POST create. Returns status and body; None when there was no answer."""
        number = next(self._numbers)
        # Of one length, so that none is part of another.
        prompt = f"a red kite number {self._seed:05d}-{number:07d}"
        fields = {"prompt": prompt, "channel": seat.channel}
        asked = {"prompt": prompt}
        if picture is not None:
            asked["picture"] = hashlib.sha256(picture).hexdigest()
        return await self._submit(seat, "create", number, fields, asked, picture, reply_url)

    async def press(self, seat: Seat, parent: dict[str, Any]) -> tuple[int | None, dict[str, Any]]:
        """POST button for a finished job that nobody has pressed before."""
        fields = {"jobid": parent["jobid"], "button": "retry"}
        asked = {"parent_message": parent["messageId"], "parent_job": parent["jobid"]}
        return await self._submit(seat, "button", next(self._numbers), fields, asked)

    async def _submit(
        self,
        seat: Seat,
        verb: str,
        number: int,
        fields: dict[str, str],
        asked: dict[str, str],
        picture: bytes | None = None,
        reply_url: str | None = None,
    ) -> tuple[int | None, dict[str, Any]]:
        request, url = f"{self._seed}-{number}", reply_url or self.next_url()
        await self._ledger.noted(
            "asked",
            request=request, verb=verb, channel=seat.channel, max_jobs=seat.max_jobs, reply=True, url=url, **asked,
        )  # fmt: skip
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in {**fields, "replyUrl": url, "replyRef": request}.items():
            form.add_field(name, value)
        if picture is not None:
            form.add_field("image", picture, filename="blob", content_type="application/octet-stream")
        try:
            async with self._http.post(
                f"{self.base_url}/v1/pika/{verb}", data=form, headers=self._headers
            ) as answer:
                status, body = answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            # Who hangs up first cannot say that nothing comes of it.
            gave_up = isinstance(error, TimeoutError)
            await self._ledger.noted(
                "unanswered", request=request, refused=refused, gave_up=gave_up, reason=str(error)[:200]
            )
            return None, {}
        entry = self._ledger.note("answered", request=request, status=status, body=body)
        await self._ledger.synced()
        if "jobid" in body:
            self.jobs[body["jobid"]] = body
            self.seat_of[body["jobid"]] = seat
        self.news.set()
        return status, dict(entry["body"])

    async def look(self, job: str, *, final: bool = False) -> dict[str, Any] | None:
        """GET a job; None when there was no answer."""
        return await self._see("/v1/pika/jobs/", job, final=final)

    async def cancel(self, job: str) -> None:
        """GET cancel. What it answers is no job body, so it is written down as such."""
        try:
            async with self._http.get(
                f"{self.base_url}/v1/pika/jobs/cancel/", params={"jobid": job}, headers=self._headers
            ) as answer:
                body = await answer.json()
                await self._ledger.noted("cancelled", job=job, status=answer.status, body=body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            await self._ledger.noted(
                "unanswered", request=f"cancel {job}", refused=refused, reason=str(error)[:200]
            )

    async def _see(self, path: str, job: str, *, final: bool) -> dict[str, Any] | None:
        try:
            async with self._http.get(
                self.base_url + path, params={"jobid": job}, headers=self._headers
            ) as answer:
                body: dict[str, Any] = await answer.json()
                self._ledger.note("saw", job=job, status=answer.status, final=final, body=body)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        if answer.status == 200:
            self.jobs[job] = body
        return body

    async def executing(self) -> list[str] | None:
        """GET the list of executing jobs; None when there was no answer."""
        try:
            async with self._http.get(f"{self.base_url}/v1/pika/jobs", headers=self._headers) as answer:
                found = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return found if isinstance(found, list) else None

    async def readiness(self) -> int | None:
        """GET whether the server can take work. Returns the status; None when there was no answer."""
        try:
            async with self._http.get(f"{self.base_url}/readyz") as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def tries(self, job: str, *, final: bool = False) -> list[dict[str, Any]]:
        """GET the tries of a job's callback that are over. The last look is written down. Raises when there was no answer."""
        async with self._http.get(
            f"{self.base_url}/v1/pikarelay/callbacks/{job}", headers=self._headers
        ) as answer:
            body = await answer.json()
            if final:
                await self._ledger.noted("log", job=job, status=answer.status, body=body)
        tries: list[dict[str, Any]] = body.get("log", [])
        return tries

    async def waiting(self) -> frozenset[str]:
        """GET the jobs whose callbacks wait for a try, 1,000 of them at most. Raises when there was no answer."""
        async with self._http.get(
            f"{self.base_url}/v1/pikarelay/callbacks?state=waiting&limit=1000", headers=self._headers
        ) as answer:
            return frozenset(callback["jobid"] for callback in (await answer.json())["callbacks"])

    async def configure(self, seat: Seat) -> None:
        """POST the account of a channel."""
        async with self._http.post(
            f"{self.base_url}/v1/pika/account/{seat.channel}",
            json={"channel": seat.channel, "discord": seat.token, "maxJobs": seat.max_jobs},
            headers=self._headers,
        ) as answer:
            if answer.status != 204:
                raise RuntimeError(f"account: {answer.status} {await answer.text()}")

    async def load(self, seats: list[Seat], rng: random.Random, until: asyncio.Event) -> None:
        """One caller at work until told to stop: mostly creates, some presses, a few cancellations, some looks."""
        finished: list[str] = []
        while not until.is_set():
            await self.up.wait()
            parent = self._pressable(finished, rng)
            if parent is not None:
                status, body = await self.press(self.seat_of[parent["jobid"]], parent)
            else:
                status, body = await self.create(rng.choice(seats))
            if status == 200:
                job = body["jobid"]
                finished.append(job)
                if rng.random() < 0.3:
                    await self.look(job)
                if rng.random() < 0.03:
                    await self.cancel(job)
            elif status is None:
                await asyncio.sleep(0.02)
            else:
                await asyncio.sleep(_PARKED_SECONDS if body.get("executingJobs") else 0.5)

    def _pressable(self, finished: list[str], rng: random.Random) -> dict[str, Any] | None:
        """Take a job whose button may be pressed out of the list, now and then."""
        if rng.random() > 0.2 or not finished:
            return None
        # Of the newest: the local bot has forgotten what it made some thousands of jobs ago.
        job = self.jobs[finished.pop(-rng.randrange(1, min(len(finished), _PRESSABLE) + 1))]
        return job if job["status"] == "completed" and "retry" in job.get("buttons", ()) else None

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_token}", "Accept": "application/json"}
