"""
The demo's story: a video is made, its `retry` button pressed, the callback received, and both videos fetched.

What runs, and in which order, is here; how servers are started and stopped is in `demo_servers`.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn, Self

import requests
from demo_examples import CURL, JAVASCRIPT, PYTHON, Values, fill, press
from demo_servers import BIN, DemoFailedError, Receiver, Server, Servers, receiver, run
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule

ROOT = Path(__file__).resolve().parent.parent

PROMPT = "waves crashing over the sandy beach, overhead shot"

#: Seconds that one video may take. The local bot takes about five.
_VIDEO_SECONDS = 90
_POLL_SECONDS = 0.5
_STEPS = 8


class Stage:
    """What the audience sees: a line for each step, and on a terminal a bar below."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("Starting", total=_STEPS)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, what: str) -> None:
        self._progress.update(self._bar, description=what)

    def done(self, what: str) -> None:
        self.console.print(f"[green]✓[/] {what}", highlight=False, soft_wrap=True)
        self._progress.advance(self._bar)

    def note(self, what: str) -> None:
        self.console.print(what, style="dim", markup=False, highlight=False, soft_wrap=True)

    def show(self, title: str, body: dict[str, Any]) -> None:
        self.console.print(Rule(title, align="left"))
        self.console.print_json(data=body, ensure_ascii=False)


class Api:
    """The calls that a customer makes. No proxy of the environment is asked for the way to this machine."""

    def __init__(self, url: str, api_token: str) -> None:
        self.url = url
        self.api_token = api_token
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the answer's JSON. Raises `DemoFailedError` unless it is 200."""
        headers = {"Authorization": f"Bearer {self.api_token}"}
        answer = self._session.request(method, self.url + path, headers=headers, timeout=60, **content)
        if answer.status_code != 200:
            raise DemoFailedError(
                f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}"
            )
        body: dict[str, Any] = answer.json()
        return body

    def download(self, url: str) -> bytes:
        """Fetch a video as any client does: with a plain GET and no token."""
        answer = self._session.get(url, timeout=60)
        answer.raise_for_status()
        return answer.content


