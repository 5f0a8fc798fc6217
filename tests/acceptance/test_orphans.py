"""`pikarelay orphans`, beside a running server."""

import json
import time

from tests.acceptance.servers import PATIENCE, Local, Relay


def test_orphan_is_found_and_assigned(server: Relay, local: Local) -> None:
    """The video of a cancelled job is listed, shown, refused to the job that has ended, and completes the one that runs."""
    seat = local.new_user("orphans")
    local.configure_pika(behaviour="plain", speed=0.3)
    parent = server.created("a lighthouse", *seat)
    retry = {"jobid": parent["jobid"], "button": "retry"}
    gone = server.post("button", retry).json()["jobid"]
    server.get(f"/v1/pika/jobs/cancel/?jobid={gone}")
    local.configure_pika(speed=30.0)
    deadline = time.monotonic() + PATIENCE
    while not (listed := server.command("orphans", "list").stdout):
        assert time.monotonic() < deadline, "no orphan came"
    line = json.loads(listed)
    running = server.post("button", retry).json()["jobid"]

    shown = json.loads(server.command("orphans", "show", line["orphan"]).stdout)
    refused = server.command("orphans", "assign", line["orphan"], gone)
    assigned = server.command("orphans", "assign", line["orphan"], running)
    local.configure_pika(speed=0.0)

    assert ("late", "result", [gone]) == (line["reason"], line["kind"], line["candidates"])
    assert line["attachments"] == [a["url"] for a in shown["message"]["attachments"]]
    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "has ended as cancelled" in refused.stderr
    assert (0, "completed") == (assigned.returncode, json.loads(assigned.stdout)["status"])
    assert line["orphan"] == server.job(running)["messageId"]
    assert "" == server.command("orphans", "list").stdout
