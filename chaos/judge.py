"""
The judge: says from the four ledgers alone which promises were broken. Pure; it never sees the server or its database.

What the ledgers hold:

    client    asked {request, verb, channel, max_jobs, url, prompt | parent_message} · answered {request, status, body} ·
              unanswered {request} · saw {job, status, body, final} · listed {jobs} · probed {channel, max_jobs, accepted, next_status}
    upstream  the local Discord's own entries; `interaction_accepted`, `result` and `presses` {by_nonce} count here
    receiver  received {callback, job, digest, body, try} · replied {try, status | null when cut}
    killer    started · killed {pid} · died {pid} · stopped {pid} · continued {pid} · faulted {unknown} · withheld {url} ·
              cleared {longest_step} · quiet · restless
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from chaos.ledger import Entry, read_entries

TERMINAL = frozenset({"completed", "failed", "moderated", "cancelled"})
UNKNOWN = "Outcome of the press is unknown"
_RANK = {"started": 0, "progress": 1, **dict.fromkeys(TERMINAL, 2)}
#: After the last fault, and beyond the longest retry step: all is quiet by then.
QUIET_WITHIN_SECONDS = 60.0
#: A kill this soon after a delivery may have kept the server from noting it.
_NOTING_SECONDS = 2.0
#: A server that stood still for longer has given up a request that was on its way to Discord, as too long unanswered.
_GIVEN_UP_SECONDS = 15.0
#: How exactly the system knows when something arrived.
_TICK_MS = 10
_NS = 1_000_000_000


@dataclass(frozen=True)
class Violation:
    """A broken promise: which, about whom, and how."""

    invariant: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text}"


@dataclass
class History:
    """One run, as its ledgers tell it, and what follows from them."""

    client: list[Entry]
    upstream: list[Entry]
    receiver: list[Entry]
    killer: list[Entry]
    #: By job: the request that made it, its POST's answer, and everything its caller was shown, in order.
    asked: dict[str, Entry] = field(init=False)
    answers: dict[str, Entry] = field(init=False)
    shown: dict[str, list[Entry]] = field(init=False)
    #: By job: callbacks as they came in; by try: how the receiver answered.
    received: dict[str, list[Entry]] = field(init=False)
    replies: dict[str, Entry] = field(init=False)

    def __post_init__(self) -> None:
        requests = {entry["request"]: entry for entry in self.client if entry["event"] == "asked"}
        self.asked, self.answers = {}, {}
        self.shown, self.received = defaultdict(list), defaultdict(list)
        for entry in self.client:
            if entry["event"] == "answered" and "jobid" in entry["body"]:
                job = entry["body"]["jobid"]
                self.asked[job], self.answers[job] = requests[entry["request"]], entry
                self.shown[job].append(entry)
            elif entry["event"] == "saw":
                self.shown[entry["job"]].append(entry)
        for entry in self.receiver:
            if entry["event"] == "received":
                self.received[entry["job"]].append(entry)
        self.replies = {entry["try"]: entry for entry in self.receiver if entry["event"] == "replied"}

    @classmethod
    def read(cls, folder: Path) -> "History":
        """Read the ledgers of one run from its folder."""
        return cls(*(read_entries(folder / f"{name}.jsonl") for name in _LEDGERS))

    @property
    def acknowledged(self) -> list[str]:
        """The jobs that a client was told of with a 200 (a 502 names its job, too, and that job has ended)."""
        return list(self.answers)

    def last_shown(self, job: str) -> dict[str, Any]:
        body: dict[str, Any] = self.shown[job][-1]["body"]
        return body

    def deliveries(self, job: str) -> list[Entry]:
        """Return the tries of the job's callback that its receiver took, and said so."""
        return [each for each in self.received[job] if _is_2xx(self.replies.get(each["try"]))]

    @property
    def kills(self) -> list[Entry]:
        return [entry for entry in self.killer if entry["event"] == "killed"]


_LEDGERS = ("client", "upstream", "receiver", "killer")


