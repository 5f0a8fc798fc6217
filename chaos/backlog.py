"""
A hundred thousand callbacks that could not be delivered, and what becomes of them.

    python -m chaos.backlog FOLDER COUNT URL…

The store that servers use puts them into a database, in a process of its own and before any server begins: jobs that have
ended, each in the transaction in which its callback becomes due. What each receiver has to be told is written down first.
"""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from chaos.judge import Violation
from chaos.ledger import Entry

CALLER = "default"
#: Beside the data folder: one line a job, with its callback and what that has to say.
LEDGER = "queued.jsonl"
_AT_ONCE = 200


def job_of(number: int) -> str:
    return f"0queued{number:019}"


def judge_backlog(queued: Sequence[Entry], received: Sequence[Entry], *, whole: bool) -> Iterator[Violation]:
    """Find what is wrong with the deliveries of a backlog; of a `whole` one nothing may be missing."""
    replied = {entry["try"] for entry in received if entry["event"] == "replied" and entry["status"] == 200}
    came = [entry for entry in received if entry["event"] == "received"]
    taken = Counter(entry["job"] for entry in came if entry["try"] in replied)
    wanted = {entry["job"]: entry for entry in queued}
    for entry in came:
        its = wanted.get(entry["job"])
        if its is None or (its["callback"], its["digest"]) != (entry["callback"], entry["digest"]):
            yield Violation(
                "I3", entry["job"], f"came as {entry['callback']} with other bytes than were queued"
            )
    for job, count in taken.items():
        if count > 1:
            yield Violation("I4", job, f"was queued once, and delivered {count} times")
    missing = [job for job in wanted if not taken[job]]
    if whole and missing:
        yield Violation("I2", f"{len(missing)} jobs", f"were queued and never delivered: {missing[:3]}")


async def fill(folder: Path, count: int, urls: Sequence[str]) -> None:
    """Queue so many callbacks to receivers at `urls`, by turns, in a new database."""
    from pikarelay.contract.bodies import encode, job_body
    from pikarelay.contract.urls import origin_of
    from pikarelay.errors import Unavailable
    from pikarelay.jobs.job import Attachment, Caller, Job, Press, PressPhase, Status, Verb
    from pikarelay.jobs.secret import Secret
    from pikarelay.services.ports import CallbackDraft, Change
    from pikarelay.store.migrations import migrate, sqlite_url
    from pikarelay.store.root_key import KeySource, load_root_key
    from pikarelay.store.sqlite import SqliteStore

    path = folder / "pikarelay.sqlite3"
    migrate(sqlite_url(path))
    made = datetime.now(UTC).replace(microsecond=0)
    video = "https://cdn.example.com/attachments/1/2/video.mp4"
    with (folder.parent / LEDGER).open("w") as ledger:
        async with SqliteStore.open(path, root_key=load_root_key(KeySource(folder))) as store:
            caller = Caller(caller_id="0caller", name=CALLER, created=made)
            await store.add_caller(caller)

            async def patiently(write: Callable[[], Awaitable[object]]) -> None:
                """Write, however slow the disk is. What the store gives up for that has not begun."""
                while True:
                    try:
                        await write()
                    except Unavailable:
                        await asyncio.sleep(0.5)
                    else:
                        return

            async def put(number: int) -> None:
                url = urls[number % len(urls)]
                job = Job(
                    job_id=job_of(number), caller_id=caller.caller_id, verb=Verb.CREATE, status=Status.COMPLETED,
                    created=made, updated=made, prompt=f"a kite that waits, number {number}",
                    discord_token=Secret("MTE4.Gqueue.0123456789"), channel="1180000000000000001", max_jobs=10,
                    reply_url=url, reply_ref=f"{number}",
                    press=Press(phase=PressPhase.BOUND, nonce=f"{number:019}"),
                    message_id=str(1_190_000_000_000_000_000 + number), content="a kite that waits",
                    attachments=(
                        Attachment(
                            url=video, proxy_url=video, filename="video.mp4", content_type="video/mp4", size=200_000,
                            width=1024, height=576, id=str(number),
                        ),
                    ),
                )  # fmt: skip
                draft = CallbackDraft(
                    callback_id=f"cb_{number:026}", job_id=job.job_id, target=origin_of(url), url=url,
                    body=encode(job_body(job)), due=made,
                )  # fmt: skip
                its = {
                    "job": job.job_id, "callback": draft.callback_id,
                    "digest": hashlib.sha256(draft.body).hexdigest(),
                }  # fmt: skip
                ledger.write(json.dumps(its) + "\n")
                await patiently(lambda: store.admit(caller.caller_id, [job.channel], lambda _executing: job))
                await patiently(
                    lambda: store.change(job.job_id, lambda _job: Change(job=job, callback=draft))
                )

            for start in range(0, count, _AT_ONCE):
                await asyncio.gather(*(put(number) for number in range(start, min(start + _AT_ONCE, count))))


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
