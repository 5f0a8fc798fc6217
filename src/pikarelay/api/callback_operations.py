"""
The operations on callbacks: extensions of this server, under a path of their own.

Each caller sees and replays the callbacks of its own jobs only. None of them needs a subscription: what is owed is owed.
"""

import structlog

from pikarelay.api.bearer import credentials
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.forms import FormRules, UploadSink, read_form
from pikarelay.api.routing import Operation
from pikarelay.contract import documentation
from pikarelay.contract.bodies import encode
from pikarelay.contract.callbacks import (
    REPLAY_FIELDS,
    CallbackListBody,
    callback_body,
    parse_listing,
    parse_replay,
    replay_body,
)
from pikarelay.errors import MalformedBody
from pikarelay.jobs.api_tokens import Scope
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.manage_callbacks import CallbackOffice
from pikarelay.services.ports import Clock

_log = structlog.get_logger(__name__)

#: A line of the log names no more jobs than that.
_LOGGED_AT_MOST = 100

_REPLAY_RULES = FormRules(fields=REPLAY_FIELDS)
_LISTING_PARAMETERS = ("state", "target", "since", "until", "limit")


class CallbackOperations:
    """Handlers for `/v1/pikarelay/callbacks`."""

    def __init__(self, authenticator: Authenticator, office: CallbackOffice, clock: Clock) -> None:
        self._authenticator = authenticator
        self._office = office
        self._clock = clock

    def table(self) -> list[Operation]:
        """Return what is served."""
        return [
            Operation(
                method="GET",
                path="/v1/pikarelay/callbacks",
                handler=self.undelivered,
                summary="List callbacks that are not delivered",
                documentation=documentation.CALLBACKS,
            ),
            Operation(
                method="POST",
                path="/v1/pikarelay/callbacks/replay",
                handler=self.replay,
                summary="Send callbacks again",
                documentation=documentation.REPLAY,
            ),
            Operation(
                method="GET",
                path="/v1/pikarelay/callbacks/{jobid}",
                handler=self.callback,
                summary="Read a job's callback and its log",
                documentation=documentation.CALLBACK,
            ),
        ]

    async def undelivered(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange), Scope.USE)
        texts = {name: exchange.query(name) or "" for name in _LISTING_PARAMETERS}
        which, limit = parse_listing(texts, caller.caller_id)
        found = await self._office.undelivered(which, limit)
        return Reply(body=encode(CallbackListBody(callbacks=tuple(map(callback_body, found)))))

    async def callback(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange), Scope.USE)
        record, target, log = await self._office.show(exchange.parameters["jobid"], caller.caller_id)
        return Reply(body=encode(callback_body(record, target, log, self._clock.now())))

    async def replay(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.administrator(credentials(exchange))
        form = await read_form(
            exchange.receive, exchange.scope["headers"], _REPLAY_RULES, _no_files, place=exchange.place
        )
        meant = parse_replay(form.texts, caller.caller_id, self._clock.now())
        if isinstance(meant, str):
            callback_id = await self._office.replay(meant, caller.caller_id)
            _log.info(
                "callback.replayed", request_id=exchange.request_id, callback_id=callback_id, job_id=meant
            )
            return Reply(body=encode(replay_body([meant], {})))
        replay = await self._office.replay_dead(meant)
        _log.info(
            "callbacks.replayed",
            request_id=exchange.request_id,
            count=len(replay.replayed),
            job_ids=replay.replayed[:_LOGGED_AT_MOST],
        )
        return Reply(body=encode(replay_body(replay.replayed, replay.refused)))


def _no_files(_media_type: str | None) -> UploadSink:
    raise MalformedBody
