"""A user's training loop inside `spikejoule.track`, next to the same loop without it.

The rows
    snntorch, spikingjelly, accelerated snntorch
                the loops of the case `accelerate`, dense and convolutional; snnTorch's
                model makes the steps itself
    snntorch, step by step
                the same, but the loop calls the model for each step
    torch       plain CNNs with ReLU: with the convolutional job's layers, and with
                those of PyTorch's own MNIST example

How
    All rows in one run, on all cores, each in a process of its own. In each round a
    block of steps runs untracked and one tracked, in turns which of them first; each
    begins with untimed steps, in the first of which a tracker reads the model. The
    ratio of a round is that of both medians; the median over the rounds counts. The
    ratio of processor time hardly depends on what else the machine does.
"""

import argparse
import importlib.util
import logging
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import spikejoule
from benchmarks.accelerate import (
    BATCH,
    FAST,
    JOBS,
    N_BATCHES,
    SIMULATORS,
    Loop,
    Times,
    layers_of,
    snntorch_forward,
)
from benchmarks.images import load_benchmark_images
from benchmarks.machine import cores, describe, foreign_busy_seconds, positive
from docs.site.speed import track_table
from spikejoule.core.errors import SpikejouleError

logger = logging.getLogger(__name__)

CNN: Final = "torch"
EXAMPLE: Final = "32C3-64C3-P2-128-10"
STEP_BY_STEP: Final = "snntorch, step by step"
ROWS: Final = ("snntorch", STEP_BY_STEP, "spikingjelly", FAST + "snntorch")


@dataclass(frozen=True)
class Case:
    """A loop that is timed with and without a tracker.

    Attributes:
        job: one of `benchmarks.accelerate.JOBS`, or `EXAMPLE`.
        row: what the model is written in.
    """

    job: str
    row: str

    @property
    def network(self) -> str:
        """The network in words."""
        return self.job if self.job == EXAMPLE else JOBS[self.job].network

    @property
    def steps(self) -> int:
        """T; 1 for a conventional network."""
        return 1 if self.row == CNN else JOBS[self.job].steps


CASES: Final = (
    *(Case("dense", row) for row in ROWS),
    *(Case("convolutional", row) for row in (*ROWS, CNN)),
    Case(EXAMPLE, CNN),
)


# Models
# ------------------------------------------------------------------------------


class InTime(nn.Module):
    """A model of snnTorch that loops over the steps itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.each = model
        self.run = snntorch_forward(model)

    def forward(self, spikes: Tensor) -> Tensor:
        """Run all steps, [T, B, ...]."""
        return self.run(spikes)


def small_cnn() -> nn.Module:
    """The layers of the convolutional job, with ReLU for neurons."""
    modules: list[nn.Module] = []
    for layers in layers_of(JOBS["convolutional"]):
        modules += [*layers, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def example_cnn() -> nn.Module:
    """The layers of PyTorch's MNIST example, without dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU()),
        nn.Linear(128, 10),
    )


# Loops
# ------------------------------------------------------------------------------


class ConventionalLoop:
    """A training loop of a CNN, one batch at a time."""

    def __init__(
        self, model: nn.Module, images: np.ndarray, labels: torch.Tensor
    ) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.images = torch.from_numpy(images[:, :, None] / 255).float()
        self.labels = labels

    def step(self, number: int) -> float:
        """Train on a batch; return the loss."""
        place = number % N_BATCHES
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.images[place]), self.labels[place])
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


AnyLoop = Loop | ConventionalLoop


def loop_of(case: Case, images: np.ndarray, labels: torch.Tensor) -> AnyLoop:
    """Return the loop of a case, on images [N_BATCHES, B, 28, 28]."""
    if case.row == CNN:
        model = example_cnn() if case.job == EXAMPLE else small_cnn()
        return ConventionalLoop(model, images, labels)
    row = "snntorch" if case.row == STEP_BY_STEP else case.row
    loop = Loop(JOBS[case.job], row, images, labels)
    if case.row == "snntorch":
        loop.model = loop.forward = InTime(loop.model)
    return loop


