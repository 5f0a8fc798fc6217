"""The judge of the crash matrix: it knows a broken promise when it sees one, and a kept one too."""

from collections.abc import Callable
from random import Random

import pytest
from chaos.judge import UNKNOWN, counts, judge

from tests.unit.chaos.histories import SECOND, Forge, body, url_of, valid

LAST = "J12"


def _last(ledger: list[dict[str, object]], event: str) -> int:
    return max(index for index, entry in enumerate(ledger) if entry["event"] == event)


def job_is_lost(forge: Forge) -> None:
    forge.note(
        forge.client,
        "saw",
        job=LAST,
        status=404,
        final=True,
        body={"error": "Unable to locate job", "code": 404},
    )


def job_never_ends(forge: Forge) -> None:
    forge.client.remove(
        next(e for e in forge.client if e["event"] == "saw" and e["job"] == LAST and e["final"])
    )
    forge.note(forge.client, "saw", job=LAST, status=200, final=True, body=body(LAST, "started", 1))


def callback_is_lost(forge: Forge) -> None:
    forge.receiver[:] = [entry for entry in forge.receiver if entry.get("job") != LAST]


def callback_says_something_else(forge: Forge) -> None:
    entry = forge.receiver[_last(forge.receiver, "received")]
    entry["body"] = {**entry["body"], "content": "other words"}


def callback_has_two_ids(forge: Forge) -> None:
    forge.receiver[_last(forge.receiver, "received")]["callback"] = "cb-new"


def callback_has_other_bytes(forge: Forge) -> None:
    forge.receiver[_last(forge.receiver, "received")]["digest"] = "other"


def callback_repeats_for_nothing(forge: Forge) -> None:
    forge.note(forge.killer, "quiet", longest_step=5.0)
    attempt = sum(e["event"] == "received" and e["job"] == LAST for e in forge.receiver)
    forge.receive(12, attempt + 1, forge.receiver[_last(forge.receiver, "received")]["body"], 200)


def callback_repeats_after_the_next_start(forge: Forge) -> None:
    """Both deliveries are the new server's; the old one had nothing to do with them."""
    final = forge.receiver[_last(forge.receiver, "received")]["body"]
    forge.note(forge.killer, "killed", pid=98)
    forge.note(forge.killer, "died", pid=98)
    forge.note(forge.killer, "started", pid=99)
    attempt = sum(e["event"] == "received" and e["job"] == LAST for e in forge.receiver)
    forge.receive(12, attempt + 1, final, 200)
    forge.receive(12, attempt + 2, final, 200)


def _withhold(forge: Forge, *, repetitions: int) -> None:
    """A fault keeps back the answer to a callback of a job of its own, which is delivered again so many times."""
    forge.note(forge.killer, "withheld", url=url_of(13))
    forge.job(13)
    final = forge.client[-1]["body"]
    tries = sum(e["event"] == "received" and e["job"] == "J13" for e in forge.receiver)
    for number in range(1, 1 + repetitions):
        forge.receive(13, tries + number, final, 200)


def callback_repeats_more_than_was_withheld(forge: Forge) -> None:
    _withhold(forge, repetitions=2)


def callback_repeats_where_another_was_withheld(forge: Forge) -> None:
    forge.note(forge.killer, "withheld", url=url_of(11))
    callback_repeats_for_nothing(forge)


def request_is_submitted_twice(forge: Forge) -> None:
    accepted = forge.upstream[_last(forge.upstream, "interaction_accepted")]
    forge.upstream.append({**accepted, "interaction_id": "i-again", "nonce": "n-again"})
    forge.upstream.append({"event": "result", "interaction_id": "i-again", "attachment_id": "a-again"})


def video_is_anothers(forge: Forge) -> None:
    results = [entry for entry in forge.upstream if entry["event"] == "result"]
    one, other = results[-1], results[-2]
    one["interaction_id"], other["interaction_id"] = other["interaction_id"], one["interaction_id"]


def ending_changes(forge: Forge) -> None:
    forge.note(forge.client, "saw", job=LAST, status=200, final=True, body=body(LAST, "cancelled", 3))


def too_many_run(forge: Forge) -> None:
    for number in range(5):
        forge.upstream.append(
            {
                "event": "interaction_accepted", "interaction_id": f"x{number}", "type": 2, "nonce": f"x{number}",
                "channel_id": "C0", "message_id": None, "options": {"prompt": f"x{number}"},
            }
        )  # fmt: skip


def callback_precedes_answer(forge: Forge) -> None:
    answer = next(e for e in forge.client if e["event"] == "answered" and e["body"]["jobid"] == LAST)
    answer["order"] = 10_000


def quiet_comes_late(forge: Forge) -> None:
    forge.killer[_last(forge.killer, "quiet")]["at"] += 70 * SECOND


def place_is_lost(forge: Forge) -> None:
    forge.client[_last(forge.client, "probed")]["accepted"] = 3


def unknown_outcomes_abound(forge: Forge) -> None:
    forge.killer[:] = [entry for entry in forge.killer if entry["event"] != "killed"]
    for entry in forge.client:
        if entry["event"] == "saw" and entry["body"]["status"] == "failed":
            entry["body"]["error"] = UNKNOWN


