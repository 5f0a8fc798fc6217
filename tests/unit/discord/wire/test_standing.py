import json
from datetime import UTC, datetime, timedelta

import pytest

from pikarelay.discord.wire.closecodes import Remedy
from pikarelay.discord.wire.refusals import Refusal, Verdict, read_refusal
from pikarelay.discord.wire.standing import PAUSE, AccountStanding, Standing
from tests.unit.discord.wire import recorded

NOW = datetime(2026, 8, 1, tzinfo=UTC)
MISSING_ACCESS = {"message": "Missing Access", "code": 50001}
#: Refusals that last until a person acts.
FINAL: list[tuple[int, object]] = [
    (401, {}),
    (400, {"captcha_key": ["captcha-required"]}),
    (403, {"code": 10008}),
]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (401, {"message": "401: Unauthorized", "code": 0}, Verdict.TOKEN_INVALID),
        (403, {"message": "Unauthorized", "code": 40001}, Verdict.TOKEN_INVALID),
        (400, {"message": "Invalid authentication token", "code": 50014}, Verdict.TOKEN_INVALID),
        (400, recorded.payload("captcha"), Verdict.CAPTCHA),
        (403, {"message": "Unknown Message", "code": 10008}, Verdict.BLOCKED),
        (404, {"message": "Unknown Message", "code": 10008}, Verdict.NONE),
        (403, {"message": "verify", "code": 40002}, Verdict.BLOCKED),
        (403, {"message": "internal network error", "code": 40333}, Verdict.BLOCKED),
        (403, MISSING_ACCESS, Verdict.NONE),
        (400, recorded.payload("outdated_command"), Verdict.NONE),
        (413, {"message": "Request entity too large", "code": 40005}, Verdict.NONE),
        (400, "text", Verdict.NONE),
    ],
)
def test_verdicts(status: int, body: object, verdict: Verdict) -> None:
    """Status and code together say what becomes of the account; a verdict has a sentence for a person."""
    refusal = read_refusal(status, json.dumps(body).encode())

    assert refusal.verdict is verdict
    assert bool(refusal.reason) == (verdict is not Verdict.NONE)


def test_what_has_changed_is_recognised() -> None:
    """A stale version or button is found anywhere in the tree of a validation error."""
    assert read_refusal(400, recorded.encoded("outdated_command")).is_stale
    assert read_refusal(404, b'{"code":10063}').is_stale
    assert read_refusal(
        400, b'{"code":50035,"errors":{"data":{"_errors":[{"code":"COMPONENT_VALIDATION_FAILED"}]}}}'
    ).is_stale
    assert not read_refusal(400, b'{"code":50035,"errors":{"data":{"_errors":[{"code":"X"}]}}}').is_stale


def test_an_ended_session_is_recognised() -> None:
    """A complaint about the session is told from one about anything else."""
    gone = b'{"code":50035,"errors":{"session_id":{"_errors":[{"code":"BASE_TYPE_REQUIRED"}]}}}'
    other = b'{"code":50035,"errors":{"nonce":{"_errors":[{"code":"BASE_TYPE_REQUIRED"}]}}}'

    assert read_refusal(400, gone).is_session_gone
    assert not read_refusal(400, other).is_session_gone
    assert not read_refusal(400, b'{"code":50035,"errors":["session_id"]}').is_session_gone


@pytest.mark.parametrize("body", [b"", b"<html>403</html>", b"[" * 5000, b'{"code":"x"}'])
def test_an_unreadable_refusal_has_no_verdict(body: bytes) -> None:
    """HTML and garbage say nothing about the account."""
    assert read_refusal(403, body) == Refusal(Verdict.NONE)


def after(standing: AccountStanding, status: int, body: object) -> AccountStanding:
    text = json.dumps(body)
    return standing.after_refusal(read_refusal(status, text.encode()), status, text, NOW)


@pytest.mark.parametrize(
    ("status", "body", "standing"),
    [
        (401, {}, Standing.TOKEN_INVALID),
        (400, {"captcha_key": ["captcha-required"]}, Standing.CAPTCHA),
        (403, {"code": 10008}, Standing.BLOCKED),
    ],
)
def test_an_account_stays_refused(status: int, body: object, standing: Standing) -> None:
    """Such an account cannot be used any more, now or in a year, and keeps Discord's own words."""
    refused = after(AccountStanding(), status, body)

    assert refused.standing is standing
    assert not refused.is_usable(NOW)
    assert not refused.is_usable(NOW.replace(year=2027))
    assert (refused.status, refused.details) == (status, json.dumps(body))


