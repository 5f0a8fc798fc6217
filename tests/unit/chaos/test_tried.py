"""What the log of tries must say of faults: the judge of it knows a wrong word when it sees one, and a right one too."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from chaos.judge import judge
from chaos.pulse import stalled
from chaos.tried import faults_met, healthy_seconds, judge_tries, percentile

from tests.unit.chaos.histories import SECOND, Forge, url_of

#: Number of the job that each of these faults strikes.
TIMEOUT, REFUSED, REBINDING, HARMLESS, HEALTHY = range(5)


def a_try(error: str | None = None, **its: Any) -> dict[str, Any]:
    """Return one try as the log shows it; a failed one is followed by another after `wait` minutes."""
    wait = its.pop("wait", 0)
    shown = {"attempt": 1, "started": "2026-08-01T12:00:00.000Z", "address": "127.0.0.1", **its}
    if error is not None:
        shown |= {"error": error, "nextTry": f"2026-08-01T12:{wait:02}:04.000Z"}
    return {name: value for name, value in shown.items() if value is not None}


def struck(forge: Forge, number: int, what: str, *errors: str, tries: int | None = None) -> None:
    forge.note(
        forge.killer, "faulted", what=what, url=url_of(number), errors=list(errors),
        tries=len(errors) if tries is None else tries,
    )  # fmt: skip
    forge.note(forge.killer, "struck", what=what, url=url_of(number))


def logged(forge: Forge, number: int, *tries: dict[str, Any]) -> None:
    forge.note(
        forge.client, "log", job=f"J{number}", status=200, body={"state": "delivered", "log": list(tries)}
    )


def valid() -> Forge:
    """Return a history in which four faults struck, each was named rightly, and one job was left alone."""
    forge = Forge(Random(3))
    forge.note(forge.killer, "started", pid=1)
    struck(forge, TIMEOUT, "timeout", "timeout")
    struck(forge, REFUSED, "wrong status", "http_503")
    struck(forge, REBINDING, "rebinding", "connect", "blocked")
    forge.killer[-2]["tries"] = None
    struck(forge, HARMLESS, "latency")
    for number in range(5):
        forge.job(number)
    logged(forge, TIMEOUT, a_try("timeout", wait=5), a_try())
    logged(forge, REFUSED, a_try("http_503"), a_try())
    logged(forge, REBINDING, a_try("connect"), a_try("blocked", address=None), a_try("connect"), a_try())
    logged(forge, HARMLESS, a_try())
    forge.end()
    return forge


def _log(forge: Forge, number: int) -> list[dict[str, Any]]:
    (found,) = (e["body"]["log"] for e in forge.client if e["event"] == "log" and e["job"] == f"J{number}")
    tries: list[dict[str, Any]] = found
    return tries


def word_is_wrong(forge: Forge) -> None:
    _log(forge, REFUSED)[0]["error"] = "http_500"


def word_is_missing(forge: Forge) -> None:
    _log(forge, REBINDING)[1]["error"] = "connect"


def word_is_added(forge: Forge) -> None:
    _log(forge, REBINDING).insert(0, a_try("dns", address=None))


def harmless_fault_fails(forge: Forge) -> None:
    _log(forge, HARMLESS).insert(0, a_try("protocol"))


def try_fails_twice(forge: Forge) -> None:
    _log(forge, REFUSED).insert(0, a_try("http_503"))


def nothing_is_delivered(forge: Forge) -> None:
    _log(forge, REFUSED).pop()


def state_is_dead(forge: Forge) -> None:
    (log,) = (e for e in forge.client if e["event"] == "log" and e["job"] == f"J{REFUSED}")
    log["body"]["state"] = "dead"


def timeout_is_repeated_soon(forge: Forge) -> None:
    _log(forge, TIMEOUT)[0]["nextTry"] = "2026-08-01T12:04:59.000Z"


def blocked_try_went_somewhere(forge: Forge) -> None:
    _log(forge, REBINDING)[1]["address"] = "127.99.0.1"


def trap_was_reached(forge: Forge) -> None:
    forge.note(forge.killer, "trapped", address="127.99.0.1")


def log_is_missing(forge: Forge) -> None:
    forge.client[:] = [e for e in forge.client if not (e["event"] == "log" and e["job"] == f"J{REFUSED}")]


def fault_never_struck(forge: Forge) -> None:
    forge.killer[:] = [
        e for e in forge.killer if not (e["event"] == "struck" and e["url"] == url_of(HARMLESS))
    ]


FORGERIES: dict[Callable[[Forge], None], str] = {
    word_is_wrong: "class wrong status",
    word_is_missing: "class rebinding",
    word_is_added: "class rebinding",
    harmless_fault_fails: "class latency",
    try_fails_twice: "class wrong status",
    nothing_is_delivered: "class wrong status",
    state_is_dead: "class wrong status",
    timeout_is_repeated_soon: "class timeout",
    blocked_try_went_somewhere: "class rebinding",
    trap_was_reached: "trap 127.99.0.1",
    log_is_missing: "class wrong status",
    fault_never_struck: "faults latency",
}


def test_right_words_pass() -> None:
    """A history in which each fault has its word, and nothing else is wrong, has no violation."""
    history = valid().history()

    assert [] == judge_tries(history)
    assert [] == judge(history)
    assert {"timeout": 1, "wrong status": 1, "rebinding": 1, "latency": 1} == faults_met(history)


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_wrong_word_is_noticed(forge: Callable[[Forge], None]) -> None:
    """A log that says something else of a fault, or of what followed, is a violation, and the only one."""
    history = valid()
    forge(history)

    (found,) = judge_tries(history.history())
    assert str(found).startswith(FORGERIES[forge])


def test_only_callbacks_without_a_fault_are_healthy() -> None:
    """Of all callbacks those to targets that nothing was wrong with count as healthy, from the video to the first try."""
    forge = valid()
    (made,) = (e["at"] for e in forge.upstream if e.get("attachment_id") == f"a{HEALTHY}")
    first = next(e for e in forge.receiver if e.get("job") == f"J{HEALTHY}")
    first["arrived"] = made + SECOND // 4

    assert [0.25] == healthy_seconds(forge.history())


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)])
def test_percentiles_are_of_the_nearest_rank(percent: int, value: float) -> None:
    """At least so many of a hundred are no larger."""
    assert value == percentile([float(n) for n in range(1, 101)], percent)
    assert 0.0 == percentile([], percent)


@pytest.mark.parametrize(
    ("parts", "seconds"),
    [
        # Late because it worked; because something blocked it; because the machine was busy, in each of three ways.
        ({"late": 0.1, "ran": 0.1}, 0.1),
        ({"late": 0.1, "ran": 0.02}, 0.1),
        ({"late": 0.1, "ran": 0.02, "waited": 0.08}, 0.02),
        ({"late": 0.1, "ran": 0.02, "others_waited": 0.2}, 0.02),
        ({"late": 0.1, "ran": 0.02, "faults": 1}, 0.02),
        ({"late": 0.1, "ran": 0.02, "stolen": 0.05}, 0.05),
    ],
)
def test_stall_is_what_the_server_did(parts: dict[str, float], seconds: float) -> None:
    """Of the time that a loop was late, what the machine took is no stall, and everything else is."""
    line = {"ran": 0.0, "waited": 0.0, "others_waited": 0.0, "stolen": 0.0, "faults": 0, **parts}

    assert seconds == pytest.approx(stalled(line))
