"""The rows of the speed tables, and the measurement of one row in its own process.

Rows are never measured two at a time: the threads of PyTorch and numba spin for a while
after their work and would take cores from the next row. Peak memory can only be
measured per process as well. A row's module is imported only in its own process, so a
missing library stops no other row.
"""

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
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
OWN = ("dense", "event")
LIMIT = "limit"
# The rows that can run convolution and recurrence.
EVERY_KIND_OF_LAYER = ("snntorch", "spikingjelly", "dense", "event")

# Rows with the same input spikes must agree in the mean loss of so many batches.
FIRST_BATCHES = 10


def rows_of(job: Job) -> tuple[str, ...]:
    """Return the rows that can do a job."""
    if not job.readout.is_spiking:
        return OWN
    return (*ROWS, LIMIT) if job.network.is_plain else EVERY_KIND_OF_LAYER


def build(name: str, job: Job) -> Any:
    """Make a row; `benchmarks.peers` describes what it offers.

    Raises:
        KeyError: there is no row `name`.
        ImportError: its library is not installed.
    """
    module_name, class_name = ROWS[name].split(":")
    return getattr(importlib.import_module(module_name), class_name)(job)


@dataclass(frozen=True)
class Repeats:
    """How often a call is repeated.

    Attributes:
        warmup: calls that are not timed.
        times: timed calls, at least.
        least_seconds: more timed calls follow until they have taken this long.
    """

    warmup: int
    times: int
    least_seconds: float = 0.0

    def run(
        self, call: Callable[[np.ndarray], Any], indices: np.ndarray, size: int
    ) -> tuple[list[Any], list[float]]:
        """Call with `size` indices at a time, over and over.

        Returns:
            the results and the seconds of the timed calls.
        """
        size = min(size, len(indices))
        number = 0
        results: list[Any] = []
        seconds: list[float] = []
        while len(results) < self.times or sum(seconds) < self.least_seconds:
            start = number % (len(indices) // size) * size
            elapsed, result = timed(call, indices[start : start + size])
            if number >= self.warmup:
                seconds.append(elapsed)
                results.append(result)
            number += 1
        return results, seconds


def measure(name: str, job: Job, plan: Plan, images: Path) -> Measurement:
    """Measure training, then inference, of row `name` in this process.

    With `plan.only_training`, neither inference nor the first loss.
    """
    data = dict(np.load(images))
    if name == LIMIT:
        from benchmarks.limit import measure_limit

        return measure_limit(job, plan, data)
    first_loss = None if plan.only_training else _first_loss(name, job, data)
    # A new row, so that the timed one starts from the first weights.
    row = build(name, job)
    row.prepare(data["train_images"], data["train_labels"])
    order = np.random.default_rng(plan.order_seed).permutation(
        len(data["train_labels"])
    )
    if hasattr(row, "train_epoch"):
        training = Repeats(plan.warmup_epochs, plan.epochs)
        size = len(order)
        losses, seconds = training.run(row.train_epoch, order, size)
    else:
        training = Repeats(plan.warmup_batches, plan.batches, plan.least_seconds)
        size = min(job.batch_size, len(order))
        losses, seconds = training.run(row.train_batch, order, size)
    n_batches = -(-len(order) // size)
    return Measurement(
        epoch_seconds=[n_batches * elapsed for elapsed in seconds],
        inference_images_per_second=(
            [] if plan.only_training else _inference_rates(row, plan, data)
        ),
        loss=float(np.mean(losses)),
        first_loss=first_loss,
        images=len(seconds) * size,
        peak_mib=own_peak_mib(),
    )


def _inference_rates(row: Any, plan: Plan, data: dict[str, np.ndarray]) -> list[float]:
    """Return the test images per second of a trained row, one value per call."""
    tests = np.arange(len(data["test_labels"]))
    row.prepare(data["test_images"], data["test_labels"])
    if hasattr(row, "infer_all"):
        inference = Repeats(1, 5 * plan.epochs)
        digits, seconds = inference.run(row.infer_all, tests, len(tests))
    else:
        inference = Repeats(plan.warmup_batches, plan.batches, plan.least_seconds)
        size = row.inference_batch_size
        digits, seconds = inference.run(row.infer_batch, tests, size)
    return [len(digits[0]) / elapsed for elapsed in seconds]


def _first_loss(name: str, job: Job, data: dict[str, np.ndarray]) -> float:
    """Train a row on the first batches in file order; return their mean loss."""
    few = slice(FIRST_BATCHES * job.batch_size)
    row = build(name, job)
    row.prepare(data["train_images"][few], data["train_labels"][few])
    indices = np.arange(len(row.labels))
    repeats = Repeats(0, FIRST_BATCHES)
    losses, _ = repeats.run(row.train_batch, indices, job.batch_size)
    return float(np.mean(losses))


@dataclass(frozen=True)
class RowProcesses:
    """Measures rows, each in its own process.

    Attributes:
        images: file with the arrays of `load_benchmark_images`.
        threads: set for PyTorch, MKL and numba by the same environment variables.
    """

    images: Path
    threads: int

    def measure(self, name: str, job: Job, plan: Plan) -> Measurement:
        """Measure row `name`.

        Raises:
            SpikejouleError: the row fails, or its library is not installed.
        """
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        start = time.perf_counter()
        foreign = foreign_busy_seconds()
        try:
            with (
                patch.dict(os.environ, dict.fromkeys(variables, str(self.threads))),
                ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
            ):
                future = process.submit(measure, name, job, plan, self.images)
                measurement = future.result()
        except (
            BrokenProcessPool,
            ImportError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            raise SpikejouleError(
                f"the row {name} could not be measured: {error}"
            ) from error
        elapsed = time.perf_counter() - start
        foreign_cores = (foreign_busy_seconds() - foreign) / elapsed
        return replace(measurement, foreign_cores=max(0.0, foreign_cores))
