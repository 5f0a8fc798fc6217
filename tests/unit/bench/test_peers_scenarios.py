"""The scripts of the comparison with other libraries."""

import msgspec
import pytest
from bench.peers.bot import Settings
from bench.peers.players import PLAYERS
from bench.peers.run import in_turn
from bench.peers.scenarios import BEHAVIOUR, CLOSE, Scenario, loads, reversed_finish

ALL = (*BEHAVIOUR, *loads(quick=False), *loads(quick=True))


def test_names_are_unique() -> None:
    """Each script can be asked for by its name."""
    names = [each.name for each in (*BEHAVIOUR, *loads(quick=False))]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.name)
def test_bots_know_their_settings(scenario: Scenario) -> None:
    """What a script asks of the bot is something that the bot has."""
    assert isinstance(msgspec.convert(dict(scenario.bot), Settings), Settings)


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.name)
def test_peers_are_known_by_name(scenario: Scenario) -> None:
    """Exceptions are for peers that exist."""
    assert {*scenario.fewer, *scenario.not_for} <= {kind.name for kind in PLAYERS}


def test_finish_is_reversed() -> None:
    """Started close together, calls finish in the opposite order, as far apart as was asked for."""
    durations = reversed_finish(4, first=2.0, apart=0.5)
    finished = [CLOSE * n + duration for n, duration in enumerate(durations)]

    assert [3.5, 3.0, 2.5, 2.0] == pytest.approx(finished)


def test_distinct_prompts_are_not_contained_in_each_other() -> None:
    """No prompt is a part of another, which some peers would take for the same."""
    scenario = Scenario(name="x", title="x", calls=1000)
    prompts = {scenario.prompt(n) for n in range(1000)}

    assert 1000 == len(prompts)
    assert 1 == len({len(prompt) for prompt in prompts})


def test_equal_prompts_are_equal() -> None:
    """A script of equal prompts has one."""
    assert 1 == len({Scenario(name="x", title="x", equal=True).prompt(n) for n in range(9)})


def test_everybody_begins_once() -> None:
    """Over as many rounds as there are peers each plays first once, and all play in each."""
    rounds = [in_turn(PLAYERS, number) for number in range(len(PLAYERS))]

    assert set(PLAYERS) == {order[0] for order in rounds}
    assert all(set(PLAYERS) == set(order) for order in rounds)
