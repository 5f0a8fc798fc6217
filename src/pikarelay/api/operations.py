"""
The operations of the Pika API v1. Each is a composition of a few calls, with no rule in it.

The bearer token is checked before the first byte of a body is read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from pikarelay.api.bearer import credentials
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.forms import Form, FormRules, OpenSink, read_form
from pikarelay.api.routing import Operation
from pikarelay.contract import documentation
from pikarelay.contract.bodies import cancelled_body, encode, job_body
from pikarelay.contract.commands import COMMAND_FORMS, CommandForm, parse_command
from pikarelay.contract.idempotency import parse_key, request_key
from pikarelay.contract.requests import BUTTON_FIELDS, parse_button
from pikarelay.errors import ApiError
from pikarelay.jobs.job import Caller, Verb
from pikarelay.jobs.mirror import is_mirrored
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.answer_once import AnswerOnce, Submit
from pikarelay.services.answers import Answers
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.cancel_job import cancel_job
from pikarelay.services.ports import Store
from pikarelay.services.press_button import PressButton
from pikarelay.services.read_job import read_job
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.refresh_links import LinkRefresher
from pikarelay.services.run_command import RunCommand

_log = structlog.get_logger(__name__)

_BUTTON_RULES = FormRules(fields=BUTTON_FIELDS)
#: For each file that a form may hold: the largest image, and room for the form around it.
_BODY_PER_FILE = 26 * 1024 * 1024

#: Tells a caller that its request was made before, and what came of it is the answer.
_REPLAYED = (b"idempotency-replayed", b"true")


class PikaOperations:
    """Handlers for jobs."""

    def __init__(
        self,
        store: Store,
        answers: Answers,
        authenticator: Authenticator,
        answer_once: AnswerOnce,
        press_button: PressButton,
        run_command: RunCommand,
        recorder: EventRecorder,
        open_sink: OpenSink,
        links: LinkRefresher,
        files_at: str | None = None,
    ) -> None:
        self._store = store
        self._answers = answers
        self._authenticator = authenticator
        self._answer_once = answer_once
        self._press_button = press_button
        self._run_command = run_command
        self._recorder = recorder
        self._open_sink = open_sink
        self._links = links
        #: What links to copies begin with. None without a mirror.
        self._files_at = files_at

    def table(self) -> list[Operation]:
        """Return what is served."""
        return [
            *(self._command(form) for form in COMMAND_FORMS),
            Operation(
                method="POST",
                path="/v1/pika/button",
                handler=self.button,
                summary="Press a button of a finished job",
                documentation=documentation.BUTTON,
            ),
            Operation(
                method="GET",
                path="/v1/pika/jobs",
                handler=self.jobs,
                summary="List executing jobs",
                documentation=documentation.JOBS,
                slash_matters=True,
            ),
            Operation(
                method="GET",
                path="/v1/pika/jobs/cancel",
                handler=self.cancel,
                summary="Cancel a job",
                documentation=documentation.CANCEL,
            ),
            Operation(
                method="GET",
                path="/v1/pika/jobs/",
                handler=self.job,
                summary="Read a job",
                documentation=documentation.JOB,
                slash_matters=True,
            ),
        ]

    def _command(self, form: CommandForm) -> Operation:
        """Return the operation that runs one of the bot's commands."""
        rules = FormRules(
            fields=form.fields, files=form.files, max_body_with_files=len(form.files) * _BODY_PER_FILE
        )

        async def run(exchange: Exchange) -> Reply:
            caller = await self._authenticator.subscriber(credentials(exchange))
            async with self._post(exchange, rules) as post:
                request = parse_command(form, post.form.texts, post.form.files)
                key = post.key(form.verb)
                return await self._submit(
                    caller,
                    post,
                    key,
                    lambda: self._run_command(caller, request, required=form.missing, key=key),
                )

        return Operation(
            method="POST",
            path=f"/v1/pika/{form.name}",
            handler=run,
            summary=form.summary,
            documentation=documentation.command(form),
        )

    async def button(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.subscriber(credentials(exchange))
        async with self._post(exchange, _BUTTON_RULES) as post:
            request, key = parse_button(post.form.texts), post.key(Verb.BUTTON)
            return await self._submit(caller, post, key, lambda: self._press_button(caller, request, key))

    async def job(self, exchange: Exchange) -> Reply:
        return await self._job(await self._authenticator.subscriber(credentials(exchange)), exchange)

    async def _job(self, caller: Caller, exchange: Exchange) -> Reply:
        job = await read_job(self._store, caller, exchange.query("jobid"))
        if self._files_at is None or not is_mirrored(job):
            job = await self._links.fresh(job)
        return Reply(body=encode(job_body(job, files_at=self._files_at)))

    async def jobs(self, exchange: Exchange) -> Reply:
        """The list; with `?jobid=` the one job, as clients ask for it with and without the slash."""
        caller = await self._authenticator.subscriber(credentials(exchange))
        if exchange.query("jobid") is not None:
            return await self._job(caller, exchange)
        return Reply(body=encode(await self._store.executing(caller.caller_id)))

    async def cancel(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.subscriber(credentials(exchange))
        job = await cancel_job(self._store, self._recorder, caller, exchange.query("jobid"))
        # One that had ended before keeps how it did.
        _log.info(
            "job.cancel_answered",
            request_id=exchange.request_id,
            job_id=job.job_id,
            status=job.status.value,
        )
        return Reply(body=encode(cancelled_body(job)))

    @asynccontextmanager
    async def _post(self, exchange: Exchange, rules: FormRules) -> AsyncIterator["_Post"]:
        """Read a submitting request. When it is refused, its files go; no refusal leaves a job behind."""
        name = parse_key(exchange.headers(b"idempotency-key"))
        form = await read_form(
            exchange.receive, exchange.scope["headers"], rules, self._open_sink, place=exchange.place
        )
        try:
            yield _Post(exchange.request_id, name, form)
        except ApiError:
            await form.discard()
            raise

    async def _submit(self, caller: Caller, post: "_Post", key: RequestKey | None, submit: Submit) -> Reply:
        submitted = await self._answer_once(caller, key, submit)
        job = submitted.job
        _log.info(
            "job.answered",
            request_id=post.request_id,
            job_id=job.job_id,
            verb=job.verb.value,
            status=job.status.value,
            is_repeat=submitted.is_repeat,
        )
        reply = Reply(
            status=submitted.code, body=encode(job_body(job, submitted.code, files_at=self._files_at))
        )
        if submitted.is_repeat:
            # The job has the files of the request that made it.
            await post.form.discard()
            reply.headers = [_REPLAYED]
        else:
            reply.after = lambda: self._answers.close(job.job_id)
        return reply


class _Post(NamedTuple):
    """A submitting request, read: the caller's name for it, if it has one, and its form."""

    request_id: str
    name: str | None
    form: Form

    def key(self, verb: Verb) -> RequestKey | None:
        """Return what makes a repetition of this request the same."""
        return request_key(self.name, verb, self.form.texts, self.form.files)
