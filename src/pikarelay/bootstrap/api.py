"""The role `api`: everything between a caller's socket and the store."""

import random
from typing import TYPE_CHECKING

from pikarelay import __version__
from pikarelay.api.account_operations import AccountOperations
from pikarelay.api.app import Api
from pikarelay.api.callback_operations import CallbackOperations
from pikarelay.api.files import Files
from pikarelay.api.forms import CloseUnread
from pikarelay.api.front_door import Limits
from pikarelay.api.health import health
from pikarelay.api.operations import PikaOperations
from pikarelay.api.pages import pages
from pikarelay.api.routing import RouteTable
from pikarelay.api.server import HttpServer
from pikarelay.bootstrap.node import Node
from pikarelay.bootstrap.offices import files_at
from pikarelay.bootstrap.workers import Works
from pikarelay.contract.openapi import openapi_document
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.find_file import FileFinder
from pikarelay.services.press_button import PressButton
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.run_command import RunCommand
from pikarelay.services.submit_job import HeardOf, Submission

if TYPE_CHECKING:
    from pikarelay.api.metrics import RequestMeter


def open_http(
    node: Node, works: Works | None, authenticator: Authenticator, meter: "RequestMeter | None"
) -> HttpServer:
    """Bind the port, and put together what answers there. `works` is this process's, if it works."""
    store, clock, ids = node.store, node.clock, node.ids
    # Where others share the store, whoever holds the channel hears of the job, this process too.
    presses = HeardOf() if works is None or node.holdings is not None else works.presser
    submission = Submission(store, node.answers, presses, node.settings.discord.answer_wait)
    operations = PikaOperations(
        store=store,
        answers=node.answers,
        authenticator=authenticator,
        answer_once=AnswerOnce(store, node.answers, clock),
        press_button=PressButton(store, submission, clock, ids),
        run_command=RunCommand(store, submission, clock, ids, random.random),
        # What callers say is obeyed wherever they say it; only workers have to hold what they change.
        recorder=EventRecorder(store, node.board, clock, ids, files_at(node.settings)),
        open_sink=node.uploads.open_sink,
        links=node.links,
        files_at=files_at(node.settings),
    )
    account_operations = AccountOperations(
        authenticator, node.offices.accounts, node.offices.callers, node.offices.health
    )
    callback_operations = CallbackOperations(authenticator, node.offices.callbacks, clock)
    files = Files(FileFinder(store, node.links, node.mirror, node.board, clock))
    table = [*operations.table(), *account_operations.table(), *callback_operations.table()]
    more = [*files.table(), *health(node.readiness)]
    api = Api(RouteTable([*table, *more, *pages(openapi_document(table, __version__))]), meter)
    return _bind(node, api)


def open_health(node: Node) -> HttpServer:
    """Bind the port of a node that answers no callers, for those who watch over it."""
    return _bind(node, Api(RouteTable(health(node.readiness))))


def _bind(node: Node, api: Api) -> HttpServer:
    settings, shares = node.settings.http, node.shares
    limits = Limits(connections=shares.connections, told=shares.told)
    return HttpServer(CloseUnread(api), settings.host, settings.port, limits)
