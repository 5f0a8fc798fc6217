"""Which schemas our code may work on."""

import pytest

from pikarelay.store.migrations.state import SchemaState, Step


def step(revision: str, oldest_code: str) -> Step:
    return Step(revision, oldest_code, f"1.{revision}")


@pytest.mark.parametrize(
    ("current", "steps", "is_usable"),
    [
        ("0007", [], True),
        ("0007", [step("0007", "0007")], True),
        (None, [], False),
        ("0006", [], False),
        # An older schema never is, whatever it says: the code would miss something.
        ("0006", [step("0006", "0001")], False),
        ("0008", [step("0007", "0007"), step("0008", "0007")], True),
        ("0008", [step("0007", "0007"), step("0008", "0003")], True),
        ("0008", [step("0007", "0007"), step("0008", "0008")], False),
        # The strictest of all steps counts, not the last.
        ("0009", [step("0007", "0007"), step("0008", "0008"), step("0009", "0007")], False),
        ("0009", [step("0009", "0007"), step("0008", "0006"), step("0007", "0007")], True),
        # Who does not say it does not mean it.
        ("0008", [], False),
        ("0009", [step("0007", "0007"), step("0008", "0007")], False),
    ],
)
def test_usable(current: str | None, steps: list[Step], is_usable: bool) -> None:
    """Code works on its own schema, and on a newer one all of whose steps serve it."""
    assert is_usable == SchemaState(current, "0007", steps=tuple(steps)).is_usable


def test_serves() -> None:
    """A schema serves the oldest code that it names and all later ones; one that names none serves none."""
    state = SchemaState("0009", "0009", steps=(step("0008", "0008"), step("0009", "0007")))

    assert [False, True, True] == [state.serves(code) for code in ("0007", "0008", "0009")]
    assert not SchemaState("0009", "0009").serves("0009")


def test_last_step() -> None:
    """The step that led to the current schema is known by that, not by its place."""
    steps = (step("0008", "0008"), step("0007", "0007"))

    assert step("0008", "0008") == SchemaState("0008", "0007", steps=steps).last_step
    assert SchemaState("0009", "0007", steps=steps).last_step is None
