"""How both engines grow with the network and the spikes: `python -m benchmarks.growth`.

Around the benchmark's job (784-400-10, 50 steps, 80 Hz, batch 64) one quantity at a time is
varied: hidden neurons, time window, maximal rate, batch size. Each point is the median time of a
training batch (encode to optimizer step) on the images of MNIST, measured as in
`benchmarks.speed`: a process of its own for each engine and point, one at a time.

A fifth sweep finds where dense overtakes event: it takes white images in place of MNIST's, so that
every input fires with the same probability, and raises that from 1 % to 100 %. The density at
which the two engines need the same time is interpolated between the two points around it, in the
logarithms of density and of the ratio of times.

Writes a CSV of all points and a figure; prints the density.
"""

import argparse
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import images, machine
from benchmarks.growth_point import COLUMNS, Point
from benchmarks.job import SEED_JOB, Job
from benchmarks.measure import measure_row
from benchmarks.plan import Measurement, Plan
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_bytes, write_csv
from spikejoule.data.images import LabelledImages

logger = logging.getLogger(__name__)

ENGINES = ("event", "dense")
SWEEPS: dict[str, tuple[float, ...]] = {
    "n_hidden": (100, 200, 400, 800, 1600, 3200, 6400),
    "time_window": (10, 25, 50, 100, 200, 400),
    "max_rate_hz": (20, 40, 80, 160, 320, 500),
    "batch_size": (16, 32, 64, 128, 256, 512, 1024),
}
DENSITY = "input_density"
DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)


def measure_growth(
    train: LabelledImages, engines: Sequence[str], plan: Plan, threads: int, folder: Path
) -> Iterator[Point]:
    """Every point of every sweep, the engines of a point one after the other."""
    test = train.select(slice(0, 1000))
    white = LabelledImages(np.full_like(test.images, 255), test.labels, test.index)
    mnist_file, white_file = folder / "mnist.npz", folder / "white.npz"
    images.store(mnist_file, train, test)
    images.store(white_file, white, white)
    mean_intensity = float(train.images.mean()) / 255
    for sweep, values in SWEEPS.items():
        for value in values:
            job = replace(SEED_JOB, **{sweep: value})
            density = mean_intensity * job.spike_probability_scale
            for engine in engines:
                yield _point(sweep, value, density, engine, job, plan, mnist_file, threads)
    for density in DENSITIES:
        job = replace(SEED_JOB, max_rate_hz=density * 1000)
        for engine in engines:
            yield _point(DENSITY, density, density, engine, job, plan, white_file, threads)


def crossover_density(points: Sequence[Point]) -> float | None:
    """Input density above which dense is faster than event; None if it never is.

    The lowest measured density if dense is faster everywhere.
    """
    times: dict[str, dict[float, float]] = {engine: {} for engine in ENGINES}
    for point in points:
        if point.sweep == DENSITY and point.engine in times:
            times[point.engine][point.input_density] = point.seconds_per_batch
    densities = sorted(times["event"].keys() & times["dense"].keys())
    lead = [math.log(times["event"][d] / times["dense"][d]) for d in densities]
    if lead and lead[0] >= 0:
        return densities[0]
    for place in range(1, len(lead)):
        if lead[place] >= 0:
            share = -lead[place - 1] / (lead[place] - lead[place - 1])
            below, above = math.log(densities[place - 1]), math.log(densities[place])
            return math.exp(below + share * (above - below))
    return None


def _point(
    sweep: str, value: float, density: float, engine: str, job: Job, plan: Plan, file: Path,
    threads: int,
) -> Point:  # fmt: skip
    measurement = measure_row(engine, job, plan, file, threads)
    seconds = seconds_per_batch(measurement)
    logger.info("%s = %g, %s: %.2f ms a batch", sweep, value, engine, 1000 * seconds)
    return Point(sweep, value, density, engine, seconds, job.batch_size)


def seconds_per_batch(measurement: Measurement) -> float:
    """Median seconds of a training batch.

    Raises SpikejouleError for a row that was timed in whole epochs.
    """
    if not measurement.training_batch_seconds:
        raise SpikejouleError(
            f"the growth table needs timings of batches, but {measurement.name} was timed in "
            "whole epochs."
        )
    return float(np.median(measurement.training_batch_seconds))


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description="Measure both engines over network size, window, rate and batch size.",
    )
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), metavar="ROW")
    parser.add_argument("--batches", type=int, default=15, help="timed batches a point (15)")
    parser.add_argument("--warmup", type=int, default=4, help="batches before those (4)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="threads (all cores)")
    parser.add_argument("--table", type=Path, default=Path("metrics/growth.csv"))
    parser.add_argument("--figure", type=Path, default=Path("figures/growth.png"))
    parser.add_argument("--allow-small", action="store_true", help="allow other data than MNIST")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, write table and figure, and return the crossover and what was measured on."""
    from benchmarks.growth_figure import growth_figure

    train, _, title = images.load_benchmark_images(
        images.project_root(), os.environ, arguments.allow_small
    )
    plan = Plan(
        warmup_batches=arguments.warmup,
        batches=arguments.batches,
        inference_batches=1,
        by_batches=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        points = list(
            measure_growth(train, arguments.engines, plan, arguments.threads, Path(folder))
        )
    crossover = crossover_density(points)
    write_csv(arguments.table, COLUMNS, [point.cells() for point in points])
    facts = machine.describe(arguments.threads)
    caption = f"{title}; {facts['processor']}, {facts['threads']} threads"
    write_bytes(arguments.figure, growth_figure(points, crossover, caption))
    return {"crossover_input_density": crossover, "machine": facts, "data": title}


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        result = run(parse(sys.argv[1:]))
    except SpikejouleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    crossover = result["crossover_input_density"]
    if crossover is None:
        print(f"event is faster at every density up to {DENSITIES[-1]:.0%}")
    else:
        print(f"dense overtakes event at an input density of {crossover:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
