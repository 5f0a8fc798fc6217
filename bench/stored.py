"""Jobs that are put into a server's store without a bot."""

from datetime import UTC, datetime

from pikarelay.jobs.job import Attachment, Button, Job, Press, PressPhase, Status, Verb
from pikarelay.jobs.secret import Secret

CHANNEL = "1180000000000000001"
#: Added to the numbers of running jobs, so that none has the nonce of a finished one.
_RUNNING = 500_000_000


def job_id(n: int) -> str:
    """Return the id of finished job `n`."""
    return f"{n:026d}"


def running_id(n: int) -> str:
    """Return the id of running job `n`."""
    return f"r{n:025d}"


def stored_job(n: int, caller_id: str, *, is_running: bool = False, reply_url: str | None = None) -> Job:
    """Return job `n`, finished with its video, or running."""
    now = datetime.now(UTC).replace(microsecond=0)
    url = f"https://cdn.example.com/attachments/1/{n}/video.mp4"
    return Job(
        job_id=running_id(n) if is_running else job_id(n),
        caller_id=caller_id,
        verb=Verb.CREATE,
        status=Status.PROGRESS if is_running else Status.COMPLETED,
        created=now,
        updated=now,
        prompt="waves crashing over the sandy beach, overhead shot",
        discord_token=Secret("MTE4MDAwMDAwMDAwMDAwMDAwMQ.Gabcde.0123456789012345678901234567890123456a"),
        channel=CHANNEL,
        max_jobs=1_000,
        reply_url=reply_url,
        press=Press(
            nonce=str(1_000_000_000_000_000_000 + n + (_RUNNING if is_running else 0)),
            phase=PressPhase.BOUND,
            user_id="1180000000000000001",
            bot_id="1180000000000000002",
            application_id="1180000000000000002",
            floor_id="1180000000000000000",
            sent=now,
        ),
        message_id=str(1_190_000_000_000_000_000 + n),
        content="<@1180000000000000001> Prompt: waves crashing over the sandy beach, overhead shot",
        timestamp="2026-08-01T12:00:00.000000+00:00",
        buttons=() if is_running else (Button(name="retry", custom_id=f"pika:retry:{n}"),),
        attachments=()
        if is_running
        else (
            Attachment(
                url=url, proxy_url=url, filename="video.mp4", content_type="video/mp4", size=200_000, width=1024,
                height=576, id=str(n),
            ),
        ),
    )  # fmt: skip
