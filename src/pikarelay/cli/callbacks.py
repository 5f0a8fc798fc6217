"""`pikarelay callbacks`: how callers were called back, and once more."""

import json
from datetime import UTC, datetime

from cyclopts import App

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import (
    Where,
    in_offices,
    say,
)
from pikarelay.contract.bodies import encode
from pikarelay.contract.callbacks import callback_body, parse_listing, parse_replay, replay_body, target_state
from pikarelay.contract.urls import origin_of

callbacks = App(name="callbacks", help="Look at callbacks and where they go, and send them again.")


@callbacks.command(name="list")
def list_callbacks(
    *,
    where: Where | None = None,
    state: str = "",
    target: str = "",
    since: str = "",
    until: str = "",
    limit: int = 100,
) -> None:
    """List callbacks that are not delivered, newest first, one line of JSON each: state waiting, or dead."""

    async def list_all(offices: Offices) -> None:
        texts = {"state": state, "target": target, "since": since, "until": until, "limit": str(limit)}
        for found in await offices.callbacks.undelivered(*parse_listing(texts, None)):
            say(encode(callback_body(found)).decode())

    in_offices(where, list_all)


@callbacks.command(name="show")
def show_callback(job_id: str, /, *, where: Where | None = None) -> None:
    """Show a job's callback, how its target stands, and the log of its tries, as JSON."""

    async def show(offices: Offices) -> None:
        record, target, log = await offices.callbacks.show(job_id)
        shown = json.loads(encode(callback_body(record, target, log, datetime.now(UTC))))
        # ASCII only: a receiver's answer may hold what a terminal would obey.
        say(json.dumps(shown, indent=2))

    in_offices(where, show)


@callbacks.command(name="replay")
def replay_callbacks(
    job_id: str = "",
    /,
    *,
    where: Where | None = None,
    target: str = "",
    since: str = "",
    until: str = "",
) -> None:
    """
    Send one job's callback again, or all dead letters of a target, of a range of time, or of both.

    A server that runs finds them within five seconds.
    """

    async def replay(offices: Offices) -> None:
        texts = {"jobid": job_id, "target": target, "since": since, "until": until}
        meant = parse_replay(texts, None, datetime.now(UTC))
        if isinstance(meant, str):
            await offices.callbacks.replay(meant)
            say(encode(replay_body([meant], {})).decode())
            return
        done = await offices.callbacks.replay_dead(meant)
        say(encode(replay_body(done.replayed, done.refused)).decode())

    in_offices(where, replay)


@callbacks.command(name="targets")
def callback_targets(
    *, where: Where | None = None, enable: str = "", disable: str = "", limit: int = 100
) -> None:
    """
    List where callbacks go and how that does, failing ones first, one line of JSON each; or switch a target.

    Parameters
    ----------
    enable
        Target to begin anew with, whatever happened.
    disable
        Target to send nothing to. What is due there becomes a dead letter.
    """

    async def switch(offices: Offices) -> None:
        for origin, on in ((disable, False), (enable, True)):
            if origin:
                await offices.callbacks.switch(origin_of(origin), on=on)
        for found in () if enable or disable else await offices.callbacks.targets(limit):
            shown = json.loads(encode(found))
            say(json.dumps({"state": target_state(found, datetime.now(UTC)), **shown}))

    in_offices(where, switch)