def outcomes_are_unknown_after_a_short_stop(forge: Forge) -> None:
    """As many as there are channels, with a stop that ends no request."""
    forge.killer[:] = [entry for entry in forge.killer if entry["event"] != "killed"]
    failed = next(e for e in forge.client if e["event"] == "saw" and e["body"].get("status") == "failed")
    for entry in forge.client:
        if entry["event"] == "saw" and entry["job"] == failed["job"] and entry["body"]["status"] == "failed":
            entry["body"]["error"] = UNKNOWN
    stop = forge.note(forge.killer, "stopped", pid=1)
    forge.note(forge.killer, "continued", pid=1)["at"] = stop["at"] + 15 * SECOND


FORGERIES: dict[Callable[[Forge], None], str] = {
    job_is_lost: "I1",
    job_never_ends: "I1",
    callback_is_lost: "I2",
    callback_says_something_else: "I2",
    callback_has_two_ids: "I3",
    callback_has_other_bytes: "I3",
    callback_repeats_for_nothing: "I4",
    callback_repeats_after_the_next_start: "I4",
    callback_repeats_more_than_was_withheld: "I4",
    callback_repeats_where_another_was_withheld: "I4",
    request_is_submitted_twice: "I5",
    video_is_anothers: "I5",
    unknown_outcomes_abound: "I5",
    outcomes_are_unknown_after_a_short_stop: "I5",
    ending_changes: "I6",
    too_many_run: "I7",
    place_is_lost: "I7",
    callback_precedes_answer: "I8",
    quiet_comes_late: "I10",
}


@pytest.mark.parametrize("seed", range(100))
def test_valid_history_passes(seed: int) -> None:
    """A hundred histories in which every promise was kept, kills and repeated callbacks included, have no violation."""
    assert [] == judge(valid(seed).history())


def test_long_stop_excuses_an_unknown_outcome() -> None:
    """A server that stood still for longer than Discord's answer is waited for may not know what came of a press."""
    history = valid(7)
    outcomes_are_unknown_after_a_short_stop(history)
    history.killer[-1]["at"] += 1

    assert not {"I5"} & {violation.invariant for violation in judge(history.history())}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_forgery_is_noticed(forge: Callable[[Forge], None]) -> None:
    """A history in which one promise was broken shows that one."""
    history = valid(7)

    forge(history)

    assert FORGERIES[forge] in {violation.invariant for violation in judge(history.history())}


def test_what_a_dead_server_had_sent_may_come_in_late() -> None:
    """A delivery that had arrived before the server's death was interrupted, however late it is read."""
    assert [] == _read_late(arrived_earlier=True)


def test_what_arrives_after_a_death_is_the_next_servers() -> None:
    """A delivery that arrived well after a server's death had no reason to come again."""
    assert ["I4"] == _read_late(arrived_earlier=False)


def _read_late(*, arrived_earlier: bool) -> list[str]:
    """Return what is wrong with a run in which a delivery is read after a death and the next start, and comes again."""
    forge = valid(7)
    final = forge.receiver[_last(forge.receiver, "received")]["body"]
    attempt = sum(e["event"] == "received" and e["job"] == LAST for e in forge.receiver)
    forge.note(forge.killer, "killed", pid=98)
    died = forge.note(forge.killer, "died", pid=98)["at"]
    forge.note(forge.killer, "started", pid=99)
    forge.receive(12, attempt + 1, final, 200)
    forge.receiver[-2]["arrived"] = died - 1 if arrived_earlier else died + SECOND
    forge.receive(12, attempt + 2, final, 200)
    return [violation.invariant for violation in judge(forge.history())]


def _delivered_twice(*, stop_after_seconds: int) -> list[str]:
    """Return what is wrong with a run in which a callback came again, and the server stood still some time after the first."""
    forge = Forge(Random(7))
    forge.note(forge.killer, "started", pid=1)
    forge.job(1)
    taken = forge.receiver[-1]["at"]
    attempt = sum(entry["event"] == "received" for entry in forge.receiver)
    for event, later in (("stopped", stop_after_seconds), ("continued", stop_after_seconds + 3)):
        forge.note(forge.killer, event, pid=1)["at"] = taken + later * SECOND
    forge.note(forge.killer, "cleared")["at"] = taken + 20 * SECOND
    forge.receive(1, attempt + 1, forge.client[-1]["body"], 200)
    forge.receiver[-1]["at"] = forge.receiver[-2]["at"] = taken + 20 * SECOND
    forge.end()
    return [violation.invariant for violation in judge(forge.history())]


def test_a_server_that_stood_still_may_repeat_what_was_under_way() -> None:
    """A delivery just before a stop may come again after it; one long before the stop may not."""
    assert [] == _delivered_twice(stop_after_seconds=1)
    assert ["I4"] == _delivered_twice(stop_after_seconds=10)


def test_what_was_withheld_may_be_delivered_again() -> None:
    """A callback whose answer a fault kept from the server comes once more for that."""
    forge = valid(7)
    _withhold(forge, repetitions=1)

    assert [] == judge(forge.history())


def test_counts_say_what_was_at_stake() -> None:
    """A report names acknowledged jobs and duplicates beside the verdict."""
    found = counts(valid(7).history())

    assert (13, 1) == (found["acknowledged"], found["duplicates"])
