"""C14: random histories of the core, on the real store's statements and a clock that is told when to move; see `chaos.model`."""

import asyncio
import subprocess
import sys

from chaos.outcome import Outcome, Scene
from chaos.processes import ROOT, clean_environment
from chaos.stage import copied_sources

_STEPS = (50, 100)


async def run(scene: Scene) -> Outcome:
    outcome = Outcome("C14")
    scene.folder.mkdir(parents=True)
    examples, steps = scene.amount(200, 2000), _STEPS[scene.full]
    sources = copied_sources(scene.folder.parent)
    log = scene.folder / "model.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaos.model", str(examples), str(steps), str(scene.seed),
            stdout=output, stderr=subprocess.STDOUT, env=clean_environment(sources), cwd=ROOT,
        )  # fmt: skip
        status = await process.wait()
    outcome.numbers.update({"histories": examples, "steps at most": examples * steps})
    outcome.require(status == 0, f"a history broke the model: {log.read_text()[-2000:]}")
    outcome.folders.append(scene.folder)
    return outcome