class Demo:
    """The story, step by step."""

    def __init__(self, stage: Stage, servers: Servers, hook: Receiver, output: Path, data: Path) -> None:
        self._stage = stage
        self._servers = servers
        self._hook = hook
        self._output = output
        self._data = data

    def play(self) -> Values:
        """Tell the story once. Return what the page's examples need to tell its middle again."""
        discord = self._start_discord()
        relay = self._start_relay(discord)
        discord_token, channel = discord.ready["user"]["token"], discord.ready["user"]["dm_channels"]["Pika"]
        api = Api(relay.ready["url"], relay.ready["api_token"])
        self._configure(api, discord_token, channel)
        parent = self._create(api, channel)
        values = Values(api.url, api.api_token, discord_token, parent["jobid"])
        child, callback = self._retry(api, values)
        self._keep_videos(api, {"create": parent, "retry": child})
        self._tell(parent, child, callback)
        return values

    def _start_discord(self) -> Server:
        self._stage.begin("Starting a local Discord")
        arguments = ("serve", "--host", "127.0.0.1", "--port", "0", "--speed", "5", "--seed", "1")
        discord = self._servers.start("localdiscord", *arguments)
        self._stage.done(f"A Discord for this machine alone, with a Pika bot in it: {discord.ready['url']}")
        return discord

    def _start_relay(self, discord: Server) -> Server:
        self._stage.begin("Starting pikarelay")
        relay = self._servers.start(
            "pikarelay",
            *("serve", "--host", "127.0.0.1", "--port", "0", "--json", "--data-folder", str(self._data)),
            *("--discord-api-url", discord.ready["api"], "--callbacks-allow", "127.0.0.0/8"),
        )
        self._stage.done(f"pikarelay: {relay.ready['url']}")
        self._stage.note(
            "  Callbacks to private addresses are refused; for its own receiver the demo opens loopback"
            " (--callbacks-allow 127.0.0.0/8)."
        )
        return relay

    def _configure(self, api: Api, discord_token: str, channel: str) -> None:
        self._stage.begin("Configuring an account")
        command = (BIN / "pikarelay", "account", "set", channel, "--max-jobs", "10")
        run([*command, "--data-folder", str(self._data)], stdin=discord_token + "\n")
        api.call("POST", "/v2/account", json={"replyUrl": self._hook.url})
        self._stage.done(f"An account on channel {channel}; callbacks go to {self._hook.url}")

    def _create(self, api: Api, channel: str) -> dict[str, Any]:
        self._stage.begin("Asking for a video")
        form = {"prompt": (None, PROMPT), "channel": (None, channel), "replyRef": (None, "demo-create")}
        job = api.call("POST", "/v1/pika/create", files=form)
        self._stage.done(f"POST /v1/pika/create: 200, job {job['jobid']} {job['status']}")
        self._stage.begin("The bot makes a video")
        job = self._await_video(api, job["jobid"])
        self._await_callback(job["jobid"])
        self._stage.done(f"The first video is there: {job['content']}")
        return job

    def _retry(self, api: Api, values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
        self._stage.begin("Pressing retry")
        if shutil.which("curl") is None:
            self._stage.note(
                "  curl is not installed here: the Python example of the API's page runs instead."
            )
        command, job = press(values)
        self._stage.note(command)
        if job.get("code") != 200:
            raise DemoFailedError(f"the button was answered with {json.dumps(job)}")
        self._stage.done(f"POST /v1/pika/button: 200, job {job['jobid']} {job['status']}")
        self._stage.begin("The bot makes another video")
        finished = self._await_video(api, job["jobid"])
        callback = self._await_callback(job["jobid"])
        self._stage.done(f"The second video is there, and its callback came: {callback['status']}")
        return finished, callback

    def _await_video(self, api: Api, job_id: str) -> dict[str, Any]:
        """Ask for the job until it has ended, as a customer without callbacks does."""
        deadline = time.monotonic() + _VIDEO_SECONDS
        while time.monotonic() < deadline:
            self._servers.check()
            job = api.call("GET", f"/v1/pika/jobs/?jobid={job_id}")
            if job["status"] == "completed":
                return job
            if job["status"] not in {"started", "progress"}:
                raise DemoFailedError(f"job {job_id} ended as {job['status']}: {job.get('error')}")
            time.sleep(_POLL_SECONDS)
        raise DemoFailedError(f"job {job_id} had no video after {_VIDEO_SECONDS} seconds")

    def _await_callback(self, job_id: str) -> dict[str, Any]:
        """Return the job's callback; those of others, or a second one of the same, are passed over."""
        deadline = time.monotonic() + _VIDEO_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self._servers.check()
            callback = self._hook.next(min(left, _POLL_SECONDS))
            if callback is not None and callback.get("jobid") == job_id:
                return callback
        raise DemoFailedError(f"no callback of job {job_id} came within {_VIDEO_SECONDS} seconds")

    def _keep_videos(self, api: Api, jobs: dict[str, dict[str, Any]]) -> None:
        self._stage.begin("Fetching both videos")
        videos = {name: api.download(job["attachments"][0]["url"]) for name, job in jobs.items()}
        for name, video in videos.items():
            # The second field of an MP4's first box.
            if video[4:8] != b"ftyp":
                raise DemoFailedError(f"what came for the {name} job is not an MP4")
            (self._output / f"{name}.mp4").write_bytes(video)
        if videos["create"] == videos["retry"]:
            raise DemoFailedError("both videos are the same, byte for byte")
        sizes = ", ".join(
            f"{shown(self._output / name)}.mp4 ({len(video):,} bytes)" for name, video in videos.items()
        )
        self._stage.done(f"Two different videos: {sizes}")

    def _tell(self, parent: dict[str, Any], child: dict[str, Any], callback: dict[str, Any]) -> None:
        text = json.dumps(callback, indent=2, ensure_ascii=False)
        (self._output / "callback.json").write_text(text, encoding="utf-8")
        self._stage.show("The job that made the first video", parent)
        self._stage.show("The job that its retry button made", child)
        self._stage.show("The callback of that job, as it came", callback)


def shown(path: Path) -> str:
    """Return the path as a reader in the checkout would write it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def keep_running(console: Console, servers: Servers, hook: Receiver, values: Values) -> NoReturn:
    """Go on until a signal or a server's end, and say what there is to try."""
    for title, example in (("curl", CURL), ("JavaScript", JAVASCRIPT), ("Python", PYTHON)):
        console.print(Rule(f"{title}, ready to paste", align="left"))
        console.print(fill(example, values), markup=False, highlight=False, soft_wrap=True)
    console.print(Rule(align="left"))
    console.print(
        f"pikarelay runs at {values.url}, API token {values.api_token}", highlight=False, soft_wrap=True
    )
    console.print("Callbacks are shown here as they come. Press Ctrl-C to stop everything.")
    while True:
        servers.check()
        callback = hook.next(_POLL_SECONDS)
        if callback is not None:
            line = f"callback: {callback.get('verb')} {callback.get('jobid')} {callback.get('status')}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def prepare(output: Path) -> None:
    """Make the output folder, without what an earlier run left there."""
    output.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.log", "*.mp4", "callback.json"):
        for path in output.glob(pattern):
            path.unlink()


def play(output: Path, *, keep: bool) -> None:
    """Play the demo, and leave nothing running. Raises `DemoFailedError` with a line that says what went wrong."""
    prepare(output)
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="pikarelay-demo-", ignore_cleanup_errors=True) as data,
        receiver() as hook,
        Servers(output) as servers,
    ):
        try:
            with Stage(console) as stage:
                values = Demo(stage, servers, hook, output, Path(data)).play()
            if keep:
                keep_running(console, servers, hook, values)
        except KeyError as error:
            raise DemoFailedError(f"an answer lacks {error}") from error
        except requests.RequestException as error:
            raise DemoFailedError(str(error)) from error
