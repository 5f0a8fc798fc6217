"""
Was each caller given what came of its own press? Decided from two accounts that know nothing of each other.

The local Discord's ledger says which press each result came of. The caller's program says what it was given, and the link to a
file names the attachment. Which press is whose follows from the nonce where the caller's program can tell it, and else from
the order: every peer sends presses with the same words in the order in which it was asked.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

#: An answer that comes later than this after the bot was done counts as none.
PATIENCE_SECONDS = 30.0
#: The words of presses of a button, which have none of their own.
BUTTON = "(button)"


class Verdict(StrEnum):
    #: Its own result; or, of a press that the bot refused, word of that.
    RIGHT = "right"
    #: Another press's result; or a result although the bot refused.
    WRONG = "wrong"
    #: Nothing within thirty seconds after the bot was done.
    HUNG = "hung"
    #: Nothing for ever, or word of a failure, although the bot finished.
    LOST = "lost"
    #: An error, and no press reached Discord.
    TURNED_AWAY = "turned away"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a caller asked for, and what it was told. Times are nanoseconds of CLOCK_MONOTONIC."""

    call: str
    #: The prompt, or `BUTTON`.
    words: str
    asked: int
    nonce: str | None = None
    ended: int | None = None
    #: One of the two once it has ended.
    url: str | None = None
    error: str | None = None
    #: Whether the program that held the call died.
    is_orphaned: bool = False


@dataclass(frozen=True, kw_only=True)
class Press:
    """A press as the ledger has it, and what the bot made of it."""

    interaction_id: str
    nonce: str | None
    words: str
    #: When the bot was done, and of what: a result's attachment, or a refusal, which has none.
    done: int | None = None
    attachment_id: str | None = None

    @property
    def is_refused(self) -> bool:
        return self.done is not None and self.attachment_id is None


@dataclass(frozen=True, kw_only=True)
class Judged:
    verdict: Verdict
    #: From asking to the answer. None without one.
    seconds: float | None
    #: What the caller was told in place of a result.
    note: str = ""


def read_presses(entries: Iterable[Json]) -> list[Press]:
    """Return the ledger's presses in their order."""
    accepted: dict[str, Json] = {}
    done: dict[str, Json] = {}
    for entry in entries:
        if entry["event"] == "interaction_accepted":
            accepted[entry["interaction_id"]] = entry
        elif entry["event"] in {"result", "refused"}:
            done[entry["interaction_id"]] = entry
    return [
        Press(
            interaction_id=interaction_id,
            nonce=entry["nonce"],
            words=str(entry["options"].get("prompt", BUTTON)),
            done=done.get(interaction_id, {}).get("monotonic_ns"),
            attachment_id=done.get(interaction_id, {}).get("attachment_id"),
        )
        for interaction_id, entry in accepted.items()
    ]


def judge(calls: Sequence[Told], presses: Sequence[Press]) -> dict[str, Judged]:
    """Return the verdict on each call. Raises ValueError when the bot was not done with all presses."""
    if undone := [press.interaction_id for press in presses if press.done is None]:
        raise ValueError(f"the bot was not done with {undone}")
    own = owners(calls, presses)
    return {call.call: _verdict(call, own.get(call.call), presses) for call in calls}


def owners(calls: Sequence[Told], presses: Sequence[Press]) -> dict[str, Press]:
    """Return each call's own press, by call; a call that never was pressed is not in it."""
    by_nonce = {press.nonce: press for press in presses}
    own = {call.call: by_nonce[call.nonce] for call in calls if call.nonce in by_nonce}
    claimed = {press.interaction_id for press in own.values()}
    unclaimed: defaultdict[str, list[Press]] = defaultdict(list)
    for press in presses:
        if press.interaction_id not in claimed:
            unclaimed[press.words].append(press)
    for call in sorted(calls, key=lambda call: call.asked):
        if call.nonce is None and unclaimed[call.words]:
            own[call.call] = unclaimed[call.words].pop(0)
    return own


def attachment_of(url: str) -> str:
    """Return the attachment's id in a link: `/attachments/<channel>/<attachment>/<file name>`."""
    return urlsplit(url).path.split("/")[-2]


def _verdict(call: Told, own: Press | None, presses: Sequence[Press]) -> Judged:
    seconds = None if call.ended is None else (call.ended - call.asked) / 1e9
    return Judged(verdict=_word(call, own, presses), seconds=seconds, note=call.error or "")


def _word(call: Told, own: Press | None, presses: Sequence[Press]) -> Verdict:
    if call.ended is None:
        return Verdict.LOST if call.is_orphaned else Verdict.HUNG
    if call.error is not None:
        if own is None:
            return Verdict.LOST if call.is_orphaned else Verdict.TURNED_AWAY
        if not own.is_refused:
            return Verdict.LOST
    elif own is None or own.is_refused or attachment_of(call.url or "") != own.attachment_id:
        return Verdict.WRONG
    is_late = own.done is not None and call.ended - own.done > PATIENCE_SECONDS * 1e9
    return Verdict.HUNG if is_late else Verdict.RIGHT


def counted(judged: Mapping[str, Judged]) -> Counter[Verdict]:
    return Counter(each.verdict for each in judged.values())
