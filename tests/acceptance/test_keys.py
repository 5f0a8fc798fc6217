"""`pikarelay key`, run as an operator runs it."""

import json
import stat
from pathlib import Path

from tests.acceptance.servers import Local, Relay, relay
from tests.acceptance.test_command_line import command


def test_rotation_beside_a_server(server: Relay, local: Local) -> None:
    """A rotation seals everything by a new key, while a server that knows nothing of it goes on."""
    token, channel = local.new_user("key-rotate")
    parent = server.created("a kite", token, channel)

    done = server.command("key", "rotate")
    listed = server.command("key", "list").stdout.splitlines()
    shown = server.job(parent["jobid"])
    pressed = server.post("button", {"jobid": parent["jobid"], "button": "retry"})

    assert 0 == done.returncode, done.stderr
    assert "Data key 2 seals secrets from now on." in done.stdout
    assert ["1", "2"] == [line.split()[0] for line in listed]
    assert "old" in listed[0]
    assert "in use" in listed[1]
    assert f"{token[:3]}…secured…{token[-3:]}" == shown["discord"]
    assert 200 == pressed.status_code, pressed.text


def test_root_key_is_replaced(tmp_path: Path, local: Local) -> None:
    """Another root key opens everything from then on, the one before opens nothing, and what to do is said."""
    with relay(tmp_path, local, discord_press_interval_seconds="0") as first:
        parent = first.created("a kite", *local.new_user("key-rewrap"))
    data, file = first.data_folder, tmp_path / "keys" / "root.key"

    done = command(data, "key", "rewrap", "--new-root-key-file", str(file))
    refused = command(data, "key", "list")
    again = command(
        data, "key", "rewrap", "--new-root-key-file", str(file), PIKARELAY_ROOT_KEY_FILE=str(file)
    )
    with relay(tmp_path, local, root_key_file=str(file), discord_press_interval_seconds="0") as second:
        pressed = second.post("button", {"jobid": parent["jobid"], "button": "retry"})

    fingerprint = done.stdout.splitlines()[0].split()[-1].rstrip(".")
    assert 0 == done.returncode, done.stderr
    assert f"Set store.root_key_file to {file}" in done.stdout
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 78 == refused.returncode
    assert fingerprint in refused.stderr
    assert 78 == again.returncode
    assert "nothing to do" in again.stderr
    assert 200 == pressed.status_code, json.dumps(pressed.json())
