"""What a row is given, and what it comes to."""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.stage import Verdict

#: So many violations are printed of a row; all are in its ledgers.
_SHOWN = 12


@dataclass(frozen=True)
class Scene:
    """What a row runs with."""

    #: Where its ledgers go.
    folder: Path
    seed: int
    #: The full run instead of the quick one.
    full: bool = False
    #: A promise to break in every server of the row.
    sabotage: str | None = None
    #: A share of the row's amount, for sabotages, which show in few tries.
    share: float = 1.0

    @property
    def plan(self) -> dict[str, str]:
        return {} if self.sabotage is None else {"sabotage": self.sabotage}

    def amount(self, quick: int, full: int) -> int:
        return max(1, round((full if self.full else quick) * self.share))

    def rng(self, *name: object) -> random.Random:
        """Return randomness of this row and purpose alone."""
        return random.Random(f"{self.seed} {name}")


@dataclass
class Outcome:
    """A row's verdict: counts, floors of work that were missed, and broken promises."""

    row: str
    numbers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    #: Lines of a table, such as one for each kill point.
    table: list[str] = field(default_factory=list)

    def take(self, verdict: Verdict, context: str = "") -> None:
        """Add the verdict of one stage."""
        self.numbers.update(verdict.numbers)
        self.violations += [f"{context}{each}  [{verdict.folder.name}]" for each in verdict.violations]
        self.folders.append(verdict.folder)

    def require(self, holds: bool, text: str) -> None:
        """Add a violation of the harness's own rules, such as a floor of acknowledged work."""
        if not holds:
            self.violations.append(text)

    @property
    def is_good(self) -> bool:
        return not self.violations

    def lines(self) -> list[str]:
        numbers = ", ".join(f"{count:,} {name}" for name, count in self.numbers.items() if count)
        shown = [f"    {text[:400]}" for text in self.violations[:_SHOWN]]
        more = len(self.violations) - _SHOWN
        return [
            f"{self.row:<4} {'green' if self.is_good else 'RED  '}  {numbers}",
            *(f"    {line}" for line in self.table),
            *shown,
            *([f"    … and {more} more"] if more > 0 else []),
        ]
