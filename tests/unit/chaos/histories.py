"""Valid histories of a run, generated, and the means to forge them."""

import itertools
from dataclasses import dataclass, field
from random import Random
from typing import Any

from chaos.judge import History
from chaos.ledger import Entry

SECOND = 1_000_000_000


@dataclass
class Forge:
    """Writes the four ledgers of a run in which nothing went wrong, entry by entry; a test then spoils them."""

    rng: Random
    client: list[Entry] = field(default_factory=list)
    upstream: list[Entry] = field(default_factory=list)
    receiver: list[Entry] = field(default_factory=list)
    killer: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._orders = itertools.count(1)
        self._now = 0

    def note(self, ledger: list[Entry], event: str, **fields: Any) -> Entry:
        self._now += self.rng.randrange(1, SECOND // 10)
        entry = {"event": event, "at": self._now, "order": next(self._orders), **fields}
        ledger.append(entry)
        return entry

    def history(self) -> History:
        return History(self.client, self.upstream, self.receiver, self.killer)

    def job(self, number: int, *, ending: str = "completed") -> None:
        """A job from its request to its callback."""
        name, channel, prompt = f"J{number}", f"C{number % 3}", f"a kite {number:03}"
        self.note(
            self.client, "asked", request=f"r{number}", verb="create", channel=channel, max_jobs=4, reply=True,
            prompt=prompt, url=url_of(number),
        )  # fmt: skip
        self.note(
            self.upstream, "interaction_accepted", interaction_id=f"i{number}", type=2, nonce=f"n{number}",
            channel_id=channel, message_id=None, options={"prompt": prompt},
        )  # fmt: skip
        self._tell("answered", number, body(name, "started", 0))
        if self.rng.random() < 0.5:
            self.note(self.client, "saw", job=name, status=200, final=False, body=body(name, "progress", 1))
        event = "result" if ending == "completed" else "failed"
        self.note(self.upstream, event, interaction_id=f"i{number}", attachment_id=f"a{number}")
        final = body(name, ending, 2, video=f"a{number}" if ending == "completed" else None)
        self._call_back(number, final)
        self.note(self.client, "saw", job=name, status=200, final=True, body=final)

    def _tell(self, event: str, number: int, answer: dict[str, Any]) -> None:
        self.note(self.client, event, request=f"r{number}", status=200, body=answer)

    def _call_back(self, number: int, final: dict[str, Any]) -> None:
        tries = self.rng.choice([1, 1, 2])
        for attempt in range(1, tries + 1):
            self.receive(number, attempt, final, 200 if attempt == tries else self.rng.choice([500, None]))

    def receive(self, number: int, attempt: int, final: dict[str, Any], status: int | None) -> None:
        callback = f"cb{number}"
        name = f"{callback}/{attempt}"
        came = self.note(
            self.receiver, "received", callback=callback, job=f"J{number}", digest=f"d{number}", body=final,
            **{"try": name},
        )  # fmt: skip
        came["arrived"] = came["at"]
        self.note(self.receiver, "replied", status=status, **{"try": name})

    def end(self) -> None:
        """The run comes to rest, and its books are closed."""
        self.note(self.killer, "cleared")
        self.note(self.killer, "quiet", longest_step=5.0)
        self.note(self.client, "listed", jobs=[])
        for channel in ("C0", "C1", "C2"):
            self.note(self.client, "probed", channel=channel, max_jobs=4, accepted=4, next_status=429)
        nonces = [e["nonce"] for e in self.upstream if e["event"] == "interaction_accepted"]
        self.note(self.upstream, "presses", by_nonce=dict.fromkeys(nonces, 1))


def url_of(number: int) -> str:
    """Return where job `J<number>` is called back, a target of its own."""
    return f"http://127.0.0.1:{40_000 + number}/hook"


def body(job: str, status: str, second: int, *, video: str | None = None) -> dict[str, Any]:
    """Return a job as GET and callbacks show it."""
    shown: dict[str, Any] = {"jobid": job, "status": status, "updated": f"2026-08-01T12:00:0{second}.000Z"}
    if video is not None:
        url = f"http://127.0.0.1/{video}.mp4"
        shown["attachments"] = [{"id": video, "url": f"{url}?ex=1", "proxy_url": url}]
    if status == "failed":
        shown["error"] = "Pika failed"
    return shown


def valid(seed: int, jobs: int = 12) -> Forge:
    """Return a valid run with kills in it, one of which caused a callback to be delivered twice."""
    rng = Random(seed)
    forge = Forge(rng)
    forge.note(forge.killer, "started", pid=1)
    for number in range(jobs):
        forge.job(number, ending=rng.choice(["completed", "completed", "failed"]))
        if rng.random() < 0.2:
            forge.note(forge.killer, "killed", pid=number)
            forge.note(forge.killer, "started", pid=number + 1)
    forge.job(jobs)
    final = forge.client[-1]["body"]
    attempt = sum(entry["event"] == "received" and entry["job"] == f"J{jobs}" for entry in forge.receiver)
    forge.note(forge.killer, "killed", pid=0)
    forge.note(forge.killer, "started", pid=99)
    forge.receive(jobs, attempt + 1, final, 200)
    forge.end()
    return forge
