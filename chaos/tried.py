"""
What the log of tries must say of the faults that struck, and how long healthy callbacks took meanwhile. Pure, like `chaos.judge`.

More of the ledgers counts here:

    client    asked {…, url} · log {job, status, body}: what `GET /v1/pikarelay/callbacks/<jobid>` shows in the end
    killer    faulted {what, url, errors, tries}: which classes the failing tries of callbacks to `url` must have, each at least
              once, and how many of them there are (null: any number) · struck {what, url} · withheld {url} · trapped {address}
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chaos.judge import History, Violation
from chaos.ledger import Entry

#: After a timeout the receiver may still be at work.
_AFTER_TIMEOUT = timedelta(seconds=300)
#: Classes of tries that have connected to nobody.
_UNCONNECTED = frozenset({"dns", "blocked"})


def judge_tries(history: History) -> list[Violation]:
    """Return what is wrong with how the server named the faults that it met."""
    logs = {entry["job"]: entry for entry in history.client if entry["event"] == "log"}
    faults = {
        entry["url"]: entry for entry in history.killer if entry["event"] == "faulted" and "url" in entry
    }
    met = _jobs_by_url(history)
    struck = {entry["url"] for entry in history.killer if entry["event"] == "struck"}
    found = [
        Violation("trap", entry["address"], "was connected to, although it is closed")
        for entry in history.killer
        if entry["event"] == "trapped"
    ]
    for url, fault in faults.items():
        if not met[url] or url not in struck:
            found.append(Violation("faults", f"{fault['what']} at {url}", "never struck a callback"))
        for job in met[url]:
            found += [
                Violation("class", f"{fault['what']}, job {job}", text)
                for text in _wrong(fault, logs.get(job))
            ]
    return found


def _wrong(fault: Entry, log: Entry | None) -> Iterator[str]:
    """Say what is wrong with the log of one callback that a fault struck."""
    if log is None or log["status"] != 200:
        yield "has no log"
        return
    tries: Sequence[Mapping[str, Any]] = log["body"].get("log", ())
    errors = [its.get("error") for its in tries]
    failed = errors[:-1]
    if log["body"]["state"] != "delivered" or not errors or errors[-1] is not None:
        yield f"was not delivered in the end: {errors}"
    elif set(failed) != set(fault["errors"]):
        yield f"failed by {failed}, not by {fault['errors']}"
    elif fault["tries"] is not None and len(failed) != fault["tries"]:
        yield f"failed {len(failed)} times, not {fault['tries']}"
    for its in tries:
        if its.get("error") in _UNCONNECTED and "address" in its:
            yield f"went to {its['address']} and failed by {its['error']}"
        if its.get("error") == "timeout" and "nextTry" in its and _wait(its) < _AFTER_TIMEOUT:
            yield f"was to be tried {_wait(its)} after a timeout began"


def _wait(attempt: Mapping[str, Any]) -> timedelta:
    return datetime.fromisoformat(attempt["nextTry"]) - datetime.fromisoformat(attempt["started"])


def faults_met(history: History) -> Counter[str]:
    """Return how often each kind of fault struck a callback that was asked for."""
    met = _jobs_by_url(history)
    return Counter(
        entry["what"]
        for entry in history.killer
        if entry["event"] == "faulted" and met.get(entry.get("url", ""))
    )


def healthy_seconds(history: History) -> list[float]:
    """Return how long each callback to a target without faults took, from the bot's result to its receiver, in order."""
    faulted = {entry.get("url") for entry in history.killer if entry["event"] == "faulted"}
    videos = {entry["attachment_id"]: entry["at"] for entry in history.upstream if entry["event"] == "result"}
    taken = []
    for job in history.acknowledged:
        final = history.last_shown(job)
        if history.asked[job]["url"] in faulted or final.get("status") != "completed":
            continue
        made = videos[final["attachments"][0]["id"]]
        taken += [(first["arrived"] - made) / 1e9 for first in history.received[job][:1]]
    return sorted(taken)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest rank's value of what is in order: at least `percent` % are no larger. 0.0 of nothing."""
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else 0.0


def _jobs_by_url(history: History) -> Mapping[str, list[str]]:
    jobs: dict[str, list[str]] = defaultdict(list)
    for job in history.acknowledged:
        jobs[history.asked[job].get("url", "")].append(job)
    return jobs
