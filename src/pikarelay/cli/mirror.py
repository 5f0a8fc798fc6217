"""`pikarelay mirror`: which results are copied, and which are not."""

import json

from cyclopts import App

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import Refusal, Where, in_offices, say
from pikarelay.contract.bodies import iso_time
from pikarelay.jobs.mirror import CopyRecord

mirror = App(name="mirror", help="Look at copies of results, and have them made again.")


@mirror.command(name="status")
def status(*, where: Where | None = None, limit: int = 100) -> None:
    """Say how many copies wait, are done and have failed; then list those not done, oldest first, as lines of JSON."""

    async def show(offices: Offices) -> None:
        for state, count in (await offices.copies.counts()).items():
            size = f", {count.size / 1024 / 1024:.1f} MiB" if count.size else ""
            say(f"{state.value}: {count.copies}{size}")
        for copy in await offices.copies.undone(limit):
            say(json.dumps(_line(copy)))

    in_offices(where, show)


@mirror.command(name="retry")
def retry(job_id: str = "", /, *, where: Where | None = None) -> None:
    """
    Try all copies now that have failed or wait for another try; or all of one job, those that are done too.

    A server that runs, and has a mirror, finds them within five seconds.
    """

    async def ask(offices: Offices) -> None:
        count = await offices.copies.retry(job_id or None)
        if job_id and not count:
            raise Refusal(f"There is no copy of job {job_id} that could be made again.")
        say(f"{count} to be copied again.")

    in_offices(where, ask)


def _line(copy: CopyRecord) -> dict[str, object]:
    known = {
        "jobid": copy.job_id,
        "name": copy.name,
        "state": copy.state.value,
        "attempts": copy.attempt,
        "nextTry": None if copy.due is None else iso_time(copy.due),
        "error": copy.error,
    }
    return {key: value for key, value in known.items() if value is not None}
