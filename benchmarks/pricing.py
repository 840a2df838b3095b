"""Time and memory of `spikejoule.price`, compared with a model's own forward pass.

Both sides run the same eight batches, in evaluation mode and without gradients, on one
thread, in a process of their own for each model. `price` reads the samples, counts and
prices; it writes no page.

Time
    The median of the processor seconds of several rounds, in which the sides alternate.
    By chance, PyTorch gives the memory of a freed tensor back to the system or keeps
    it; getting it again takes up to a tenth of a round, on either side.
Memory
    The peak of the resident memory, less what the process had before it made the model
    and the samples. Each side has a process of its own, because memory that was freed
    may stay resident.
"""

import argparse
import importlib.util
import multiprocessing
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn

import spikejoule
from benchmarks.machine import describe, own_peak_mib, positive
from docs.site.speed import plain, pricing_rows
from spikejoule.core.errors import SpikejouleError
from spikejoule.pricing.modules.layers import WEIGHTED
from spikejoule.pricing.modules.neurons import Known

Side = Literal["forward", "price"]
N_BATCHES = 8


def snntorch_mlp() -> nn.Module:
    """784-1000-10; it takes one step."""
    from snntorch import Leaky

    neurons = partial(Leaky, beta=0.9, init_hidden=True)
    return nn.Sequential(
        nn.Linear(784, 1000), neurons(), nn.Linear(1000, 10), neurons()
    )


def spikingjelly_cnn() -> nn.Module:
    """32C3-P2-64C3-P2-256-10; it takes all steps."""
    from spikingjelly.activation_based import functional, layer
    from spikingjelly.activation_based.neuron import LIFNode

    modules: list[nn.Module] = []
    for n_in, n_out in ((2, 32), (32, 64)):
        conv = layer.Conv2d(n_in, n_out, 3, padding=1)
        modules += [conv, LIFNode(), layer.MaxPool2d(2)]
    modules.append(layer.Flatten())
    for n_in, n_out in ((64 * 8 * 8, 256), (256, 10)):
        modules += [layer.Linear(n_in, n_out), LIFNode()]
    model = nn.Sequential(*modules)
    functional.set_step_mode(model, "m")
    return model


def sew_resnet18() -> nn.Module:
    """SEW-ResNet-18 for ImageNet, as SpikingJelly publishes it; it takes all steps."""
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.model.sew_resnet import sew_resnet18
    from spikingjelly.activation_based.neuron import IFNode

    model: nn.Module = sew_resnet18(pretrained=False, cnf="ADD", spiking_neuron=IFNode)
    functional.set_step_mode(model, "m")
    return model


def spikformer_block() -> nn.Module:
    """Spiking self-attention in 8 heads, and an MLP; it takes all steps."""
    from spikingjelly.activation_based.layer import SpikingSelfAttention
    from spikingjelly.activation_based.model.spikformer import SpikformerMLP

    return nn.Sequential(SpikingSelfAttention(256, 8), SpikformerMLP(256, 1024, 256))


@dataclass(frozen=True)
class Case:
    """A model and a batch.

    Attributes:
        simulator: the package it is made with.
        network: in words.
        make: returns the model.
        shape: of a batch, [T, B, ...]; 10 % are spikes.
        takes_steps: whether the model takes one step after another.
    """

    simulator: str
    network: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    takes_steps: bool = False


CASES = (
    Case("snntorch", "784-1000-10", snntorch_mlp, (25, 256, 784), takes_steps=True),
    Case(
        "spikingjelly", "32C3-P2-64C3-P2-256-10", spikingjelly_cnn, (16, 32, 2, 32, 32)
    ),
    Case("spikingjelly", "SEW-ResNet-18", sew_resnet18, (4, 2, 3, 224, 224)),
    Case("spikingjelly", "Spikformer block", spikformer_block, (4, 16, 256, 196)),
)


class Sides:
    """A model and its batches, which are run in two ways."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._takes_steps = case.takes_steps
        self._model = case.make().eval()
        for module in self._model.modules():
            if isinstance(module, WEIGHTED):
                # So that neurons of an untrained network fire.
                module.weight.data.mul_(4)
        self._known = Known.of(self._model)
        batch = (torch.rand(case.shape) < 0.1).float()
        self._batches: list[Tensor] = [batch] * N_BATCHES

    def forward(self) -> None:
        """Run the model itself."""
        with torch.no_grad():
            for batch in self._batches:
                self._known.reset(self._model)
                for x in batch if self._takes_steps else [batch]:
                    self._model(x)

    def price(self) -> None:
        """Count and price it."""
        spikejoule.price(
            self._model,
            self._batches,
            time_axis=0,
            loop="price" if self._takes_steps else "model",
            progress=False,
        )


def seconds_of(case: Case, rounds: int) -> dict[Side, float]:
    """Return the median of the processor seconds of each side."""
    warnings.simplefilter("ignore")
    sides = Sides(case)
    calls: dict[Side, Callable[[], None]] = {
        "forward": sides.forward,
        "price": sides.price,
    }
    seconds: dict[Side, list[float]] = {"forward": [], "price": []}
    for number in range(rounds + 1):
        for side, call in calls.items():
            before = time.process_time()
            call()
            # The first round is a warm-up.
            if number:
                seconds[side].append(time.process_time() - before)
    return {side: median(values) for side, values in seconds.items()}


def peak_mib_of(case: Case, side: Side) -> float:
    """Return the peak memory of one side."""
    warnings.simplefilter("ignore")
    # What libraries load in their first run is not counted.
    import_module(case.simulator)
    getattr(Sides(replace(CASES[0], shape=(1, 2, 784))), side)()
    # From here on, the peak is that of what follows.
    Path("/proc/self/clear_refs").write_text("5")
    before = own_peak_mib()
    getattr(Sides(case), side)()
    return own_peak_mib() - before


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Measure both sides, each in new processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        seconds = processes.submit(seconds_of, case, rounds).result()
        peaks = {
            side: processes.submit(peak_mib_of, case, side).result() for side in seconds
        }
    return {
        "simulator": case.simulator,
        "network": case.network,
        "shape": list(case.shape),
        "seconds": seconds,
        "peak_mib": peaks,
        "time_ratio": seconds["price"] / seconds["forward"],
        "memory_ratio": peaks["price"] / peaks["forward"],
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument("--rounds", type=positive, default=5)
    networks = [case.network for case in CASES]
    parser.add_argument("--networks", nargs="*", choices=networks, default=networks)


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure every model; return the content of the JSON file, and the table.

    Raises:
        SpikejouleError: a simulator is not installed.
    """
    cases = [case for case in CASES if case.network in arguments.networks]
    for name in {case.simulator for case in cases}:
        if importlib.util.find_spec(name) is None:
            raise SpikejouleError(
                f"{name} is not installed: pip install -e '.[bench]'."
            )
    facts = describe(threads=1, allow_load=arguments.allow_load)
    rows = [measure_case(case, arguments.rounds) for case in cases]
    content = {**facts, "models": rows}
    return content, plain(pricing_rows(content))
