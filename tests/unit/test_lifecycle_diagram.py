"""The document shows the table as it is."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pikarelay.jobs.job import Status
from pikarelay.jobs.lifecycle import TRANSITIONS

TOOL = Path(__file__).resolve().parents[2] / "tools" / "lifecycle_diagram.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lifecycle_diagram", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_document_is_up_to_date(tool: ModuleType) -> None:
    """Drawing the diagram again changes nothing; `make lifecycle` brings it up to date."""
    text = tool.DOCUMENT.read_text(encoding="utf-8")

    assert tool.updated(text) == text


def test_diagram_has_every_transition(tool: ModuleType) -> None:
    """Each entry of the table is on the arrow between its statuses."""
    arrows = dict(line.strip().split(": ") for line in tool.diagram().splitlines() if ": " in line)

    for status, row in TRANSITIONS.items():
        for step, then in row.items():
            assert step.__name__ in arrows[f"{status.value} --> {then.value}"].split(", ")
    assert len({(s, t) for s, row in TRANSITIONS.items() for t in row.values()}) + 1 == len(arrows)


def test_document_names_every_status(tool: ModuleType) -> None:
    """The prose explains each status in a row of its own."""
    text = tool.DOCUMENT.read_text(encoding="utf-8")

    assert all(f"| `{status.value}` |" in text for status in Status)


def test_missing_marker_is_told(tool: ModuleType) -> None:
    """A document without the markers is not overwritten."""
    with pytest.raises(ValueError, match="marker"):
        tool.updated("# The life of a job")
