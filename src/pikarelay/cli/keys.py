"""`pikarelay key`: what seals the stored secrets."""

import sys
from pathlib import Path

from cyclopts import App

from pikarelay.bootstrap import stores
from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import Where, in_offices, load_settings, run, say
from pikarelay.services.ports import KeyFacts
from pikarelay.services.rotate_keys import Pass

key = App(name="key", help="Look at the keys that seal stored secrets, and replace them.")

#: Secrets between two lines on how far it is.
_TELL_EVERY = 10_000


@key.command(name="list")
def list_keys(*, where: Where | None = None) -> None:
    """List data keys: number, when it was made, whether it seals new secrets, and the root key that it hangs on."""

    async def list_all(offices: Offices) -> None:
        *older, newest = await offices.store.keys.keys()
        for found in older:
            say(_line(found, "old"))
        say(_line(newest, "in use" if newest.finished or not older else "replacing the others"))

    in_offices(where, list_all)


@key.command(name="rotate")
def rotate_key(*, where: Where | None = None) -> None:
    """
    Make a new data key, and seal all secrets by it, while a server may go on working.

    Can be interrupted at any moment: a server that runs or is started next finishes it, and so does this command.
    """

    async def rotate(offices: Offices) -> None:
        done = await offices.keys.rotate(
            lambda begun: say(f"Data key {begun.number} seals secrets from now on."), _Teller()
        )
        say(f"It has sealed all {done.looked_at - done.left} of them.")
        if done.left:
            say(
                f"{done.left} more cannot be read, and are as they were: `pikarelay check` names their accounts."
            )

    in_offices(where, rotate)


@key.command(name="rewrap")
def rewrap_keys(*, where: Where | None = None, new_root_key_file: Path) -> None:
    """
    Hang all data keys on another root key, at once. The secrets themselves are not touched.

    Afterwards the settings must name the new file, and servers that run must be started again before the next `key rotate`.

    Parameters
    ----------
    new_root_key_file
        File with the new root key; made when it is not there.
    """
    run(stores.change_root_key(load_settings(where), new_root_key_file, say))


class _Teller:
    """Says now and then how far a pass is."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, so_far: Pass) -> None:
        step = so_far.looked_at // _TELL_EVERY
        if step != self._told:
            self._told = step
            sys.stderr.write(f"{so_far.looked_at} looked at, {so_far.resealed} sealed anew\n")


def _line(found: KeyFacts, state: str) -> str:
    made = "at the first start" if found.created is None else f"{found.created:%Y-%m-%dT%H:%M:%SZ}"
    return f"{found.number}  made {made}  {state}  root key {found.root_fingerprint}"