def judge(history: History) -> list[Violation]:
    """Return everything that is wrong with a run, by invariant."""
    return [violation for check in CHECKS for violation in check(history)]


def jobs_last(history: History) -> Iterator[Violation]:
    """I1: a job that a client was told of exists for ever after, and ends."""
    for job in history.acknowledged:
        seen = [entry for entry in history.shown[job] if entry["event"] == "saw"]
        if any(entry["status"] == 404 for entry in seen):
            yield Violation("I1", job, "was acknowledged, and is unknown now")
        elif not any(entry["final"] for entry in seen):
            yield Violation("I1", job, "was never looked at in the end")
        elif history.last_shown(job).get("status") not in TERMINAL:
            yield Violation("I1", job, f"never ended: {history.last_shown(job).get('status')}")


def callbacks_arrive(history: History) -> Iterator[Violation]:
    """I2: each ended job's callback is delivered, and says what GET says."""
    for job in history.acknowledged:
        if not history.asked[job]["reply"]:
            continue
        final = history.last_shown(job)
        delivered = history.deliveries(job)
        if final.get("status") in TERMINAL and not delivered:
            yield Violation("I2", job, "ended, and its callback was never delivered")
        for each in delivered:
            if _comparable(each["body"]) != _comparable(final):
                yield Violation("I2", job, f"the callback says {each['body']}, GET says {final}")


def callbacks_have_one_id(history: History) -> Iterator[Violation]:
    """I3: one id a job, and the same bytes with the same id."""
    jobs_of: dict[str, set[str]] = defaultdict(set)
    for job, tries in history.received.items():
        for each in tries:
            jobs_of[each["callback"]].add(job)
        if len({each["callback"] for each in tries}) > 1:
            yield Violation("I3", job, f"has several callbacks: {sorted({e['callback'] for e in tries})}")
        elif len({each["digest"] for each in tries}) > 1:
            yield Violation("I3", job, "the same callback came with different bytes")
    for callback, jobs in jobs_of.items():
        if len(jobs) > 1:
            yield Violation("I3", callback, f"is the callback of several jobs: {sorted(jobs)}")


def deliveries_repeat_for_a_reason(history: History) -> Iterator[Violation]:
    """I4: a callback that was taken comes again only when a kill, a stop or a fault kept the server from knowing so."""
    interruptions = [(e["at"], _gone(e, history.killer)) for e in history.kills]
    interruptions += [(stop["at"], go["at"]) for stop, go in _stops(history.killer)]
    withheld = defaultdict(list)
    for entry in history.killer:
        if entry["event"] == "withheld":
            withheld[entry["url"]].append(entry["at"])
    for job in history.received:
        taken = history.deliveries(job)
        # Each answer that was kept back excuses one repetition, of a callback that its fault had met before.
        kept_back = sorted(withheld[history.asked[job].get("url")]) if job in history.asked else []
        for first, again in pairwise(taken):
            replied = history.replies[first["try"]]["at"]
            excused = any(
                first["arrived"] <= end and begin <= min(replied + _NOTING_SECONDS * _NS, again["at"])
                for begin, end in interruptions
            )
            if not excused and kept_back and kept_back[0] <= replied:
                kept_back.pop(0)
            elif not excused:
                yield Violation("I4", job, "was delivered again although nothing interrupted the first time")


def _gone(kill: Entry, killer: list[Entry]) -> int:
    """
    Return until when something of the killed server may arrive.

    A kill is written down before it happens, and a server works until it is gone. A busy receiver reads later what it had
    sent; when that arrived, the system knows, to a tick of its clock.
    """
    died = next((e["at"] for e in killer if e["event"] == "died" and e["pid"] == kill["pid"]), kill["at"])
    return int(died) + _TICK_MS * 1_000_000


def _stops(killer: list[Entry]) -> list[tuple[Entry, Entry]]:
    """Return when the server was stopped, each with when it was continued."""
    entries = (entry for entry in killer if entry["event"] in {"stopped", "continued"})
    return [(stop, go) for stop, go in pairwise(entries) if stop["event"] == "stopped"]


