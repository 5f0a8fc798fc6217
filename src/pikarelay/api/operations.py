"""
The operations of the Pika API v1. Each is a composition of a few calls, with no rule in it.

The bearer token is checked before the first byte of a body is read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from pikarelay.api.bearer import bearer_token
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.forms import Form, FormRules, OpenSink, read_form
from pikarelay.api.routing import Operation
from pikarelay.contract.bodies import cancelled_body, encode, job_body
from pikarelay.contract.commands import COMMAND_FORMS, CommandForm, parse_command
from pikarelay.contract.requests import BUTTON_FIELDS, parse_button
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.board import Board
from pikarelay.services.cancel_job import cancel_job
from pikarelay.services.ports import Store
from pikarelay.services.press_button import PressButton
from pikarelay.services.read_job import read_job
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.run_command import RunCommand
from pikarelay.services.submit_job import Submitted

_log = structlog.get_logger(__name__)

_BUTTON_RULES = FormRules(fields=BUTTON_FIELDS)
#: For each file that a form may hold: the largest image, and room for the form around it.
_BODY_PER_FILE = 26 * 1024 * 1024


class PikaOperations:
    """Handlers for jobs."""

    def __init__(
        self,
        store: Store,
        board: Board,
        authenticator: Authenticator,
        press_button: PressButton,
        run_command: RunCommand,
        recorder: EventRecorder,
        open_sink: OpenSink,
    ) -> None:
        self._store = store
        self._board = board
        self._authenticator = authenticator
        self._press_button = press_button
        self._run_command = run_command
        self._recorder = recorder
        self._open_sink = open_sink

    def table(self) -> list[Operation]:
        """Return what is served."""
        return [
            *(self._command(form) for form in COMMAND_FORMS),
            Operation(
                method="POST",
                path="/v1/pika/button",
                handler=self.button,
                summary="Press a button of a finished job",
            ),
            Operation(
                method="GET",
                path="/v1/pika/jobs",
                handler=self.jobs,
                summary="List executing jobs",
                slash_matters=True,
            ),
            Operation(method="GET", path="/v1/pika/jobs/cancel", handler=self.cancel, summary="Cancel a job"),
            Operation(
                method="GET",
                path="/v1/pika/jobs/",
                handler=self.job,
                summary="Read a job",
                slash_matters=True,
            ),
        ]

    def _command(self, form: CommandForm) -> Operation:
        """Return the operation that runs one of the bot's commands."""
        rules = FormRules(
            fields=form.fields, files=form.files, max_body_with_files=len(form.files) * _BODY_PER_FILE
        )

        async def run(exchange: Exchange) -> Reply:
            caller = await self._authenticator.subscriber(bearer_token(exchange))
            async with self._form(exchange, rules) as found:
                request = parse_command(form, found.texts, found.files)
                return self._submitted(await self._run_command(caller, request, required=form.missing))

        return Operation(method="POST", path=f"/v1/pika/{form.name}", handler=run, summary=form.summary)

    async def button(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.subscriber(bearer_token(exchange))
        async with self._form(exchange, _BUTTON_RULES) as form:
            return self._submitted(await self._press_button(caller, parse_button(form.texts)))

    async def job(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.subscriber(bearer_token(exchange))
        job = await read_job(self._store, caller, exchange.query("jobid"))
        return Reply(body=encode(job_body(job)))

    async def jobs(self, exchange: Exchange) -> Reply:
        """The list; with `?jobid=` the one job, as clients ask for it with and without the slash."""
        if exchange.query("jobid") is not None:
            return await self.job(exchange)
        caller = await self._authenticator.subscriber(bearer_token(exchange))
        return Reply(body=encode(await self._store.executing(caller.caller_id)))

    async def cancel(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.subscriber(bearer_token(exchange))
        job = await cancel_job(self._store, self._recorder, caller, exchange.query("jobid"))
        return Reply(body=encode(cancelled_body(job)))

    @asynccontextmanager
    async def _form(self, exchange: Exchange, rules: FormRules) -> AsyncIterator[Form]:
        """Read the body. When the request comes to nothing, so do its files."""
        form = await read_form(exchange.receive, exchange.scope["headers"], rules, self._open_sink)
        try:
            yield form
        except BaseException:
            await form.discard()
            raise

    def _submitted(self, submitted: Submitted) -> Reply:
        job = submitted.job
        _log.info("job.answered", job_id=job.job_id, verb=job.verb.value, status=job.status.value)
        return Reply(
            status=submitted.code,
            body=encode(job_body(job, submitted.code)),
            after=lambda: self._board.close_answer(job.job_id),
        )
