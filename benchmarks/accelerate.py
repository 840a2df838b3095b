"""A user's training loop with `spikejoule.accelerate`, next to the loop without it.

Every row trains a model of the same shape, from the same first weights, on the same
digits, in a loop of ten lines: forward pass, cross entropy of the output spikes summed
over time, backward pass, `torch.optim.Adam`. The accelerated rows run the same loop
with the accelerated model in place of the model.

The jobs
    dense          784-400-10, 50 steps, batches of 128; the spikes of Poisson-encoded
                   digits (80 Hz) are dense tensors in memory
    encoded        the same; each batch is encoded in the loop: by `spikejoule.encode`,
                   or by the simulator's own encoder
    convolutional  12C5s2-32C3s2-10, 10 steps, dense spikes of latency-encoded digits
    recurrent      28-128-10, 128 recurrent neurons, one row of the image in each of 28
                   steps, dense spikes

The rows
    snntorch, spikingjelly     the simulators with their own neurons: Leaky or RLeaky,
                               one step after another, and multi-step LIFNode
    torch                      plain PyTorch as fast as we could write it: one product
                               for all steps, neurons unrolled
    accelerated snntorch, accelerated spikingjelly

How
    All rows in one run. Each row first trains for 40 batches: untrained networks fire
    less. Each job has a process of its own, on all cores; its rows
    alternate from round to round. The median over the rounds of each round's median
    counts. A short pause before each row lets the threads of the one before fall
    asleep.
"""

import argparse
import importlib.util
import logging
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import spikejoule
from benchmarks.images import load_benchmark_images
from benchmarks.machine import cores, describe, foreign_busy_seconds, positive
from docs.site.speed import accelerate_rows, plain
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.encode_images import DEFAULT_RATE_HZ

logger = logging.getLogger(__name__)

BATCH: Final = 128
N_BATCHES: Final = 8
DECAY: Final = 0.9
PAUSE_SECONDS: Final = 0.3
SIMULATORS: Final = ("snntorch", "spikingjelly")
FAST: Final = "accelerated "


@dataclass(frozen=True)
class Job:
    """A network and its samples.

    Attributes:
        name: of the job.
        network: in words.
        steps: T.
        rows: what is measured.
        is_encoded: whether batches are encoded in the loop.
    """

    name: str
    network: str
    steps: int
    rows: tuple[str, ...]
    is_encoded: bool = False


SIMULATED = (*SIMULATORS, *(FAST + name for name in SIMULATORS))
JOBS = {
    job.name: job
    for job in (
        Job("dense", "784-400-10", 50, (*SIMULATED, "torch")),
        Job("encoded", "784-400-10", 50, SIMULATED, is_encoded=True),
        Job("convolutional", "12C5s2-32C3s2-10", 10, SIMULATED),
        Job("recurrent", "28-128r-10", 28, (*SIMULATORS, FAST + "snntorch")),
    )
}


# Models
# ------------------------------------------------------------------------------


def layers_of(job: Job, package: Any = nn) -> list[list[nn.Module]]:
    """The layers before each population of neurons, with the same first weights."""
    torch.manual_seed(0)
    if job.name == "convolutional":
        first = package.Conv2d(1, 12, 5, stride=2)
        second = package.Conv2d(12, 32, 3, stride=2)
        for layer in (first, second):
            layer.weight.data.mul_(3)  # else hardly any neuron fires at first
        return [[first], [second], [package.Flatten(), package.Linear(800, 10)]]
    n_in, n_hidden = (28, 128) if job.name == "recurrent" else (784, 400)
    return [[package.Linear(n_in, n_hidden)], [package.Linear(n_hidden, 10)]]


def recurrent_weights() -> nn.Linear:
    """The recurrent weights, the same for all rows."""
    torch.manual_seed(1)
    return nn.Linear(128, 128)


