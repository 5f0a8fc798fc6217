"""Runs each sabotage in the row that must notice it, and says which did."""

from collections.abc import Sequence
from pathlib import Path

from chaos.cli import run_row
from chaos.outcome import Scene
from chaos.sabotage import SABOTAGES


async def run_all(folder: Path, seed: int, only: Sequence[str] | None = None) -> int:
    """Return 0 when every sabotage turned its row red."""
    red = 0
    names = [name for name in SABOTAGES if only is None or name in only]
    for name in names:
        sabotage = SABOTAGES[name]
        scene = Scene(folder / name / sabotage.row, seed, sabotage=name, share=sabotage.share)
        outcome = await run_row(sabotage.row, scene)
        noticed = [text for text in outcome.violations if sabotage.shows in text]
        red += bool(noticed)
        verdict = noticed[0][:200] if noticed else f"nobody noticed: {outcome.violations[:1]}"
        print(f"{name:<22} {sabotage.row:<4} {'red  ' if noticed else 'GREEN'}  {verdict}", flush=True)
    print(f"{red} of {len(names)} red")
    return 0 if red == len(names) else 1
