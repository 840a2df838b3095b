"""How the time of training grows with each dimension of the problem (`make bench`).

The base is 784-400-10 with Poisson spikes: 50 steps, 80 Hz, 60,000 images. Each series
changes one quantity. `event` is measured exact, and where there are several hidden
layers also with the sampled backward pass; plain PyTorch (`torch_time_batched`, with
convolutions `dense`) and SpikingJelly are the peers. `benchmarks.speed` says how a row
is timed, and why its process runs alone. `event` is timed over epochs of 20,000 images,
whose seconds are tripled, except in the series of layers and of images.

The exponent is the slope of log(seconds) over log(quantity), by least squares. A
quantity that costs nothing has the exponent 0, proportional cost the exponent 1.
"""

import argparse
import logging
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import load_benchmark_images
from benchmarks.job import CONVOLUTIONAL_JOB, SEED_JOB, Job
from benchmarks.machine import cores, describe, positive
from benchmarks.measurement import Measurement, Plan
from benchmarks.rows import RowProcesses
from benchmarks.speed import spread_of, warn_if_disturbed
from docs.site.speed import growth_rows, plain

logger = logging.getLogger(__name__)

BASE = replace(SEED_JOB, surrogate="arctangent", surrogate_slope=1.0)
SAMPLED = "event, sampled"
"""The row `event` with the sampled backward pass."""


@dataclass(frozen=True)
class Point:
    """One measurement of a series.

    Attributes:
        value: of the quantity that grows.
        job: what is trained.
        images: training images of an epoch.
        timed_images: images of a timed epoch, whose seconds are scaled to `images`.
    """

    value: float
    job: Job
    images: int = 60_000
    timed_images: int = 20_000


def _hidden(*sizes: int) -> Job:
    return replace(BASE, layers=tuple(map(str, sizes)))


_CONVOLUTIONS = ("12c5s2", "32c3s2", "32c3", "32c3")

SERIES: Mapping[str, Sequence[Point]] = {
    "hidden neurons": [Point(n, _hidden(n)) for n in (100, 400, 1600, 4000)],
    # In their first batches, deep networks have far more spikes than later.
    "hidden layers of 400": [
        Point(n, _hidden(*[400] * n), timed_images=60_000) for n in (1, 2, 4, 6)
    ],
    "steps": [Point(n, replace(BASE, time_window=n)) for n in (10, 50, 200, 1000)],
    "Hz": [Point(n, replace(BASE, max_rate_hz=float(n))) for n in (20, 80, 200)],
    "images": [Point(n, BASE, n, n) for n in (6_000, 20_000, 60_000)],
    "convolutions": [
        Point(n, replace(CONVOLUTIONAL_JOB, layers=_CONVOLUTIONS[:n]))
        for n in (2, 3, 4)
    ],
}


def rows_of_point(point: Point) -> dict[str, tuple[str, Job]]:
    """Return the rows of a point by name: the benchmark's row, and its job."""
    job = point.job
    plain = "torch_time_batched" if job.network.is_plain else "dense"
    rows = {"event": ("event", job)}
    if job.network.is_plain and len(job.layers) > 1:
        rows[SAMPLED] = ("event", replace(job, backward="sampled"))
    return {
        **rows,
        "plain PyTorch": (plain, job),
        "SpikingJelly": ("spikingjelly", job),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument(
        "--threads", type=positive, default=cores(), help="threads (all cores)"
    )
    parser.add_argument(
        "--series", nargs="+", choices=SERIES, default=list(SERIES), metavar="SERIES"
    )
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    parser.add_argument(
        "--batches", type=positive, default=8, help="timed batches per round (8)"
    )
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure all series; return the content of the JSON file, and the table."""
    facts = describe(arguments.threads, arguments.allow_load)
    plan = Plan(warmup_batches=3, batches=arguments.batches, only_training=True)
    images, title = load_benchmark_images(arguments.allow_small)
    content: dict[str, Any] = {
        "machine": facts,
        "data": title,
        "protocol": {"rounds": arguments.rounds, **asdict(plan)},
        "series": {},
    }
    # The base belongs to most series and is measured once.
    known: dict[Point, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.series:
            points = []
            for point in SERIES[name]:
                same = replace(point, value=0)
                if same not in known:
                    file = _saved(Path(folder), images, point.timed_images)
                    processes = RowProcesses(file, arguments.threads)
                    known[same] = _measured(point, processes, plan, arguments.rounds)
                    logger.info("%s %g: %s", name, point.value, known[same])
                points.append({"value": point.value, **known[same]})
            content["series"][name] = {"points": points, "exponents": exponents(points)}
    return content, plain(growth_rows(content["series"]))


def _measured(
    point: Point, processes: RowProcesses, plan: Plan, n_rounds: int
) -> dict[str, dict[str, float]]:
    """Measure all rows of a point, one after the other in each round.

    Returns:
        for each row, the seconds per epoch, and the largest number of cores that other
        processes kept busy meanwhile.
    """
    found: dict[str, list[Measurement]] = defaultdict(list)
    for _ in range(n_rounds):
        for row, (kind, job) in rows_of_point(point).items():
            measurement = processes.measure(kind, job, plan)
            warn_if_disturbed(row, measurement)
            found[row].append(measurement)
    scale = point.images / point.timed_images
    seconds = {
        row: scale * spread_of([item.epoch_seconds for item in rounds])["median"]
        for row, rounds in found.items()
    }
    foreign = {
        row: max(item.foreign_cores for item in rounds) for row, rounds in found.items()
    }
    return {"seconds": seconds, "foreign_cores": foreign}


def _saved(folder: Path, images: Mapping[str, Any], n_images: int) -> Path:
    """Write the first training images to a file, once."""
    file = folder / f"{n_images}.npz"
    if not file.exists():
        few = {
            name: array[:n_images] if name.startswith("train") else array
            for name, array in images.items()
        }
        np.savez(file, **few)
    return file


def exponents(points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the exponent of each row that was measured at two points or more."""
    found = {}
    for row in {row: None for point in points for row in point["seconds"]}:
        measured = [point for point in points if row in point["seconds"]]
        if len(measured) > 1:
            values = np.log([point["value"] for point in measured])
            seconds = np.log([point["seconds"][row] for point in measured])
            found[row] = float(np.polyfit(values, seconds, 1)[0])
    return found
