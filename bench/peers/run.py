"""The command: `python -m bench.peers`."""

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

from bench.noise import OthersBusy
from bench.peers.judge import counted
from bench.peers.players import PLAYERS, NotInstalledError, Player
from bench.peers.report import Contender, Run, rendered, write_json
from bench.peers.scenarios import BEHAVIOUR, Scenario, loads
from bench.peers.trial import Trial, play
from bench.report import machine

ROUNDS, QUICK_ROUNDS = 3, 1


def main() -> None:
    """Play, and print the report. A peer that does badly is no error; one that cannot be started is."""
    options = _options()
    scenarios = [
        each
        for each in (*BEHAVIOUR, *loads(quick=options.quick))
        if not options.only or each.name in options.only
    ]
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    try:
        contenders = [
            Contender(name=kind.name, version=kind.version(), settings=kind.settings) for kind in PLAYERS
        ]
    except NotInstalledError as error:
        sys.exit(f"bench.peers: {error}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="peers-"))
    print(f"seed {options.seed}, logs in {folder}", file=sys.stderr, flush=True)
    trials, others = asyncio.run(_play(scenarios, rounds, folder, options.seed))
    run = Run(
        machine=machine(),
        seed=options.seed,
        rounds=rounds,
        contenders=contenders,
        scenarios=scenarios,
        trials=trials,
        others=others,
    )
    print(rendered(run))
    if options.json:
        write_json(options.json, run)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.peers", description="Run pikarelay side by side with two libraries for Midjourney."
    )
    names = [each.name for each in (*BEHAVIOUR, *loads(quick=False), *loads(quick=True))]
    parser.add_argument("--quick", action="store_true", help="one round, and fewer jobs: some ten minutes")
    parser.add_argument(
        "--only",
        choices=dict.fromkeys(names),
        action="append",
        metavar="SCRIPT",
        help="this one; may be repeated: %(choices)s",
    )
    parser.add_argument("--rounds", type=int, help=f"how often each is played ({ROUNDS})")
    parser.add_argument("--seed", type=int, default=1, help="of tokens, ids and the bots' chance")
    parser.add_argument(
        "--folder", type=Path, help="where logs and data go, a new folder; by default a temporary one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the trials there, one a line")
    return parser.parse_args()


async def _play(
    scenarios: list[Scenario], rounds: int, folder: Path, seed: int
) -> tuple[list[Trial], dict[str, float]]:
    """Play all scripts to all peers, in turns: a neighbour's load strikes one as it strikes the next."""
    trials: list[Trial] = []
    others: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for scenario in scenarios:
            busy = OthersBusy()
            for kind in in_turn(PLAYERS, number):
                if kind.name in scenario.not_for:
                    continue
                trial = await play(
                    scenario,
                    kind,
                    folder / f"{number + 1}-{scenario.name}-{kind.name.split()[0]}",
                    seed + number,
                )
                trials.append(trial)
                _say(number, trial)
            others[scenario.name].append(busy.cores())
    return trials, {name: mean(shares) for name, shares in others.items()}


def in_turn(players: tuple[type[Player], ...], number: int) -> tuple[type[Player], ...]:
    """Return the peers, beginning with another one each round."""
    first = number % len(players)
    return players[first:] + players[:first]


def _say(number: int, trial: Trial) -> None:
    told = ", ".join(f"{count} {verdict}" for verdict, count in counted(trial.judged).items())
    print(
        f"round {number + 1}: {trial.scenario}, {trial.player}: {told} in {trial.seconds:.2f} s",
        file=sys.stderr,
        flush=True,
    )
