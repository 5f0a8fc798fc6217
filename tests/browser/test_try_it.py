"""The page at `/`, as a reader uses it."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.servers import PATIENCE, Local, Relay

expect.set_options(timeout=PATIENCE * 1000)

STARTED = re.compile(r'"status": "started"')


@pytest.fixture(scope="module")
def seat(server: Relay, local: Local) -> tuple[str, str]:
    """A Discord token and its channel, configured as an account."""
    token, channel = local.new_user("browser")
    stored = server.command("account", "set", channel, stdin=token)
    assert stored.returncode == 0, stored.stderr
    return token, channel


@pytest.fixture(scope="module")
def parent(server: Relay, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job."""
    return server.created("waves crashing over the sandy beach", *seat)


def authorize(page: Page, server: Relay) -> None:
    """Give the API token in Swagger UI's dialog."""
    page.goto(server.url)
    page.locator(".auth-wrapper .authorize").click()
    page.locator(".auth-container input").fill(server.api_token)
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()


def opened(page: Page, operation: str) -> Locator:
    """Open an operation of the list, and return it."""
    found = page.locator(f"#operations-{operation}")
    found.locator(".opblock-summary-control").click()
    return found


def field(operation: Locator, name: str) -> Locator:
    return operation.locator(f'tr[data-property-name="{name}"] input').first


def execute(operation: Locator) -> Locator:
    """Press Execute, and return the answer."""
    operation.locator("button.execute").click()
    return operation.locator(".live-responses-table tbody")


def test_press_follow_and_retry(page: Page, server: Relay, parent: dict[str, Any]) -> None:
    """The button form gets a started job, which is followed to its video and retried to another one."""
    authorize(page, server)
    button = opened(page, "Videos-button")
    field(button, "jobid").fill(parent["jobid"])

    answer = execute(button)

    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text(STARTED)
    expect(page.locator("#offer")).to_be_visible()
    expect(page.locator("#token")).to_have_value(server.api_token)

    page.get_by_role("button", name="Follow").click()
    first = shown_video(page, server)
    assert parent["jobid"] == first["parentJobId"]

    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#jobid")).not_to_have_value(first["jobid"])
    second = shown_video(page, server)
    assert first["jobid"] == second["parentJobId"]


def shown_video(page: Page, server: Relay) -> dict[str, Any]:
    """Wait for the followed job's end, check that its video plays, and return the job."""
    expect(page.locator("#status")).to_have_text("completed")
    video = page.locator("#videos video")
    job = server.job(page.locator("#jobid").input_value())
    expect(video).to_have_attribute("src", job["attachments"][0]["url"])
    page.wait_for_function("document.querySelector('#videos video').readyState >= 2")

    assert 1024 == video.evaluate("video => video.videoWidth")
    return job


def test_token_of_the_panel(page: Page, server: Relay, parent: dict[str, Any]) -> None:
    """A token given in the panel is Swagger UI's, too."""
    page.goto(server.url)
    page.locator("#token").fill(server.api_token)
    page.locator("#token").blur()
    job = opened(page, "Jobs-job")
    job.locator('tr[data-param-name="jobid"] input').fill(parent["jobid"])

    answer = execute(job)

    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text(parent["attachments"][0]["filename"])


def test_no_file_is_no_file(page: Page, server: Relay, seat: tuple[str, str]) -> None:
    """A form whose optional fields are sent empty, the file among them, makes a job without them."""
    authorize(page, server)
    create = opened(page, "Videos-create")
    expect(field(create, "image")).to_have_attribute("type", "file")

    answer = execute(create)

    expect(answer).to_contain_text(STARTED)
    job = server.finished(page.locator("#jobid").input_value())
    assert "completed" == job["status"]
    assert seat[1] == job["channel"]
    assert "image" not in job


def test_file(page: Page, server: Relay, seat: tuple[str, str], tmp_path: Path) -> None:
    """A file chosen in the form is uploaded."""
    image = tmp_path / "kite.png"
    Image.new("RGB", (320, 180), "red").save(image)
    authorize(page, server)
    animate = opened(page, "Videos-animate")
    field(animate, "image").set_input_files(image)

    answer = execute(animate)

    expect(answer).to_contain_text(STARTED)
    job = server.finished(page.locator("#jobid").input_value())
    assert ("completed", seat[1]) == (job["status"], job["channel"])
    assert {"size": image.stat().st_size, "type": "image/png"} == job["image"]


def test_refusal_is_shown(page: Page, server: Relay) -> None:
    """Following a job that is not there shows the API's own sentence."""
    page.goto(server.url)
    page.locator("#token").fill(server.api_token)
    page.locator("#jobid").fill("nothing")
    with page.expect_response("**/v1/pika/jobs/**") as answered:
        page.get_by_role("button", name="Follow").click()

    assert 404 == answered.value.status
    expect(page.locator("#error")).to_have_text("Unable to locate job nothing")
    expect(page.locator("#retry")).to_be_hidden()


def test_row_40_prompt_is_a_text(page: Page, server: Relay, seat: tuple[str, str]) -> None:
    """A prompt that is markup is shown as the text that it is: no element comes of it, and nothing of it runs."""
    marked = '<img id="forged" src="x" onerror="window.forged = 1">'
    made = server.created(marked, *seat)
    authorize(page, server)
    job = opened(page, "Jobs-job")
    job.locator('tr[data-param-name="jobid"] input').fill(made["jobid"])

    answer = execute(job)

    expect(answer).to_contain_text("onerror")
    assert 0 == page.locator("#forged").count()
    assert page.evaluate("window.forged === undefined")
