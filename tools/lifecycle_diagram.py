"""
Draw the life of a job from `pikarelay.jobs.lifecycle.TRANSITIONS`.

    tools/lifecycle_diagram.py          bring docs/job-lifecycle.md up to date
    tools/lifecycle_diagram.py --print  print the diagram only

The diagram stands between two markers; what is around it is written by hand and left alone.
"""

import sys
from collections import defaultdict
from pathlib import Path

from pikarelay.jobs.job import FINAL, Status
from pikarelay.jobs.lifecycle import TRANSITIONS

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "job-lifecycle.md"
BEGIN = "<!-- diagram: begin, drawn by tools/lifecycle_diagram.py -->"
END = "<!-- diagram: end -->"


def diagram() -> str:
    """Return the table as a Mermaid state diagram: an arrow for each pair of statuses, labelled with its events."""
    arrows: defaultdict[tuple[Status, Status], list[str]] = defaultdict(list)
    for status, row in TRANSITIONS.items():
        for step, then in row.items():
            arrows[status, then].append(step.__name__)
    lines = ["stateDiagram-v2", f"    [*] --> {Status.CREATED.value}: admitted"]
    lines += [
        f"    {status.value} --> {then.value}: {', '.join(steps)}" for (status, then), steps in arrows.items()
    ]
    lines += [f"    {status.value} --> [*]" for status in Status if status in FINAL]
    return "\n".join(lines)


def updated(text: str) -> str:
    """Return the document with its diagram drawn anew. Raises `ValueError` when a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{DOCUMENT.name} lacks a marker")
    return f"{before}{BEGIN}\n\n```mermaid\n{diagram()}\n```\n\n{END}{after}"


def main(arguments: list[str]) -> None:
    """Print the diagram, or write it into the document."""
    if "--print" in arguments:
        print(diagram())
        return
    DOCUMENT.write_text(updated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{DOCUMENT.name} is up to date")


if __name__ == "__main__":
    main(sys.argv[1:])
