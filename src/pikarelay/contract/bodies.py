"""
Jobs and errors into JSON. The only place that knows the public names, their order and their formats.

Absent values are left out, never null: clients take a present key for a usable value.
"""

from datetime import datetime
from typing import Any

import msgspec

from pikarelay.errors import ApiError, DiscordRateLimited, TooManyJobs
from pikarelay.jobs.buttons import offered
from pikarelay.jobs.job import Attachment, Job, Status, Upload, Verb
from pikarelay.jobs.secret import scrub

#: Copies of results are served below it.
FILES_PATH = "/v1/pikarelay/files"


class ImageBody(msgspec.Struct, frozen=True):
    """An uploaded file, as the contract shows it."""

    size: int
    type: str


class AttachmentBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A result file. `url` comes first: one client takes the first URL it sees."""

    url: str
    proxy_url: str
    filename: str
    content_type: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    id: str


class JobBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The job Model of the contract, in the key order of its pages. Also the body of callbacks."""

    jobid: str
    verb: str
    status: str
    created: str
    updated: str
    button: str | None = None
    parent_job_id: str | None = msgspec.field(name="parentJobId", default=None)
    prompt: str | None = None
    message: str | ImageBody | None = None
    font: str | None = None
    buttons: tuple[str, ...] = ()
    image: ImageBody | None = None
    discord: str
    channel: str
    max_jobs: int = msgspec.field(name="maxJobs")
    reply_url: str | None = msgspec.field(name="replyUrl", default=None)
    reply_ref: str | None = msgspec.field(name="replyRef", default=None)
    message_id: str | None = msgspec.field(name="messageId", default=None)
    content: str | None = None
    timestamp: str | None = None
    attachments: tuple[AttachmentBody, ...] = ()
    embeds: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    error_details: str | None = msgspec.field(name="errorDetails", default=None)
    code: int


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Every refusal."""

    error: str
    error_details: str | None = msgspec.field(name="errorDetails", default=None)
    executing_jobs: tuple[str, ...] = msgspec.field(name="executingJobs", default=())
    code: int


def job_body(job: Job, code: int = 200, *, files_at: str | None = None) -> JobBody:
    """
    Return the job as callers see it: `created` shown as `started`, the token masked.

    Links to files that have a copy begin with `files_at`; without it all are Discord's.
    """
    ended_well = job.status is Status.COMPLETED
    return JobBody(
        jobid=job.job_id,
        verb=job.verb.value,
        status=_shown_status(job.status),
        created=iso_time(job.created),
        updated=iso_time(job.updated),
        button=job.button,
        parent_job_id=job.parent_job_id,
        # A button job's page lists neither: its prompt shows only inside `content`.
        prompt=None if job.verb is Verb.BUTTON else job.prompt,
        message=_image(job.message_image) or job.message,
        font=job.font,
        buttons=offered(job) if ended_well else (),
        image=_image(job.image),
        discord=job.discord_token.masked,
        channel=job.channel,
        max_jobs=job.max_jobs,
        reply_url=job.reply_url,
        reply_ref=job.reply_ref,
        message_id=job.message_id,
        content=job.content,
        timestamp=job.timestamp,
        # Official examples download whatever is there, on any final status.
        attachments=tuple(_attachment(a, files_at) for a in job.attachments) if ended_well else (),
        embeds=tuple(_without_nulls(embed) for embed in job.embeds),
        error=job.error,
        error_details=job.error_details,
        code=code,
    )


class CancelledBody(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a cancellation."""

    jobid: str
    status: str
    code: int = 200


def cancelled_body(job: Job) -> CancelledBody:
    """Return how the job stands now: a job that had ended keeps the status it ended with."""
    return CancelledBody(jobid=job.job_id, status=_shown_status(job.status))


def error_body(error: ApiError) -> ErrorBody:
    """
    Return the body of a refusal. The only constructor of that shape.

    A token that was sent as a jobid, say, does not come back: answers end up in the logs of clients.
    """
    return ErrorBody(
        error=scrub(error.message),
        error_details=error.details if isinstance(error, DiscordRateLimited) else None,
        executing_jobs=error.executing if isinstance(error, TooManyJobs) else (),
        code=error.code,
    )


def encode(body: object) -> bytes:
    """Return the JSON text of a body, in UTF-8."""
    return msgspec.json.encode(body)


def iso_time(moment: datetime) -> str:
    """Return `2023-09-09T02:04:49.667Z`: UTC, always three decimals."""
    # A sixth of the time of `strftime`, and a job has two of them. What is cut off is the zone, which is UTC.
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


def _without_nulls(value: Any) -> Any:
    """Return Discord's JSON without the nulls that it may have at any depth."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _shown_status(status: Status) -> str:
    return Status.STARTED.value if status is Status.CREATED else status.value


def _image(upload: Upload | None) -> ImageBody | None:
    return None if upload is None else ImageBody(upload.size, upload.type)


def _attachment(attachment: Attachment, files_at: str | None) -> AttachmentBody:
    copy = None
    if files_at is not None and attachment.copy_name is not None:
        copy = files_at + attachment.copy_name
    return AttachmentBody(
        url=copy or attachment.url,
        proxy_url=copy or attachment.proxy_url,
        filename=attachment.filename,
        content_type=attachment.content_type,
        size=attachment.size,
        width=attachment.width,
        height=attachment.height,
        id=attachment.id,
    )