def presses_happen_once(history: History) -> Iterator[Violation]:
    """I5: one submit a request at most, one press a nonce, and a finished job has the video of its own press."""
    accepted = [entry for entry in history.upstream if entry["event"] == "interaction_accepted"]
    by_request = Counter(map(_pressed, accepted))
    for entry in history.client:
        if entry["event"] == "asked" and by_request[_wanted(entry)] > 1:
            yield Violation("I5", entry["request"], f"was submitted {by_request[_wanted(entry)]} times")
    for entry in history.upstream:
        if entry["event"] == "presses":
            for nonce, count in entry["by_nonce"].items():
                if count > 1:
                    yield Violation("I5", f"nonce {nonce}", f"was pressed {count} times")
    cause = {entry["interaction_id"]: _pressed(entry) for entry in accepted}
    results = {
        entry["attachment_id"]: cause.get(entry["interaction_id"])
        for entry in history.upstream
        if entry["event"] == "result"
    }
    for job in history.acknowledged:
        final = history.last_shown(job)
        if final.get("status") == "completed":
            video = final["attachments"][0]["id"]
            if results.get(video) != _wanted(history.asked[job]):
                yield Violation("I5", job, f"has the video {video} of {results.get(video)}")


def unknown_outcomes_are_few(history: History) -> Iterator[Violation]:
    """I5: a press is given up as unknown only where a kill, a long stop or a fault hit it: one a channel for each at most."""
    unknown = [job for job in history.acknowledged if history.last_shown(job).get("error") == UNKNOWN]
    channels = len({entry["channel"] for entry in history.client if entry["event"] == "asked"})
    long_stops = sum(go["at"] - stop["at"] > _GIVEN_UP_SECONDS * _NS for stop, go in _stops(history.killer))
    excused = channels * (len(history.kills) + long_stops)
    excused += sum(entry.get("unknown", 0) for entry in history.killer)
    if len(unknown) > excused:
        yield Violation("I5", f"{len(unknown)} jobs", f"have an unknown outcome; {excused} were interrupted")


def status_moves_forward(history: History) -> Iterator[Violation]:
    """I6: the status moves forward, an ending stays, and `updated` never goes back."""
    for job, entries in history.shown.items():
        bodies = [entry["body"] for entry in entries if "updated" in entry["body"]]
        for before, after in pairwise(bodies):
            if _RANK[after["status"]] < _RANK[before["status"]] or (
                before["status"] in TERMINAL and after["status"] != before["status"]
            ):
                yield Violation("I6", job, f"went from {before['status']} to {after['status']}")
            if after["updated"] < before["updated"]:
                yield Violation("I6", job, f"`updated` went from {before['updated']} to {after['updated']}")
    for job, tries in history.received.items():
        for each in tries:
            if job in history.answers and each["body"]["status"] != history.last_shown(job).get("status"):
                yield Violation("I6", job, f"was called back as {each['body']['status']} and is not")


def slots_hold(history: History) -> Iterator[Violation]:
    """I7: no channel runs more than it may, and in the end every place is free."""
    ended_otherwise = {
        _wanted(history.asked[job])
        for job in history.acknowledged
        if history.last_shown(job).get("status") != "completed"
    }
    limits = {e["channel"]: e["max_jobs"] for e in history.client if e["event"] == "asked"}
    running: dict[str, str] = {}
    for entry in history.upstream:
        if entry["event"] == "interaction_accepted" and _pressed(entry) not in ended_otherwise:
            channel = entry["channel_id"]
            running[entry["interaction_id"]] = channel
            count = sum(its == channel for its in running.values())
            if channel in limits and count > limits[channel]:
                yield Violation(
                    "I7", f"channel {channel}", f"{count} jobs at once, {limits[channel]} allowed"
                )
        elif entry["event"] in {"result", "moderated", "failed", "interaction_failed"}:
            running.pop(entry["interaction_id"], None)
    for entry in history.client:
        if entry["event"] == "listed" and entry["jobs"]:
            yield Violation("I7", "all channels", f"{len(entry['jobs'])} jobs still hold a place")
        elif entry["event"] == "probed" and not (
            entry["accepted"] == entry["max_jobs"] and entry["next_status"] == 429
        ):
            yield Violation("I7", f"channel {entry['channel']}", f"has lost places: {entry}")


