"""What docs/security.md promises, and that each test it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
ROWS = list(range(1, 41))

_NAMED = re.compile(r"`(?:(tests/[\w/]+\.py)(?:::)?)?(test_\w+)?(?:\[[^\]]*\])?`")


def names_of(path: Path) -> set[str]:
    """Return the names of a file's tests, those in classes among them."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_row_has_a_test() -> None:
    """Each of the forty hostile inputs is a test by its number."""
    names = {name for path in ROOT.glob("tests/**/test_*.py") for name in names_of(path)}
    numbers = {int(found[1]) for name in names if (found := re.match(r"test_row_(\d\d)(?:_|$)", name))}

    assert [] == [number for number in ROWS if number not in numbers]
    assert numbers <= set(ROWS)


def test_every_row_is_told() -> None:
    """The page has a line for each of the forty."""
    told = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)

    assert ROWS == list(map(int, told))


def test_every_promise_names_its_test() -> None:
    """Each promise stands beside a test, and each test that is named exists, in the file that is named with it or before it."""
    missing, bare = [], []
    known: set[str] = set()
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            known = set()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 2 or cells[1] in {"Held by", "---"}:
            continue
        found = [match for match in _NAMED.finditer(cells[1]) if match[1] or match[2]]
        bare += [] if found else [line]
        for match in found:
            if match[1]:
                path = ROOT / match[1]
                if not path.is_file():
                    missing.append(match[1])
                    continue
                known = known | names_of(path)
                if match[2] and match[2] not in names_of(path):
                    missing.append(f"{match[1]}::{match[2]}")
            elif match[2] not in known:
                missing.append(match[2])

    assert [] == missing
    assert [] == bare
