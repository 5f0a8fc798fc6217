"""The report of the comparison with other libraries."""

from typing import Any

import pytest
from bench.peers.judge import Judged, Verdict
from bench.peers.report import Contender, Run, figure_row, rate, remarks, rendered, table, verdict_cell
from bench.peers.scenarios import Scenario
from bench.peers.trial import Trial
from bench.report import Machine

ONES = Scenario(name="ones", title="one thing", not_for={"shy": "has no such thing"})
LOAD = Scenario(name="load", title="many things", is_load=True)


def trial(*verdicts: Verdict, **changes: Any) -> Trial:
    """Return a trial of one call for each verdict; the n-th took n seconds."""
    judged = {f"call-{n}": Judged(verdict=verdict, seconds=float(n)) for n, verdict in enumerate(verdicts, 1)}
    usual: dict[str, Any] = {
        "scenario": "ones",
        "player": "ours",
        "judged": judged,
        "seconds": float(len(verdicts)),
        "presses": len(verdicts),
        "repeated": 0,
        "violations": {},
        "peak_mib": 90.4,
        "idle_mib": 70.0,
        "cpu_seconds": None,
        "has_died": False,
        "has_leaked_token": False,
    }
    return Trial(**usual | changes)


def run(scenarios: list[Scenario], trials: list[Trial]) -> Run:
    machine = Machine(
        time="2026-08-01T12:00:00+00:00",
        cpu="Abacus",
        cores=2,
        system="Linux",
        python="3.11",
        packages={},
        commit="abc",
    )
    return Run(
        machine=machine,
        seed=5,
        rounds=2,
        contenders=[Contender(name=name, version="1", settings="none") for name in ("ours", "theirs")],
        scenarios=scenarios,
        trials=trials,
        others={"ones": 0.25},
    )


class TestVerdicts:
    def test_all_right_shows_the_median_time(self) -> None:
        """Where every call of every round went right, the cell says so and how long it took."""
        trials = [trial(Verdict.RIGHT, seconds=taken) for taken in (2.0, 9.0, 4.0)]

        assert "3 right, 4.0 s" == verdict_cell(ONES, "ours", trials)

    def test_anything_else_is_counted_and_stands_out(self) -> None:
        """Where anything went wrong, the kinds are counted over all rounds, right ones too, without a time."""
        trials = [trial(Verdict.RIGHT, Verdict.WRONG), trial(Verdict.HUNG, Verdict.WRONG)]

        assert "**1 right, 2 wrong, 1 hung**" == verdict_cell(ONES, "ours", trials)

    def test_one_that_cannot_play_says_why(self) -> None:
        """A peer that a script is not for has the reason in place of a figure."""
        assert "has no such thing" == verdict_cell(ONES, "shy", [])

    def test_one_that_did_not_play(self) -> None:
        """Without a trial there is no verdict."""
        assert "not run" == verdict_cell(ONES, "ours", [])


class TestFigures:
    def test_medians_and_ratios(self) -> None:
        """Rates are medians with their range, compared round by round, and only right answers count."""
        ours = [trial(*[Verdict.RIGHT] * 4, seconds=taken, cpu_seconds=0.4) for taken in (1.0, 2.0, 4.0)]
        theirs = [trial(Verdict.RIGHT, Verdict.WRONG, seconds=taken) for taken in (1.0, 1.0, 2.0)]

        assert [
            "many things", "ours", "12 of 12", "2.0 (1.0 to 4.0)", "2.00 x", "2.00 s", "4.00 s", "100.0 ms",
            "90 MiB (70)",
        ] == figure_row(LOAD, "ours", ours, theirs)  # fmt: skip
        assert ["3 of 6", "1.0 (0.5 to 1.0)", "0.50 x"] == figure_row(LOAD, "theirs", theirs, ours)[2:5]

    def test_nothing_right_has_no_rate(self) -> None:
        """A peer that never answered has a rate of nothing, and nobody is compared to it."""
        silent = [trial(Verdict.LOST, seconds=0.0)]

        assert 0.0 == rate(silent[0])
        assert "-" == figure_row(LOAD, "ours", [trial(Verdict.RIGHT)], silent)[4]

    @pytest.mark.parametrize(("player", "said"), [("shy", "has no such thing"), ("ours", "not run")])
    def test_row_of_one_that_did_not_play(self, player: str, said: str) -> None:
        """A row without figures is as long as one with them."""
        row = figure_row(ONES, player, [], [])

        assert said == row[2]
        assert len(row) == len(figure_row(LOAD, "ours", [trial(Verdict.RIGHT)], [trial(Verdict.RIGHT)]))


class TestRemarks:
    def test_what_verdicts_do_not_tell_is_told_once(self) -> None:
        """Errors, a dead process, second presses, broken rules and a token in a log are told once for all rounds."""
        judged = {"call-1": Judged(verdict=Verdict.LOST, seconds=1.0, note="status 429")}
        bad = trial(
            Verdict.LOST,
            judged=judged,
            presses=2,
            repeated=1,
            violations={"nonce_repeated": 1},
            has_died=True,
            has_leaked_token=True,
        )
        (line,) = remarks(run([ONES], [bad, bad, trial(Verdict.RIGHT, player="theirs")]), [ONES])

        assert line.startswith("one thing, ours: callers read “status 429”; its process ended by itself; ")
        for part in ("with the same nonce", "2 presses for 1 calls", "nonce_repeated", "token to its log"):
            assert 1 == line.count(part)


class TestWhole:
    def test_report_names_where_it_comes_from(self) -> None:
        """The report says commit, seed, rounds, versions, settings and the neighbours' load."""
        text = rendered(run([ONES, LOAD], [trial(Verdict.RIGHT), trial(Verdict.RIGHT, scenario="load")]))

        assert "commit abc, seed 5, 2 rounds" in text
        assert "| theirs | 1 | none |" in text
        assert "| one thing | 1 right, 1.0 s | not run |" in text
        assert "| many things | ours | 1 of 1 |" in text
        assert text.endswith("Cores kept busy by other programs meanwhile: ones 0.2.")

    def test_only_loads(self) -> None:
        """A run of loads alone has no table of verdicts."""
        assert "What happens" not in rendered(run([LOAD], [trial(Verdict.RIGHT, scenario="load")]))

    def test_table(self) -> None:
        """A table is Markdown."""
        assert "| a | b |\n| --- | --- |\n| 1 | 2 |" == table(["a", "b"], [["1", "2"]])
