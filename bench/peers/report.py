"""What trials came to, as tables in Markdown: the same for a terminal and for docs/peers.md."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.peers.judge import Verdict, counted
from bench.peers.scenarios import Scenario
from bench.peers.trial import Trial
from bench.report import Machine, percentile

Rows = list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A peer, for the report."""

    name: str
    version: str
    settings: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that one run of the command measured."""

    machine: Machine
    seed: int
    rounds: int
    contenders: Sequence[Contender]
    scenarios: Sequence[Scenario]
    trials: Sequence[Trial]
    #: Cores that other programs kept busy, by scenario.
    others: Mapping[str, float]

    def of(self, scenario: str, player: str) -> list[Trial]:
        return [each for each in self.trials if (each.scenario, each.player) == (scenario, player)]


def rendered(run: Run) -> str:
    """Return the whole report."""
    behaviour = [each for each in run.scenarios if not each.is_load]
    loads = [each for each in run.scenarios if each.is_load]
    parts = [
        _heading(run),
        table(["Peer", "Version", "Settings that differ from its defaults"], _settings(run)),
    ]
    if behaviour:
        parts.append(
            table(["What happens", *(each.name for each in run.contenders)], _verdicts(run, behaviour))
        )
        parts.append("\n".join(f"- {line}" for line in remarks(run, behaviour)))
    if loads:
        headings = [
            "Load",
            "Peer",
            "Right",
            "Jobs/s",
            "Against pikarelay",
            "p50",
            "p99",
            "CPU a job",
            "Memory, peak (idle)",
        ]
        parts.append(table(headings, _figures(run, loads)))
    parts.append(_noise(run))
    return "\n\n".join(part for part in parts if part)


def table(headings: Sequence[str], rows: Rows) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdict_cell(scenario: Scenario, player: str, trials: Sequence[Trial]) -> str:
    """Return what became of all calls of one script, summed over the rounds, and the median time of those that all went right."""
    if player in scenario.not_for:
        return scenario.not_for[player]
    if not trials:
        return "not run"
    total: Counter[Verdict] = sum((counted(trial.judged) for trial in trials), Counter())
    told = ", ".join(f"{total[verdict]} {verdict}" for verdict in Verdict if total[verdict])
    if set(total) == {Verdict.RIGHT}:
        return f"{told}, {median(trial.seconds for trial in trials):.1f} s"
    return f"**{told}**"


def remarks(run: Run, scenarios: Iterable[Scenario]) -> list[str]:
    """Return what the verdicts do not tell: what callers read in place of results, and what else was seen."""
    seen: defaultdict[str, list[str]] = defaultdict(list)
    for scenario in scenarios:
        for contender in run.contenders:
            for trial in run.of(scenario.name, contender.name):
                where = f"{scenario.title}, {contender.name}"
                seen[where] += [note for note in _notes(trial) if note not in seen[where]]
    return [f"{where}: {'; '.join(notes)}." for where, notes in seen.items() if notes]


def _notes(trial: Trial) -> list[str]:
    told = sorted({each.note for each in trial.judged.values() if each.note})
    notes = [f"callers read “{text}”" for text in told]
    if trial.has_died:
        notes.append("its process ended by itself")
    if trial.repeated:
        notes.append("it pressed a second time, with the same nonce, which localdiscord takes for one press")
    if trial.presses > len(trial.judged):
        notes.append(f"{trial.presses} presses for {len(trial.judged)} calls")
    if trial.violations:
        notes.append("rules of Discord broken: " + ", ".join(sorted(trial.violations)))
    if trial.has_leaked_token:
        notes.append("it wrote the Discord token to its log")
    return notes


def _settings(run: Run) -> Rows:
    return [[each.name, each.version, each.settings] for each in run.contenders]


def _verdicts(run: Run, scenarios: Iterable[Scenario]) -> Rows:
    return [
        [
            each.title,
            *(verdict_cell(each, peer.name, run.of(each.name, peer.name)) for peer in run.contenders),
        ]
        for each in scenarios
    ]


def _figures(run: Run, scenarios: Iterable[Scenario]) -> Rows:
    return [
        figure_row(each, peer.name, run.of(each.name, peer.name), run.of(each.name, run.contenders[0].name))
        for each in scenarios
        for peer in run.contenders
    ]


def figure_row(
    scenario: Scenario, player: str, trials: Sequence[Trial], reference: Sequence[Trial]
) -> list[str]:
    """Return a row of medians over the rounds. `reference` are the trials of the peer that others are compared to."""
    if player in scenario.not_for or not trials:
        return [scenario.title, player, scenario.not_for.get(player, "not run"), *["-"] * 6]
    right = sum(counted(trial.judged)[Verdict.RIGHT] for trial in trials)
    rates = [rate(trial) for trial in trials]
    ratios = [one / rate(other) for one, other in zip(rates, reference, strict=False) if rate(other)]
    cpu = [1000 * trial.cpu_seconds / len(trial.judged) for trial in trials if trial.cpu_seconds is not None]
    return [
        scenario.title,
        player,
        f"{right} of {sum(len(trial.judged) for trial in trials)}",
        f"{median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})",
        f"{median(ratios):.2f} x" if ratios else "-",
        *(f"{median(_percentile(trial, percent) for trial in trials):.2f} s" for percent in (50, 99)),
        f"{median(cpu):.1f} ms" if cpu else "-",
        f"{median(trial.peak_mib for trial in trials):.0f} MiB ({median(trial.idle_mib for trial in trials):.0f})",
    ]


def rate(trial: Trial) -> float:
    """Return right answers a second, from the first request to the last answer."""
    return counted(trial.judged)[Verdict.RIGHT] / trial.seconds if trial.seconds else 0.0


def _percentile(trial: Trial, percent: int) -> float:
    taken = [each.seconds for each in trial.judged.values() if each.seconds is not None]
    return percentile(taken, percent) if taken else float("nan")


def _heading(run: Run) -> str:
    where = run.machine
    return (
        f"Measured on {where.time[:10]}: {where.cpu}, {where.cores} cores, {where.system}, Python {where.python}; "
        f"commit {where.commit}, seed {run.seed}, {run.rounds} rounds."
    )


def _noise(run: Run) -> str:
    shares = ", ".join(f"{name} {share:.1f}" for name, share in run.others.items())
    return f"Cores kept busy by other programs meanwhile: {shares}."


def write_json(file: Path, run: Run) -> None:
    """Write a line about the run, then one a trial."""
    head = {
        "machine": asdict(run.machine),
        "seed": run.seed,
        "rounds": run.rounds,
        "contenders": [asdict(each) for each in run.contenders],
        "others_cores": run.others,
    }
    lines = [head, *(asdict(trial) for trial in run.trials)]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
