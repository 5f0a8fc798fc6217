"""`pikarelay jobs` and `orphans`: what was asked for, and what was given to nobody."""

import json
from typing import Any

from cyclopts import App

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import (
    Refusal,
    Where,
    in_offices,
    say,
)
from pikarelay.contract.bodies import encode, job_body
from pikarelay.jobs.job import Job
from pikarelay.services.ports import Orphan

jobs = App(name="jobs", help="Look at jobs.")
orphans = App(
    name="orphans", help="Look at messages of the bot that were given to no caller, and give them away."
)


@jobs.command(name="list")
def list_jobs(*, where: Where | None = None, limit: int = 100) -> None:
    """List the newest jobs of all callers, newest first, one line of JSON each."""

    async def list_all(offices: Offices) -> None:
        for job in await offices.store.newest_jobs(limit):
            say(json.dumps(_job_line(job)))

    in_offices(where, list_all)


@jobs.command(name="show")
def show_job(job_id: str, /, *, where: Where | None = None) -> None:
    """Show one job as callers see it, what is known of its press, and its callback's log, as JSON."""

    async def show(offices: Offices) -> None:
        job = await offices.store.job(job_id)
        if job is None:
            raise Refusal(f"There is no job {job_id}.")
        attempts = await offices.store.attempts(job_id)
        shown = {
            "job": json.loads(encode(job_body(job))),
            "press": json.loads(encode(job.press)),
            "callback": [json.loads(encode(attempt)) for attempt in attempts],
        }
        say(json.dumps(shown, indent=2, ensure_ascii=False))

    in_offices(where, show)


@orphans.command(name="list")
def list_orphans(*, where: Where | None = None, channel: str | None = None) -> None:
    """List messages that came too late or could be about several jobs, oldest first, one line of JSON each."""

    async def list_all(offices: Offices) -> None:
        for orphan in await offices.store.orphans(channel):
            say(json.dumps(_orphan_line(orphan), ensure_ascii=False))

    in_offices(where, list_all)


@orphans.command(name="show")
def show_orphan(orphan: str, /, *, where: Where | None = None) -> None:
    """Show one such message, by its id, with all that Discord said of it, as JSON."""

    async def show(offices: Offices) -> None:
        found = await offices.store.orphan(orphan)
        if found is None:
            raise Refusal(f"There is no orphan {orphan}; `pikarelay orphans list` shows them.")
        shown = {**_orphan_line(found), "message": json.loads(encode(found.message))}
        say(json.dumps(shown, indent=2, ensure_ascii=False))

    in_offices(where, show)


@orphans.command(name="assign")
def assign_orphan(orphan: str, job_id: str, /, *, where: Where | None = None) -> None:
    """Say that the message is about this job, which it completes. A job that has ended stays as it is."""

    async def assign(offices: Offices) -> None:
        job = await offices.orphans.assign(orphan, job_id)
        say(json.dumps(_job_line(job)))

    in_offices(where, assign)


def _orphan_line(orphan: Orphan) -> dict[str, Any]:
    return {
        "orphan": orphan.message.id,
        "channel": orphan.message.channel_id,
        "seen": orphan.seen.isoformat(),
        "kind": orphan.message.kind.value,
        "reason": orphan.reason.value,
        "candidates": orphan.candidates,
        "content": orphan.message.content,
        "attachments": [attachment.url for attachment in orphan.message.attachments],
    }


def _job_line(job: Job) -> dict[str, Any]:
    return {
        "jobid": job.job_id,
        "verb": job.verb.value,
        "status": job.status.value,
        "channel": job.channel,
        "created": job.created.isoformat(),
    }