def answers_come_first(history: History) -> Iterator[Violation]:
    """I8: no callback before the answer to its job's POST."""
    for job, answer in history.answers.items():
        for each in history.received[job]:
            if each["order"] < answer["order"]:
                yield Violation("I8", job, "was called back before its POST was answered")


def quiet_follows(history: History) -> Iterator[Violation]:
    """I10: some time after the last fault all is done."""
    disturbed: Entry | None = None
    for entry in history.killer:
        if entry["event"] in {"cleared", "started"}:
            disturbed = entry
        elif entry["event"] == "restless":
            yield Violation("I10", "the run", f"never became quiet: {entry['left']}")
        elif entry["event"] == "quiet" and disturbed is not None:
            seconds = (entry["at"] - disturbed["at"]) / _NS
            allowed = QUIET_WITHIN_SECONDS + entry["longest_step"]
            if seconds > allowed:
                yield Violation("I10", "the run", f"was quiet after {seconds:.0f} s, {allowed:.0f} s allowed")
    if not any(entry["event"] in {"quiet", "restless"} for entry in history.killer):
        yield Violation("I10", "the run", "was not watched to its end")


CHECKS: tuple[Callable[[History], Iterator[Violation]], ...] = (
    jobs_last,
    callbacks_arrive,
    callbacks_have_one_id,
    deliveries_repeat_for_a_reason,
    presses_happen_once,
    unknown_outcomes_are_few,
    status_moves_forward,
    slots_hold,
    answers_come_first,
    quiet_follows,
)


def counts(history: History) -> dict[str, int]:
    """Return what a report needs beside the verdict: how much was at stake, and how it ended."""
    finals = Counter(history.last_shown(job).get("status") for job in history.acknowledged)
    taken = {job: len(history.deliveries(job)) for job in history.received}
    return {
        "acknowledged": len(history.acknowledged),
        **{status: finals[status] for status in sorted(TERMINAL)},
        "unknown": sum(history.last_shown(j).get("error") == UNKNOWN for j in history.acknowledged),
        "wasted": len(wasted(history)),
        "presses": sum(entry["event"] == "interaction_accepted" for entry in history.upstream),
        "callbacks": len(taken),
        "tries": sum(len(tries) for tries in history.received.values()),
        "duplicates": sum(count - 1 for count in taken.values() if count > 1),
        "kills": len(history.kills),
    }


def wasted(history: History) -> list[str]:
    """Return the jobs that failed although the bot made their videos."""
    cause = {
        e["interaction_id"]: _pressed(e) for e in history.upstream if e["event"] == "interaction_accepted"
    }
    made = {cause.get(e["interaction_id"]) for e in history.upstream if e["event"] == "result"}
    failed = (job for job in history.acknowledged if history.last_shown(job).get("status") == "failed")
    return [job for job in failed if _wanted(history.asked[job]) in made]


def _is_2xx(reply: Entry | None) -> bool:
    return reply is not None and reply["status"] is not None and 200 <= reply["status"] <= 299


def _pressed(interaction: Entry) -> str:
    """Return what an interaction asks for, as `_wanted` says it of a request."""
    if interaction["type"] == 3:
        return f"press on {interaction['message_id']}"
    return str(interaction["options"].get("prompt"))


def _wanted(asked: Entry) -> str:
    return f"press on {asked['parent_message']}" if "parent_message" in asked else str(asked["prompt"])


def _comparable(body: dict[str, Any]) -> str:
    """Return a job without what may be renewed when it is read: the signatures of its links."""
    attachments = [
        {**each, "url": each["url"].split("?")[0], "proxy_url": each["proxy_url"].split("?")[0]}
        for each in body.get("attachments", ())
    ]
    return json.dumps({**body, "attachments": attachments}, sort_keys=True)
