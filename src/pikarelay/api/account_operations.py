"""The operations on accounts, and on the caller's own record. None of them needs a subscription."""

from collections.abc import Mapping

import structlog

from pikarelay.api.bearer import credentials
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.forms import FormRules, UploadSink, read_form
from pikarelay.api.routing import Operation
from pikarelay.contract import documentation
from pikarelay.contract.accounts import (
    ACCOUNT_FIELDS,
    CALLER_FIELDS,
    AccountHealthListBody,
    account_body,
    account_health_body,
    caller_body,
    parse_account,
    parse_reply_url,
)
from pikarelay.contract.bodies import encode
from pikarelay.errors import MalformedBody, Unauthorized
from pikarelay.services.account_health import HealthOffice
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.configure_account import AccountOffice
from pikarelay.services.configure_caller import CallerOffice, CallerUnknown

_log = structlog.get_logger(__name__)

_ACCOUNT_RULES = FormRules(fields=ACCOUNT_FIELDS)
_CALLER_RULES = FormRules(fields=CALLER_FIELDS)


class AccountOperations:
    """Handlers for `/v1/pika/account` and `/v2/account`, and for `/v1/pikarelay/accounts`."""

    def __init__(
        self,
        authenticator: Authenticator,
        accounts: AccountOffice,
        callers: CallerOffice,
        health: HealthOffice,
    ) -> None:
        self._authenticator = authenticator
        self._health = health
        self._accounts = accounts
        self._callers = callers

    def table(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/pika/account/{channel}"
        return [
            Operation(
                method="GET",
                path="/v1/pika/account",
                handler=self.read_all,
                summary="List configured accounts",
                documentation=documentation.ACCOUNTS,
            ),
            Operation(
                method="GET",
                path=one,
                handler=self.read,
                summary="Read an account",
                documentation=documentation.ACCOUNT,
            ),
            Operation(
                method="POST",
                path=one,
                handler=self.configure,
                summary="Create or update an account",
                documentation=documentation.SET_ACCOUNT,
            ),
            Operation(
                method="DELETE",
                path=one,
                handler=self.remove,
                summary="Delete an account",
                documentation=documentation.DELETE_ACCOUNT,
            ),
            Operation(
                method="GET",
                path="/v1/pikarelay/accounts",
                handler=self.health,
                summary="See how your accounts fare",
                documentation=documentation.ACCOUNTS_HEALTH,
            ),
            Operation(
                method="GET",
                path="/v2/account",
                handler=self.caller,
                summary="Read who you are",
                documentation=documentation.CALLER,
            ),
            Operation(
                method="GET",
                path="/v1/account",
                handler=self.caller_v1,
                summary="Read who you are, in the older form",
                documentation=documentation.CALLER_V1,
            ),
            Operation(
                method="POST",
                path="/v2/account",
                handler=self.set_reply_url,
                summary="Set the default callback address",
                documentation=documentation.SET_REPLY_URL,
            ),
        ]

    async def read_all(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange))
        accounts = await self._accounts.read_all(caller)
        return Reply(body=encode({account.channel: account_body(account) for account in accounts}))

    async def read(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange))
        account = await self._accounts.read(caller, exchange.parameters["channel"])
        return Reply(body=encode(account_body(account)))

    async def health(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange))
        found = await self._health.of_caller(caller)
        body = AccountHealthListBody(accounts=tuple(account_health_body(*one) for one in found))
        return Reply(body=encode(body))

    async def configure(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.administrator(credentials(exchange))
        texts = await self._texts(exchange, _ACCOUNT_RULES)
        request = parse_account(texts, exchange.parameters["channel"])
        await self._accounts.configure(caller, request)
        _log.info("account.set", request_id=exchange.request_id, channel=request.channel)
        return Reply(status=204)

    async def remove(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.administrator(credentials(exchange))
        channel = exchange.parameters["channel"]
        await self._accounts.remove(caller, channel)
        _log.info("account.removed", request_id=exchange.request_id, channel=channel)
        return Reply(status=204)

    async def caller(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.identify(credentials(exchange))
        return Reply(body=encode(caller_body(caller)))

    async def caller_v1(self, exchange: Exchange) -> Reply:
        """The older form, which had no default `replyUrl`."""
        caller = await self._authenticator.identify(credentials(exchange))
        return Reply(body=encode(caller_body(caller, with_reply_url=False)))

    async def set_reply_url(self, exchange: Exchange) -> Reply:
        caller = await self._authenticator.administrator(credentials(exchange))
        texts = await self._texts(exchange, _CALLER_RULES)
        try:
            changed = await self._callers.configure(caller, parse_reply_url(texts))
        except CallerUnknown:
            # Removed while the body came.
            raise Unauthorized from None
        _log.info("caller.reply_url_set", request_id=exchange.request_id)
        return Reply(body=encode(caller_body(changed)))

    async def _texts(self, exchange: Exchange, rules: FormRules) -> Mapping[str, str]:
        form = await read_form(
            exchange.receive, exchange.scope["headers"], rules, _no_files, place=exchange.place
        )
        return form.texts


def _no_files(_media_type: str | None) -> UploadSink:
    raise MalformedBody