def snntorch_model(job: Job) -> nn.Module:
    """Leaky neurons with their default reset, and RLeaky in the recurrent job."""
    from snntorch import Leaky, RLeaky

    populations = layers_of(job)
    modules: list[nn.Module] = []
    for number, layers in enumerate(populations):
        modules += layers
        if job.name == "recurrent" and number == 0:
            neurons = RLeaky(beta=DECAY, linear_features=128, init_hidden=True)
            neurons.recurrent = recurrent_weights()
            modules.append(neurons)
        else:
            modules.append(Leaky(beta=DECAY, init_hidden=True))
    return nn.Sequential(*modules)


def snntorch_forward(model: Any) -> Callable[[Tensor], Tensor]:
    """The usual loop over the steps."""

    def forward(spikes: Tensor) -> Tensor:
        for module in model:
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        return torch.stack([model(step) for step in spikes])

    return forward


def spikingjelly_model(job: Job) -> nn.Module:
    """LIFNode in multi-step mode, whose input does not decay."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def neurons() -> Any:
        return neuron.LIFNode(
            tau=1 / (1 - DECAY),
            decay_input=False,
            v_reset=None,
            surrogate_function=surrogate.ATan(),
            detach_reset=True,
        )

    modules: list[nn.Module] = []
    for number, layers in enumerate(layers_of(job, layer)):
        modules += layers
        if job.name == "recurrent" and number == 0:
            back = recurrent_weights()
            container = layer.ElementWiseRecurrentContainer(
                neurons(), lambda spikes, x, back=back: x + back(spikes)
            )
            container.back = back  # one of the model's parameters
            modules.append(container)
        else:
            modules.append(neurons())
    model = nn.Sequential(*modules)
    functional.set_step_mode(model, "m")
    return model


def spikingjelly_forward(model: Any) -> Callable[[Tensor], Tensor]:
    """All steps at once."""
    from spikingjelly.activation_based.functional import reset_net

    def forward(spikes: Tensor) -> Tensor:
        reset_net(model)
        return model(spikes)

    return forward


class Spike(torch.autograd.Function):
    """The arctangent surrogate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Fire above the threshold."""
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Multiply by the surrogate."""
        (x,) = ctx.saved_tensors
        return gradient / (1 + (torch.pi * x).square())


def torch_forward(model: Any) -> Callable[[Tensor], Tensor]:
    """One product for all steps, neurons unrolled."""

    def neurons(currents: Tensor) -> Tensor:
        potential = torch.zeros_like(currents[0])
        spikes = []
        reset = potential
        for current in currents.unbind(0):
            potential = DECAY * potential + current - reset
            spike = Spike.apply(potential - 1)
            reset = spike.detach()
            spikes.append(spike)
        return torch.stack(spikes)

    def forward(spikes: Tensor) -> Tensor:
        return neurons(model[1](neurons(model[0](spikes))))

    return forward


def torch_model(job: Job) -> nn.Module:
    """The layers alone."""
    return nn.Sequential(*(layers[0] for layers in layers_of(job)))


MODELS: dict[str, Callable[[Job], nn.Module]] = {
    "snntorch": snntorch_model,
    "spikingjelly": spikingjelly_model,
    "torch": torch_model,
}
FORWARD: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    "snntorch": snntorch_forward,
    "spikingjelly": spikingjelly_forward,
    "torch": torch_forward,
}


# Samples
# ------------------------------------------------------------------------------


def dense_batch(job: Job, images: np.ndarray, number: int) -> Tensor:
    """Spikes [T, B, ...] of a batch of images, as a simulator takes them."""
    if job.name == "recurrent":
        # One row of bright pixels in each step.
        return torch.from_numpy((images > 102).astype(np.float32)).transpose(0, 1)
    if job.name == "convolutional":
        events = spikejoule.encode(images[:, None], "latency", steps=job.steps)
    else:
        events = spikejoule.encode(
            images.reshape(len(images), -1), "poisson", steps=job.steps, seed=number
        )
    return torch.from_numpy(events.to_dense())


