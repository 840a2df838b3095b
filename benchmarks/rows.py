"""The rows of the speed tables, and one measurement of a row in a process of its own.

Never two at a time: PyTorch's and numba's threads go on spinning for a while after
their work is done and would take the cores from the next row, and a process is the only
thing whose peak memory can be told apart. A row's module is imported only where the row
is measured: a row whose library is not installed stops no other one.
"""

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.job import Job
from benchmarks.machine import foreign_busy_seconds, own_peak_mib, timed
from benchmarks.measurement import Measurement, Plan
from spikejoule.core.errors import SpikejouleError

ROWS = {
    "seed_loop": "benchmarks.peers.seed_loop:SeedLoop",
    "snntorch": "benchmarks.peers.snntorch:SnnTorch",
    "spikingjelly": "benchmarks.peers.spikingjelly:SpikingJelly",
    "torch_time_batched": "benchmarks.peers.torch_time_batched:TorchTimeBatched",
    "dense": "benchmarks.peers.project:DenseEngine",
    "event": "benchmarks.peers.project:EventEngine",
}
PEERS = ("snntorch", "spikingjelly", "torch_time_batched", "dense")
LIMIT = "limit"
# Rows that do not need fully connected layers.
EVERY_KIND_OF_LAYER = ("snntorch", "spikingjelly", "dense", "event")


def rows_of(job: Job) -> tuple[str, ...]:
    """The rows that do a job."""
    return (*ROWS, LIMIT) if job.network.is_plain else EVERY_KIND_OF_LAYER


# Over whose mean loss rows are compared that get the same spikes.
FIRST_BATCHES = 10


def build(name: str, job: Job) -> Any:
    """The row `name` (`benchmarks.peers` says what a row offers).

    Raises KeyError for an unknown name and ImportError where its library is not
    installed.
    """
    module_name, class_name = ROWS[name].split(":")
    return getattr(importlib.import_module(module_name), class_name)(job)


def measure(name: str, job: Job, plan: Plan, images: Path) -> Measurement:
    """Measure training, then inference, of row `name` in this process."""
    data = dict(np.load(images))
    if name == LIMIT:
        from benchmarks.limit import measure_limit

        return measure_limit(job, plan, data)
    # By a row of its own, so that the one that is timed begins at the first weights.
    few = slice(FIRST_BATCHES * job.batch_size)
    row = build(name, job)
    row.prepare(data["train_images"][few], data["train_labels"][few])
    indices = np.arange(len(row.labels))
    first_losses, _ = _several(
        row.train_batch, indices, job.batch_size, 0, FIRST_BATCHES
    )
    row = build(name, job)
    row.prepare(data["train_images"], data["train_labels"])
    order = np.random.default_rng(plan.order_seed).permutation(
        len(data["train_labels"])
    )
    tests = np.arange(len(data["test_labels"]))
    if hasattr(row, "train_epoch"):
        size = len(order)
        losses, seconds = _several(
            row.train_epoch, order, size, plan.warmup_epochs, plan.epochs
        )
        row.prepare(data["test_images"], data["test_labels"])
        digits, took = _several(row.infer_all, tests, len(tests), 1, 5 * plan.epochs)
    else:
        size = min(job.batch_size, len(order))
        batches = (plan.warmup_batches, plan.batches, plan.least_seconds)
        losses, seconds = _several(row.train_batch, order, size, *batches)
        row.prepare(data["test_images"], data["test_labels"])
        digits, took = _several(
            row.infer_batch, tests, row.inference_batch_size, *batches
        )
    return Measurement(
        epoch_seconds=[each * -(-len(order) // size) for each in seconds],
        inference_images_per_second=[len(digits[0]) / each for each in took],
        loss=float(np.mean(losses)),
        first_loss=float(np.mean(first_losses)),
        images=len(seconds) * size,
        peak_mib=own_peak_mib(),
    )


def _several(
    call: Callable[[np.ndarray], Any],
    indices: np.ndarray,
    size: int,
    warmup: int,
    times: int,
    least_seconds: float = 0.0,
) -> tuple[list[Any], list[float]]:
    """Results and seconds of calls for whole batches in turn, after `warmup` calls.

    There are `times` of them, and more until they have taken `least_seconds` together.
    """
    size = min(size, len(indices))
    number = 0
    results: list[Any] = []
    seconds: list[float] = []
    while len(results) < times or sum(seconds) < least_seconds:
        start = number % (len(indices) // size) * size
        took, result = timed(call, indices[start : start + size])
        if number >= warmup:
            seconds.append(took)
            results.append(result)
        number += 1
    return results, seconds


def measure_row(
    name: str, job: Job, plan: Plan, images: Path, threads: int
) -> Measurement:
    """Measure row `name` in a process of its own, on the images in file `images`.

    All rows get the same number of threads by the same environment variables, for
    PyTorch, MKL and numba. Raises SpikejouleError if it fails, or if its library is not
    installed.
    """
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    start = time.perf_counter()
    foreign = foreign_busy_seconds()
    try:
        with (
            patch.dict(os.environ, dict.fromkeys(variables, str(threads))),
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
        ):
            measurement = process.submit(measure, name, job, plan, images).result()
    except (BrokenProcessPool, ImportError, OSError, RuntimeError, ValueError) as error:
        raise SpikejouleError(
            f"the row {name} could not be measured: {error}"
        ) from error
    foreign_cores = (foreign_busy_seconds() - foreign) / (time.perf_counter() - start)
    return replace(measurement, foreign_cores=max(0.0, foreign_cores))
