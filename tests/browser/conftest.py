"""A browser, and both servers for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route, sync_playwright

from tests.acceptance.servers import PATIENCE, Local, Relay, local_discord, relay

#: What keeps Chromium from looking for anything on its own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Local]:
    with local_discord(folder, speed=0.1) as running:
        yield running
        assert running.violations() == {}


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    with relay(folder, local, discord_press_interval_seconds="0") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("Chromium is not installed: run make system", pytrace=False)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that reaches this machine alone. At its end, nothing else was asked for and nothing of it has failed."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(PATIENCE * 1000)
    asked: list[str] = []
    failures: list[str] = []

    def guard(route: Route) -> None:
        host = urlsplit(route.request.url).hostname
        if host == "127.0.0.1":
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    context.route("**/*", guard)
    page = context.new_page()
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda line: failures.append(line.text) if is_failure(line) else None)
    page.on("response", lambda answer: failures.append(answer.url) if is_missing(answer) else None)
    yield page
    context.close()

    assert [] == asked
    assert [] == failures


def is_failure(line: ConsoleMessage) -> bool:
    """Whether a line of the console tells of an error, a breach of the page's policy included. Statuses are not errors."""
    return line.type == "error" and not line.text.startswith("Failed to load resource: the server responded")


def is_missing(answer: Response) -> bool:
    """Whether a part of the page could not be had. What the API answers is the test's own business."""
    return answer.status >= 400 and not urlsplit(answer.url).path.startswith("/v1/")
