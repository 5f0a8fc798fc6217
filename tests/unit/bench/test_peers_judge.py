"""The judge of the comparison with other libraries: whose result is it that a caller was given?"""

from typing import Any

import pytest
from bench.peers.judge import (
    BUTTON,
    Press,
    Told,
    Verdict,
    attachment_of,
    counted,
    judge,
    owners,
    read_presses,
)

SECOND = 1_000_000_000


def link(attachment: str) -> str:
    return f"http://127.0.0.1:1/attachments/77/{attachment}/demo_lantern.png?ex=1&is=2&hm=3"


def told(number: int = 1, **changes: Any) -> Told:
    """Return a call that was asked for at its number's second, and given result number `number` ten seconds later."""
    usual: dict[str, Any] = {
        "call": f"call-{number}",
        "words": "lantern",
        "asked": number * SECOND,
        "ended": (number + 10) * SECOND,
        "url": link(f"90{number}"),
    }
    return Told(**usual | changes)


def press(number: int = 1, **changes: Any) -> Press:
    usual: dict[str, Any] = {
        "interaction_id": f"50{number}",
        "nonce": f"nonce-{number}",
        "words": "lantern",
        "done": (number + 9) * SECOND,
        "attachment_id": f"90{number}",
    }
    return Press(**usual | changes)


def verdict(call: Told, *presses: Press) -> Verdict:
    return judge([call], presses)[call.call].verdict


class TestOneCall:
    def test_own_result_is_right(self) -> None:
        """The result of its own press is right, and the time from asking to it is known."""
        judged = judge([told()], [press()])["call-1"]

        assert (Verdict.RIGHT, 10.0, "") == (judged.verdict, judged.seconds, judged.note)

    def test_another_result_is_wrong(self) -> None:
        """A result of any other press is wrong, whatever it looks like."""
        assert Verdict.WRONG == verdict(told(url=link("902")), press())

    def test_result_without_a_press_is_wrong(self) -> None:
        """Who never pressed has no result of its own."""
        assert Verdict.WRONG == verdict(told(), press(words="something else"))

    @pytest.mark.parametrize(("late", "expected"), [(30, Verdict.RIGHT), (31, Verdict.HUNG)])
    def test_patience_counts_from_the_bots_end(self, late: int, expected: Verdict) -> None:
        """An answer more than thirty seconds after the bot was done counts as none."""
        assert expected == verdict(told(ended=(10 + late) * SECOND), press())

    def test_silence_hangs(self) -> None:
        """A caller who is told nothing, by a program that lives, hangs."""
        assert Verdict.HUNG == verdict(told(ended=None, url=None), press())

    def test_silence_of_the_dead_is_a_loss(self) -> None:
        """A caller whose program has died will never be told."""
        assert Verdict.LOST == verdict(told(ended=None, url=None, is_orphaned=True), press())

    def test_failure_of_a_finished_job_is_a_loss(self) -> None:
        """Word of a failure is a loss when the bot finished, and what was said is kept."""
        judged = judge([told(url=None, error="status 429")], [press()])["call-1"]

        assert (Verdict.LOST, "status 429") == (judged.verdict, judged.note)

    @pytest.mark.parametrize(("is_orphaned", "expected"), [(False, "turned away"), (True, "lost")])
    def test_failure_without_a_press(self, is_orphaned: bool, expected: str) -> None:
        """An error where nothing was pressed turns a caller away, unless the call was taken and then forgotten."""
        assert expected == verdict(told(url=None, error="full", is_orphaned=is_orphaned))

    def test_result_survives_a_death(self) -> None:
        """A program that answers for calls of the one before loses nothing."""
        assert Verdict.RIGHT == verdict(told(is_orphaned=True), press())


class TestRefusal:
    REFUSED = press(attachment_id=None)

    def test_word_of_it_is_right(self) -> None:
        """A caller who is told of an error knows that the bot refused."""
        assert Verdict.RIGHT == verdict(told(url=None, error="moderated"), self.REFUSED)

    def test_a_result_is_wrong(self) -> None:
        """There is no result that could be the caller's."""
        assert Verdict.WRONG == verdict(told(), self.REFUSED)

    @pytest.mark.parametrize("ended", [None, 60 * SECOND])
    def test_silence_hangs(self, ended: int | None) -> None:
        """A refusal that nobody hears of in time hangs like anything else."""
        assert Verdict.HUNG == verdict(
            told(url=None, ended=ended, error="late" if ended else None), self.REFUSED
        )


class TestManyCalls:
    def test_swapped_results_are_both_wrong(self) -> None:
        """Two callers of equal words with each other's results are both wrong."""
        calls = [told(1, url=link("902")), told(2, url=link("901"))]

        assert {Verdict.WRONG: 2} == counted(judge(calls, [press(1), press(2)]))

    def test_equal_words_are_told_apart_by_their_order(self) -> None:
        """Without a nonce the n-th call with the same words owns their n-th press, in whatever order it is listed."""
        own = owners([told(2), told(1)], [press(1), press(2)])

        assert {"call-1": "501", "call-2": "502"} == {call: its.interaction_id for call, its in own.items()}

    def test_nonce_wins_over_order(self) -> None:
        """A nonce names the press, and leaves the others to those who have none."""
        own = owners([told(1, nonce="nonce-2"), told(2)], [press(1), press(2)])

        assert {"call-1": "502", "call-2": "501"} == {call: its.interaction_id for call, its in own.items()}

    def test_call_whose_nonce_was_never_pressed_owns_nothing(self) -> None:
        """A known nonce that Discord never saw is not replaced by somebody else's press."""
        assert {} == owners([told(1, nonce="nonce-9")], [press(1)])

    def test_more_calls_than_presses(self) -> None:
        """The last call owns no press when there was one less."""
        calls = [told(1), told(2, url=None, error="full")]

        assert {Verdict.RIGHT: 1, Verdict.TURNED_AWAY: 1} == counted(judge(calls, [press(1)]))

    def test_unfinished_bot_is_not_judged(self) -> None:
        """While the bot works on a press, there is nothing to judge by."""
        with pytest.raises(ValueError, match="501"):
            judge([told()], [press(done=None, attachment_id=None)])


class TestLedger:
    ENTRIES = (
        {
            "event": "interaction_accepted",
            "interaction_id": "1",
            "nonce": "n1",
            "options": {"prompt": "lantern"},
        },
        {"event": "interaction_accepted", "interaction_id": "2", "nonce": "n2", "options": {}},
        {"event": "interaction_accepted", "interaction_id": "3", "nonce": None, "options": {"prompt": "x"}},
        {"event": "message_created", "interaction_id": "1", "monotonic_ns": 5},
        {"event": "refused", "interaction_id": "2", "monotonic_ns": 6},
        {"event": "result", "interaction_id": "1", "monotonic_ns": 7, "attachment_id": "9"},
    )

    def test_presses_are_read_in_order(self) -> None:
        """Each interaction is a press, with what the bot noted under its id."""
        first, second, third = read_presses(self.ENTRIES)

        assert Press(interaction_id="1", nonce="n1", words="lantern", done=7, attachment_id="9") == first
        assert Press(interaction_id="2", nonce="n2", words=BUTTON, done=6) == second
        assert Press(interaction_id="3", nonce=None, words="x") == third
        assert [False, True, False] == [each.is_refused for each in (first, second, third)]

    def test_link_names_its_attachment(self) -> None:
        """A link holds the attachment's id before the file's name, whatever follows."""
        assert "901" == attachment_of(link("901"))