def tracked(case: Case, loop: AnyLoop) -> spikejoule.Tracker:
    """Return a tracker of a loop."""
    if case.row in (CNN, STEP_BY_STEP):
        return spikejoule.track(
            loop.model, loop.optimizer, time_axis="none", loop_steps=case.steps
        )
    model: Any = loop.forward if case.row.startswith(FAST) else loop.model
    return spikejoule.track(model, loop.optimizer, time_axis=0)


# Measurement
# ------------------------------------------------------------------------------


def measure_case(
    case: Case, times: Times, images: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Time a loop with and without a tracker."""
    loop = loop_of(case, images, torch.from_numpy(labels.astype(np.int64)))
    for number in range(times.first):
        loop.step(number)
    found: dict[str, list[Seconds]] = {"untracked": [], "tracked": []}
    before, start = foreign_busy_seconds(), time.perf_counter()
    for number in range(times.rounds):
        for way in list(found)[:: 1 if number % 2 else -1]:
            inside: AbstractContextManager[Any] = nullcontext()
            if way == "tracked":
                inside = tracked(case, loop)
            with inside:
                found[way].append(_seconds_per_batch(loop, times))
    foreign = foreign_busy_seconds() - before
    rounds = [*zip(found["untracked"], found["tracked"], strict=True)]
    return {
        "network": case.network,
        "loop": case.row,
        "steps": case.steps,
        "batch_size": BATCH,
        "seconds_per_batch": {
            way: float(np.median([one.passed for one in seconds]))
            for way, seconds in found.items()
        },
        "processor_seconds_per_batch": {
            way: float(np.median([one.of_processor for one in seconds]))
            for way, seconds in found.items()
        },
        "ratio": float(np.median([b.passed / a.passed for a, b in rounds])),
        "processor_ratio": float(
            np.median([b.of_processor / a.of_processor for a, b in rounds])
        ),
        "foreign_cores": max(0.0, foreign / (time.perf_counter() - start)),
    }


class Seconds(NamedTuple):
    """The medians of a round's steps."""

    passed: float
    of_processor: float


def _seconds_per_batch(loop: AnyLoop, times: Times) -> Seconds:
    for number in range(times.warmup):
        loop.step(number)
    passed, of_processor = [], []
    for number in range(times.steps):
        start, processor = time.perf_counter(), time.process_time()
        loop.step(number)
        of_processor.append(time.process_time() - processor)
        passed.append(time.perf_counter() - start)
    return Seconds(float(np.median(passed)), float(np.median(of_processor)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument("--rounds", type=positive, default=7)
    parser.add_argument("--steps", type=positive, default=20, help="timed per round")
    parser.add_argument("--warmup", type=positive, default=2, help="untimed before")
    parser.add_argument(
        "--first", type=positive, default=40, help="untimed, before the first round"
    )
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure all loops; return the content of the JSON file, and the table.

    Raises:
        SpikejouleError: a simulator is not installed, or the data are not MNIST.
    """
    for name in SIMULATORS:
        if importlib.util.find_spec(name) is None:
            raise SpikejouleError(
                f"{name} is not installed: pip install -e '.[bench]'."
            )
    facts = describe(cores(), arguments.allow_load)
    data, title = load_benchmark_images(arguments.allow_small)
    count = BATCH * N_BATCHES
    images = data["train_images"][:count].reshape(N_BATCHES, BATCH, 28, 28)
    labels = data["train_labels"][:count].reshape(N_BATCHES, BATCH)
    times = Times(arguments.rounds, arguments.steps, arguments.warmup, arguments.first)
    context = multiprocessing.get_context("spawn")
    loops = []
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        for case in CASES:
            job = processes.submit(measure_case, case, times, images, labels)
            loops.append(job.result())
            logger.info("%s, %s: %.2f", case.job, case.row, loops[-1]["ratio"])
    content = {"machine": facts, "data": title, "loops": loops}
    return content, track_table(content)
