"""
C14: random histories of the core, in time that is told when to move.

`chaos.model` has the real store's statements and chooses each step anew; `chaos.simulation` has all of the services at work at
once, with a Discord, callers and receivers in trouble.
"""

import asyncio
import json
import subprocess
import sys

from chaos.outcome import Outcome, Scene
from chaos.processes import ROOT, clean_environment
from chaos.stage import copied_sources

_STEPS = (50, 100)
#: Processes for the simulation.
_JOBS = "2"


async def run(scene: Scene, outcome: Outcome) -> None:
    scene.folder.mkdir(parents=True)
    outcome.folders.append(scene.folder)
    examples, steps = scene.amount(200, 2000), _STEPS[scene.full]
    seeds, first = scene.amount(1_000, 100_000), scene.seed * 1_000_000
    broken, violated = await asyncio.gather(
        _python(scene, "model", str(examples), str(steps), str(scene.seed)),
        _python(
            scene,
            "simulation",
            str(seeds),
            "--first",
            str(first),
            "--jobs",
            _JOBS,
            "--folder",
            str(scene.folder),
        ),
    )
    outcome.numbers.update({"histories": examples, "steps at most": examples * steps})
    outcome.require(broken is None, f"a history broke the model: {broken}")
    outcome.require(violated is None, f"a simulated history was violated: {violated}")
    found = json.loads((scene.folder / "simulation.json").read_bytes())
    outcome.numbers.update(
        {"seeds": found["histories"]} | {f"simulated {k}": n for k, n in found["numbers"].items()}
    )
    outcome.require(found["histories"] == seeds, "not all seeds were run")


async def _python(scene: Scene, module: str, *words: str) -> str | None:
    """Run a module on a copy of the sources. Return the end of what it said when it fails."""
    log = scene.folder / f"{module}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"chaos.{module}", *words,
            stdout=output, stderr=subprocess.STDOUT, env=clean_environment(copied_sources(scene.folder.parent)), cwd=ROOT,
        )  # fmt: skip
        status = await process.wait()
    return log.read_text()[-2000:] if status else None
