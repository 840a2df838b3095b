"""Start one measuring process after the other, and never two at a time.

Each row is measured in a process of its own: PyTorch's and numba's threads go on spinning for a
while after their work is done and would take the cores from the next row, and a process is the
only thing whose peak memory can be told apart.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.images import project_root
from benchmarks.job import Job
from benchmarks.machine import foreign_busy_seconds
from benchmarks.plan import Measurement, Plan
from spikejoule.core.errors import SpikejouleError


class MissingRowError(SpikejouleError):
    """A row cannot be measured because a library (or a part of the project) is not there."""


def environment(threads: int) -> dict[str, str]:
    """The same for every row: `threads` for PyTorch, MKL and numba, and this very checkout."""
    count = str(threads)
    inherited = os.environ.get("PYTHONPATH")
    sources = str(project_root() / "src")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([sources, inherited] if inherited else [sources]),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
    }


def measure_row(name: str, job: Job, plan: Plan, images: Path, threads: int) -> Measurement:
    """Measure row `name` in a process of its own, on the images in file `images`.

    Raises MissingRowError if its library is not installed, SpikejouleError if the process fails.
    """
    request = {"name": name, "job": asdict(job), "plan": asdict(plan), "data": str(images)}
    with tempfile.TemporaryDirectory() as folder:
        request_file, reply_file = Path(folder, "request.json"), Path(folder, "reply.json")
        request_file.write_text(json.dumps(request))
        start, foreign = time.perf_counter(), foreign_busy_seconds()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", str(request_file), str(reply_file)],
            cwd=project_root(),
            env=environment(threads),
            capture_output=True,
            text=True,
            check=False,
        )
        foreign_cores = (foreign_busy_seconds() - foreign) / (time.perf_counter() - start)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise SpikejouleError(f"the row {name} could not be measured: {reason}")
        reply = json.loads(reply_file.read_text())
    if "missing" in reply:
        raise MissingRowError(f"the row {name} could not be measured: {reply['missing']}")
    return replace(Measurement(**reply), foreign_cores=max(0.0, foreign_cores))


def rotated(names: Sequence[str], round_number: int) -> list[str]:
    """The names, beginning `round_number` places later, so that no row is always the first."""
    shift = round_number % len(names) if names else 0
    return [*names[shift:], *names[:shift]]


def measure_rounds(
    names: Sequence[str], job: Job, plan: Plan, rounds: int, images: Path, threads: int
) -> Iterator[tuple[int, Measurement | MissingRowError, str]]:
    """Every row once a round, in rotating order: yields (round, measurement, name).

    A row whose library is missing is yielded once as the error and then left out.
    """
    left_out: set[str] = set()
    for round_number in range(rounds):
        for name in rotated(names, round_number):
            if name in left_out:
                continue
            try:
                round_plan = replace(plan, order_seed=plan.order_seed + round_number)
                measurement = measure_row(name, job, round_plan, images, threads)
            except MissingRowError as error:
                left_out.add(name)
                yield round_number, error, name
            else:
                yield round_number, measurement, name
