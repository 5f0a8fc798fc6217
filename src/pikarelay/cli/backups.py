"""`pikarelay backup`, `restore` and `settle`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pikarelay import logs
from pikarelay.bootstrap import backups, settling
from pikarelay.cli.frame import Where, load_settings, run, say


def backup(folder: Path, /, *, where: Where | None = None) -> None:
    """
    Make a backup in a new folder, while a server may go on working. The root key is not in it.

    Parameters
    ----------
    folder
        Where the backup goes. Must not be there yet, or be empty.
    """
    run(backups.back_up(load_settings(where), folder, say))


def restore(
    folder: Path,
    /,
    *,
    where: Where | None = None,
    without_root_key: Annotated[bool, Parameter(negative="")] = False,
    revoke_tokens: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """
    Put a backup back into a data folder that has no database. Everything in the backup is verified first.

    Put the root key in its place before. Jobs that had not been sent to Discord when the backup was made fail.

    Parameters
    ----------
    folder
        The backup.
    without_root_key
        The root key is lost: go on with another one. All accounts have to be set up again, and are listed.
    revoke_tokens
        Revoke all API tokens, so that none that was revoked since is valid again.
    """
    settings = load_settings(where)
    logs.set_up(level="warning", as_json=False)
    run(
        backups.restore(settings, folder, say, without_root_key=without_root_key, revoke_tokens=revoke_tokens)
    )


def settle(
    *, where: Where | None = None, revoke_tokens: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """
    Do to a database that was put back by its own means, `pg_restore` say, what `restore` does to a backup of ours.

    Before a server starts on it. Jobs that had not been sent to Discord by then fail; else they would be pressed now.

    Parameters
    ----------
    revoke_tokens
        Revoke all API tokens, so that none that was revoked since is valid again.
    """
    settings = load_settings(where)
    logs.set_up(level="warning", as_json=False)
    run(settling.settle_store(settings, say, revoke_tokens=revoke_tokens))
