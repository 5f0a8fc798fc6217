"""The installed server with PostgreSQL behind it: nothing that callers or operators do is different."""

from pathlib import Path

import pytest

from tests.acceptance.servers import Local, Receiver, relay
from tests.postgres import PostgresServer


@pytest.fixture
def address(postgres: PostgresServer, folder: Path) -> str:
    """A file with the address of an empty database."""
    file = folder / "address"
    file.write_text(postgres.new_database(is_migrated=False) + "\n")
    return str(file)


# It starts seven programs, one after the other.
@pytest.mark.timeout(240)
def test_a_server_on_postgresql(folder: Path, local: Local, hook: Receiver, address: str) -> None:
    """From an empty database to two videos and a callback, over a restart, with the same commands as ever."""
    token, channel = local.new_user("postgres")
    quick = {
        "database_file": address,
        "discord_press_interval_seconds": "0",
        "discord_api_url": local.api,
    }
    with relay(folder, local, **quick) as server:
        assert server.command("account", "set", channel, stdin=token).returncode == 0
        parent = server.created("a boat", token, channel)
        check = server.command("check")

        assert 0 == check.returncode, check.stdout
        assert "secret-word" not in check.stdout
        assert "postgresql://pikarelay@127.0.0.1" in check.stdout
    with relay(folder, local, **quick) as server:
        answer = server.post("button", {"jobid": parent["jobid"], "button": "retry", "replyUrl": hook.url})

        assert 200 == answer.status_code, answer.text
        assert server.finished(answer.json()["jobid"]) == hook.next().job
        assert "nothing to do" in server.command("migrate").stdout
        assert not list(server.data_folder.glob("*.sqlite3"))


def test_no_database(folder: Path, local: Local, tmp_path: Path) -> None:
    """A database that is not there is named in one line, without the password."""
    (tmp_path / "address").write_text("postgresql://me:secret-word@127.0.0.1:1/none")
    with (
        pytest.raises(AssertionError, match="did not start"),
        relay(tmp_path, local, database_file=str(tmp_path / "address")),
    ):
        pass

    said = (tmp_path / "pikarelay.log").read_text()
    assert "The database postgresql://me@127.0.0.1:1/none cannot be used" in said
    assert "secret-word" not in said
    assert 1 == said.count("\n")


def test_move(folder: Path, local: Local, address: str, tmp_path: Path) -> None:
    """A server whose store was moved goes on with the same token, the same jobs and the same secrets."""
    token, channel = local.new_user("mover")
    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        parent = server.created("a ship", token, channel)
        here = server
    refused = here.command("move-store")
    here.environment = {"PIKARELAY_DATABASE_FILE": address}
    done = here.command("move-store")

    assert 2 == refused.returncode
    assert "store.database is no PostgreSQL address" in refused.stderr
    assert 0 == done.returncode, done.stderr
    assert "jobs: 1 rows are the same in both, SHA-256 " in done.stdout
    with relay(tmp_path, local, database_file=address, discord_press_interval_seconds="0") as moved:
        assert parent == moved.job(parent["jobid"])
