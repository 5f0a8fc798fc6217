"""The `pikarelay` command, run as an operator runs it."""

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
import requests

from tests.acceptance.servers import BIN, PATIENCE, Local, Relay, clean_environment, relay


def command(
    folder: Path, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command on the data in `folder`."""
    return subprocess.run(
        [str(BIN / "pikarelay"), *arguments, "--data-folder", str(folder)],
        input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**clean_environment(), **environment},
    )  # fmt: skip


def test_tokens(server: Relay) -> None:
    """A token that is issued works, is listed without itself, and ends when it is revoked."""
    token = server.new_token("agency")
    headers = {"Authorization": f"Bearer {token}"}
    before = requests.get(f"{server.url}/v1/pika/jobs", headers=headers, timeout=PATIENCE)
    listed = server.command("token", "list").stdout
    token_id = next(line.split()[0] for line in listed.splitlines() if line.endswith("agency"))

    revoked = server.command("token", "revoke", token_id)
    after = requests.get(f"{server.url}/v1/pika/jobs", headers=headers, timeout=PATIENCE)
    again = server.command("token", "revoke", token_id)

    assert (200, 401) == (before.status_code, after.status_code)
    assert token not in listed
    assert 0 == revoked.returncode
    assert 1 == again.returncode
    assert 1 == len(again.stderr.splitlines())


def test_accounts(server: Relay, local: Local) -> None:
    """An account is set with its token from stdin, listed masked, used, and removed."""
    token, channel = local.new_user("cli-account")

    done = server.command("account", "set", channel, "--max-jobs", "4", stdin=token + "\n")
    listed = server.command("account", "list").stdout
    used = server.post("create", {"prompt": "a tree", "channel": channel})
    shown = server.get(f"/v1/pika/account/{channel}").json()
    removed = server.command("account", "remove", channel)
    again = server.command("account", "remove", channel)

    assert 0 == done.returncode, done.stderr
    assert token not in listed
    masked = {"channel": channel, "discord": f"{token[:3]}…secured…{token[-3:]}", "maxJobs": 4}
    (told,) = (its for its in map(json.loads, listed.splitlines()) if its["channel"] == channel)
    assert masked == {key: told[key] for key in masked}
    assert told["state"] in {"offline", "connecting", "ready"}
    assert masked == shown
    assert 200 == used.status_code, used.text
    assert (0, 1) == (removed.returncode, again.returncode)
    assert "Configuration not found" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["account", "set", "12", "--max-jobs", "4"], "t" * 60, "is not valid Discord channel id"),
        (["account", "set", "1180000000000000009", "--max-jobs", "11"], "t" * 60, "can't be more that 10"),
        (["account", "set", "1180000000000000009"], "", "Required param discord is missing or empty"),
        (["jobs", "show", "nothing"], "", "There is no job nothing."),
    ],
)
def test_refusals_are_one_line(server: Relay, arguments: list[str], stdin: str, said: str) -> None:
    """What cannot be done is said in one line on stderr, with status 1."""
    done = server.command(*arguments, stdin=stdin)

    assert (1, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_check(tmp_path: Path, local: Local) -> None:
    """`check` finds a good server good, and says what is wrong with an account and what to do."""
    # Beside a running server the wrong token would be shown to Discord twice, which Discord holds against it.
    environment = {"PIKARELAY_DISCORD_API_URL": local.api}
    command(tmp_path, "token", "add")
    good = command(tmp_path, "check", **environment)
    token, channel = local.new_user("cli-check")
    command(tmp_path, "account", "set", channel, stdin=token[:-1] + ("x" if token[-1] != "x" else "y"))
    bad = command(tmp_path, "check", **environment)

    assert 0 == good.returncode, good.stdout
    assert 1 == bad.returncode
    assert f"`pikarelay account set {channel}` with a new one" in bad.stdout
    assert token not in bad.stdout


def test_check_before_anything(tmp_path: Path) -> None:
    """Without a database, and without a Discord to be reached, `check` says both and makes nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/api/v9"

    done = command(tmp_path / "none", "check", PIKARELAY_DISCORD_API_URL=closed)

    assert 1 == done.returncode
    assert "There is no database" in done.stdout
    assert "Discord does not answer" in done.stdout
    assert not (tmp_path / "none").exists()


def test_wrong_settings(tmp_path: Path) -> None:
    """A setting that is none, or has a value that cannot be, is said by name, with status 2."""
    done = command(
        tmp_path, "config", PIKARELAY_HTTP_PROT="80", PIKARELAY_HTTP_HOST="x", PIKARELAY_LOG_LEVEL="loud"
    )

    assert 2 == done.returncode
    assert "PIKARELAY_HTTP_PROT is no setting; did you mean PIKARELAY_HTTP_PORT?" in done.stderr
    assert "PIKARELAY_LOG_LEVEL must be one of" in done.stderr


def test_config_masks_secrets(tmp_path: Path) -> None:
    """The settings in force are shown, the root key masked."""
    key = "0123456789abcdef" * 4

    done = command(tmp_path, "config", PIKARELAY_ROOT_KEY=key, PIKARELAY_HTTP_PORT="9999")

    assert "http.port = 9999" in done.stdout
    assert key not in done.stdout


def test_migrate(tmp_path: Path) -> None:
    """`migrate` makes the schema, says so, and has nothing to do the second time."""
    first, second = command(tmp_path, "migrate"), command(tmp_path, "migrate")

    assert "The schema went from nothing to" in first.stdout
    assert "The schema is current" in second.stdout


def test_first_start(tmp_path: Path, local: Local) -> None:
    """The first start makes a private key and one token; the second keeps both and shows no token."""
    with relay(tmp_path, local) as first:
        token = first.api_token
        key = first.data_folder / "root.key"
        mode = stat.S_IMODE(key.stat().st_mode)
        content = key.read_bytes()
    with relay(tmp_path, local) as second:
        answer = requests.get(
            f"{second.url}/v1/pika/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
        )

    assert 0o600 == mode
    assert content == key.read_bytes()
    assert (200, []) == (answer.status_code, answer.json())
    assert token not in first.log.read_text()


def test_wide_open_key(tmp_path: Path, local: Local) -> None:
    """A root key that others can read keeps the server from starting, with the fix in one line."""
    with relay(tmp_path, local) as first:
        folder = first.data_folder
    (folder / "root.key").chmod(0o644)

    done = command(folder, "serve", "--port", "0")

    assert os.EX_CONFIG == done.returncode
    assert str(folder / "root.key") in done.stderr
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be refused")
def test_not_as_root(tmp_path: Path) -> None:
    """Root is refused before anything is made, in one line with what to do; commands are not."""
    folder = tmp_path / "data"
    done = command(folder, "serve", "--port", "0", PIKARELAY_NODE_ALLOW_ROOT="false")

    assert os.EX_CONFIG == done.returncode
    assert "PIKARELAY_NODE_ALLOW_ROOT" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert not folder.exists()
    assert 0 == command(folder, "token", "list", PIKARELAY_NODE_ALLOW_ROOT="false").returncode


def test_port_in_use(tmp_path: Path) -> None:
    """A port that is taken is said in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command(tmp_path, "serve", "--port", str(taken.getsockname()[1]))

    assert 1 == done.returncode
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the server with status 0."""
    with subprocess.Popen(
        [str(BIN / "pikarelay"), "serve", "--port", "0", "--json", "--data-folder", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline()

        process.send_signal(number)

        assert 0 == process.wait(PATIENCE)


def test_ends_with_its_parent(tmp_path: Path) -> None:
    """With --until-stdin-closes the server ends when nobody holds its stdin any more."""
    line = [str(BIN / "pikarelay"), "serve", "--port", "0", "--json", "--until-stdin-closes"]
    with subprocess.Popen(
        [*line, "--data-folder", str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline()

        process.stdin.close()

        assert 0 == process.wait(PATIENCE)


def test_module() -> None:
    """`python -m pikarelay` is the same command."""
    done = subprocess.run(
        [str(BIN / "python"), "-m", "pikarelay", "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )  # fmt: skip

    assert "0.1.0" == done.stdout.strip()


def test_collector_is_spared() -> None:
    """Of what is there when the server begins, the garbage collector looks at next to nothing again."""
    counting = (
        "import gc; from pikarelay.cli.serve import spare_what_stays; before = len(gc.get_objects()); "
        "spare_what_stays(); print(before, len(gc.get_objects()))"
    )
    done = subprocess.run(
        [str(BIN / "python"), "-c", counting], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    before, left = map(int, done.stdout.split())

    assert before > 10_000
    assert left < before / 100
