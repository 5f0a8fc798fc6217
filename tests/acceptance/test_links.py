"""Links of finished jobs outlive the day that Discord gives them."""

import contextlib
import re
import sqlite3
import time

import requests

from tests.acceptance.servers import Local, Relay


def age(server: Relay, job_id: str, url: str) -> str:
    """Let the job's links end in five minutes, on the disk. Returns the link as it then is."""
    end = re.search(r"ex=([0-9a-f]+)", url)
    assert end is not None
    soon = f"ex={int(time.time()) + 300:x}"
    with contextlib.closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as opened, opened:
        opened.execute(
            "UPDATE jobs SET document = CAST(replace(CAST(document AS TEXT), ?, ?) AS BLOB) WHERE job_id = ?",
            (end[0], soon, job_id),
        )
    return url.replace(end[0], soon)


def test_ending_links_are_renewed(server: Relay, local: Local) -> None:
    """A poll for a job whose links are about to end gives out new ones, which work and stay."""
    local.configure_pika(behaviour="respond", speed=0.0, video="tiny")
    job = server.created("lasting", *local.new_user("links"))
    first = job["attachments"][0]["url"]
    aged = age(server, job["jobid"], first)
    renewed = server.job(job["jobid"])
    url = renewed["attachments"][0]["url"]

    assert aged != url
    assert aged.partition("?")[0] == url.partition("?")[0]
    assert 200 == requests.get(url, timeout=10).status_code
    assert url == server.job(job["jobid"])["attachments"][0]["url"]
    assert job["updated"] == renewed["updated"]