def encoder_of(job: Job, row: str) -> Callable[[np.ndarray, int], Any]:
    """How a row makes the spikes of a batch from its images, in the loop."""
    if row.startswith(FAST):
        return lambda images, number: spikejoule.encode(
            images, "poisson", steps=job.steps, seed=number
        )
    probability = DEFAULT_RATE_HZ / 1000 / 255
    if row == "snntorch":
        from snntorch import spikegen

        return lambda images, number: spikegen.rate(
            torch.from_numpy(images) * probability, num_steps=job.steps
        )
    from spikingjelly.activation_based.encoding import PoissonEncoder

    encode = PoissonEncoder(step_mode="m")

    def encoded(images: np.ndarray, number: int) -> Tensor:
        x = torch.from_numpy(images) * probability
        return encode(x.expand(job.steps, *x.shape))

    return encoded


# Measurement
# ------------------------------------------------------------------------------


class Loop:
    """A user's training loop, one batch at a time."""

    def __init__(self, job: Job, row: str, images: np.ndarray, labels: Tensor) -> None:
        name = row.removeprefix(FAST)
        self.model = MODELS[name](job)
        self.forward = FORWARD[name](self.model)
        if row.startswith(FAST):
            self.forward = spikejoule.accelerate(self.model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.labels = labels
        self.images = images
        self.encode = encoder_of(job, row) if job.is_encoded else None
        self.batches: list[Any] = []
        if self.encode is None:
            self.batches = [
                dense_batch(job, images[number], number) for number in range(N_BATCHES)
            ]

    def step(self, number: int) -> float:
        """Train on a batch; return the loss."""
        place = number % N_BATCHES
        if self.encode is None:
            spikes = self.batches[place]
        else:
            flat = self.images[place].reshape(BATCH, -1)
            spikes = self.encode(flat, number)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.forward(spikes).sum(0), self.labels[place])
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


@dataclass(frozen=True)
class Times:
    """How often steps are timed.

    Attributes:
        rounds: of all rows.
        steps: timed in each.
        warmup: untimed before these.
        first: untimed before the first round.
    """

    rounds: int
    steps: int
    warmup: int
    first: int


def measure_job(
    job: Job, times: Times, images: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Time all rows of a job; their medians, and how they compare."""
    classes = torch.from_numpy(labels.astype(np.int64))
    loops = {row: Loop(job, row, images, classes) for row in job.rows}
    losses = {
        row: [loop.step(number) for number in range(times.first)]
        for row, loop in loops.items()
    }
    medians: dict[str, list[float]] = {row: [] for row in loops}
    before, start = foreign_busy_seconds(), time.perf_counter()
    for number in range(times.rounds):
        order = [*loops][number % len(loops) :] + [*loops][: number % len(loops)]
        for row in order:
            time.sleep(PAUSE_SECONDS)
            medians[row].append(_median_seconds(loops[row], times))
    seconds = {row: float(np.median(values)) for row, values in medians.items()}
    foreign = foreign_busy_seconds() - before
    return {
        "network": job.network,
        "steps": job.steps,
        "batch_size": BATCH,
        "seconds_per_batch": seconds,
        "round_medians": medians,
        "first_losses": {row: values[0] for row, values in losses.items()},
        "last_losses": {row: values[-1] for row, values in losses.items()},
        "foreign_cores": max(0.0, foreign / (time.perf_counter() - start)),
        "times": {
            row: {other: seconds[other] / seconds[row] for other in seconds}
            for row in seconds
            if row.startswith(FAST)
        },
    }


def _median_seconds(loop: Loop, times: Times) -> float:
    for number in range(times.warmup):
        loop.step(number)
    seconds = []
    for number in range(times.steps):
        start = time.perf_counter()
        loop.step(number)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--rounds", type=positive, default=7)
    parser.add_argument("--steps", type=positive, default=20, help="timed per round")
    parser.add_argument("--warmup", type=int, default=2, help="untimed before these")
    parser.add_argument(
        "--first", type=positive, default=40, help="untimed, before the first round"
    )
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure all jobs; return the content of the JSON file, and the table.

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
    jobs = {}
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        for name in arguments.jobs:
            job = processes.submit(measure_job, JOBS[name], times, images, labels)
            jobs[name] = job.result()
            logger.info("%s: %s", name, jobs[name]["seconds_per_batch"])
    content = {"machine": facts, "data": title, "jobs": jobs}
    return content, plain(accelerate_rows(content))
