"""
How much of the processor a GET of a job costs, against a bare server's hello.

Both answer the same load, in turns, each on one core while the load comes from another. What counts is requests per
second of the server's processor time, which neighbours on the machine disturb far less than requests per second.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.load import get, run, saturate
from bench.processes import beside, cpu_seconds, local_discord, pin, relay
from bench.report import Figure
from bench.seats import take_seats

CONNECTIONS = 32
JOBS = 40


def measure(*, quick: bool) -> list[Figure]:
    """Take turns of two seconds."""
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_discord(folder) as local, relay(folder, local) as server, beside("hello", folder) as hello:
            seats = run(take_seats(server, local, JOBS))
            for pid in (server.pid, hello["pid"]):
                pin(pid, 0)
            jobs = [get(server.headers, f"/v1/pika/jobs/?jobid={seat.job_id}") for seat in seats]
            ours, bare = [], []
            for _ in range(rounds):
                bare.append(_per_cpu_second(hello["pid"], hello["port"], jobs))
                ours.append(_per_cpu_second(server.pid, server.port, jobs))
    return [
        Figure(
            name="GET job",
            value=median(ours),
            unit="/CPU s",
            compared_to="hello of a bare server",
            reference=median(bare),
            aim=0.25,
            at_least=True,
            aim_is_ratio=True,
            samples=rounds,
            note=f"{1e6 / median(ours):.0f} µs against {1e6 / median(bare):.0f} µs; rounds {min(ours):,.0f} to {max(ours):,.0f}",
        )
    ]


def _per_cpu_second(pid: int, port: int, requests: Sequence[bytes]) -> float:
    before = cpu_seconds(pid)
    answered = saturate(port, requests, connections=CONNECTIONS, seconds=2.0)
    return answered / (cpu_seconds(pid) - before)
