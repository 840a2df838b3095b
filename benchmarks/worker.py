"""Measure one row in this process: `python -m benchmarks.worker REQUEST.json REPLY.json`.

The request names the row, the job, the plan and the file of images; the reply is a
`Measurement`, or the reason why there is none. `benchmarks.measure` starts this program.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import restore
from benchmarks.job import Job
from benchmarks.memory import own_peak_bytes
from benchmarks.peers.protocol import EpochImplementation, Implementation
from benchmarks.plan import Measurement, Plan
from benchmarks.rows import LIMIT, build


def measure(name: str, job: Job, plan: Plan, data: dict[str, np.ndarray]) -> Measurement:
    """Measure training, then inference, of row `name`."""
    if name == LIMIT:
        from benchmarks.limit import measure_limit

        return measure_limit(job, plan, data)
    implementation = build(name, job)
    implementation.prepare(data["train_images"], data["train_labels"])
    order = np.random.default_rng(plan.order_seed).permutation(len(data["train_labels"]))
    batch_seconds: list[float] = []
    epoch_seconds: list[float] = []
    if isinstance(implementation, EpochImplementation) and not plan.by_batches:
        losses, epoch_seconds = _timed(
            lambda _: implementation.train_epoch(order), plan.warmup_epochs, plan.epochs
        )
    else:
        batches = _Batches(order, job.batch_size)
        losses, batch_seconds = _timed(
            lambda number: implementation.train_batch(batches[number]),
            plan.warmup_batches,
            plan.batches,
        )
    implementation.prepare(data["test_images"], data["test_labels"])
    return Measurement(
        name,
        training_batch_seconds=batch_seconds,
        training_epoch_seconds=epoch_seconds,
        inference_images_per_second=_inference(implementation, plan, len(data["test_labels"])),
        loss=float(np.mean(losses)),
        peak_bytes=own_peak_bytes(),
    )


class _Batches:
    """Index arrays of whole batches, beginning anew where the images end."""

    def __init__(self, order: np.ndarray, size: int) -> None:
        self._order, self._size = order, min(size, len(order))

    def __getitem__(self, number: int) -> np.ndarray:
        start = number % (len(self._order) // self._size) * self._size
        return self._order[start : start + self._size]


def _inference(implementation: Implementation, plan: Plan, n_images: int) -> list[float]:
    if isinstance(implementation, EpochImplementation) and not plan.by_batches:
        everything = np.arange(n_images)
        _, seconds = _timed(lambda _: implementation.infer_all(everything), 1, 5 * plan.epochs)
        return [n_images / second for second in seconds]
    batches = _Batches(np.arange(n_images), implementation.inference_batch_size)
    _, seconds = _timed(
        lambda number: implementation.infer_batch(batches[number]),
        plan.warmup_batches,
        plan.inference_batches,
    )
    return [len(batches[0]) / second for second in seconds]


def _timed(task: Callable[[int], Any], warmup: int, times: int) -> tuple[list[Any], list[float]]:
    """Results and seconds of `times` calls after `warmup` calls; each gets its number."""
    for number in range(warmup):
        task(number)
    results, seconds = [], []
    for number in range(warmup, warmup + times):
        start = time.perf_counter()
        results.append(task(number))
        seconds.append(time.perf_counter() - start)
    return results, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one row of the benchmark.")
    parser.add_argument("request", type=Path)
    parser.add_argument("reply", type=Path)
    arguments = parser.parse_args()
    request = json.loads(arguments.request.read_text())
    try:
        reply = asdict(
            measure(
                request["name"],
                Job(**request["job"]),
                Plan(**request["plan"]),
                restore(Path(request["data"])),
            )
        )
    except ImportError as error:
        reply = {"missing": str(error)}
    arguments.reply.write_text(json.dumps(reply))


if __name__ == "__main__":
    main()