def test_two_forbidden_requests_pause() -> None:
    """The second 403 in a row pauses the account, for a while."""
    once = after(AccountStanding(), 403, MISSING_ACCESS)
    assert once.is_usable(NOW)
    twice = after(once, 403, MISSING_ACCESS)

    assert twice.standing is Standing.PAUSED
    assert not twice.is_usable(NOW)
    assert twice.is_usable(NOW + PAUSE)


def test_a_success_between_starts_over() -> None:
    """403s that are not in a row pause nothing."""
    standing = after(AccountStanding(), 403, MISSING_ACCESS).after_answer(200)

    assert after(standing, 403, MISSING_ACCESS).is_usable(NOW)


def test_a_pause_that_ended_does_not_come_back_at_once() -> None:
    """After a pause the count of 403s starts over."""
    paused = after(after(AccountStanding(), 403, MISSING_ACCESS), 403, MISSING_ACCESS)
    text = json.dumps(MISSING_ACCESS)
    later = paused.after_refusal(Refusal(Verdict.NONE), 403, text, NOW + PAUSE)

    assert later.is_usable(NOW + PAUSE)


def test_a_pause_that_ended_is_none() -> None:
    """When a pause is over the account stands as if there had been none."""
    paused = after(after(AccountStanding(), 403, MISSING_ACCESS), 403, MISSING_ACCESS)

    assert paused == paused.at(NOW + PAUSE - timedelta(seconds=1))
    assert AccountStanding() == paused.at(NOW + PAUSE)


@pytest.mark.parametrize(("status", "body"), FINAL)
@pytest.mark.parametrize("answers", [(403, 200), (403, 403), (200,), (400, 404)])
def test_answers_on_their_way_make_a_bad_standing_no_better(
    status: int, body: object, answers: tuple[int, ...]
) -> None:
    """What other requests are answered with after an account was refused changes nothing: a person has to act."""
    refused = standing = after(AccountStanding(), status, body)
    for other in answers:
        standing = standing.after_answer(other) if other < 400 else after(standing, other, MISSING_ACCESS)

    assert refused == standing


def test_the_first_refusal_counts() -> None:
    """Who was blocked and then asked for a captcha stays blocked, with Discord's words to that."""
    blocked = after(AccountStanding(), 403, {"code": 10008})

    assert blocked == after(blocked, 400, {"captcha_key": ["captcha-required"]})


@pytest.mark.parametrize("answers", [(200,), (403, 200), (403, 403)])
def test_answers_on_their_way_do_not_end_or_stretch_a_pause(answers: tuple[int, ...]) -> None:
    """A pause lasts as long as it was to, whatever other requests are answered with meanwhile."""
    paused = standing = after(after(AccountStanding(), 403, MISSING_ACCESS), 403, MISSING_ACCESS)
    for other in answers:
        standing = standing.after_answer(other) if other < 400 else after(standing, other, MISSING_ACCESS)

    assert paused == standing


def test_a_pause_does_not_hide_a_dead_token() -> None:
    """A token that is refused during a pause is dead, and stays so when the pause would have ended."""
    paused = after(after(AccountStanding(), 403, MISSING_ACCESS), 403, MISSING_ACCESS)
    dead = after(paused, 401, {})

    assert Standing.TOKEN_INVALID is dead.at(NOW + PAUSE).standing


@pytest.mark.parametrize(
    ("remedy", "standing"),
    [(Remedy.TOKEN_INVALID, Standing.TOKEN_INVALID), (Remedy.STOP, Standing.GATEWAY_REFUSED)],
)
def test_the_gateway_can_end_it_too(remedy: Remedy, standing: Standing) -> None:
    """An account that the Gateway will not have any more is not usable."""
    stopped = AccountStanding().after_stop(remedy, "because")

    assert (stopped.standing, stopped.reason) == (standing, "because")
    assert not stopped.is_usable(NOW)
