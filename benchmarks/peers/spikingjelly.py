"""SpikingJelly 2.x (`pip install spikingjelly`), set to the original notebook's neuron.

Two of its neurons fit: `CUBALIFNode` without current memory (bit-equal), and `LIFNode`
with `tau = 1 / (1 - decay)` and undecayed input, which computes v - v / tau instead of
decay x v: the same up to the last bit. The row takes `LIFNode`, whose multi-step mode
has its own sequence function and trains twice as fast on a CPU. Without a leak (`decay`
1) it takes `IFNode`, which has such a function as well.

Encoder: `PoissonEncoder`, which fires where a uniform number is at most the
probability: a black pixel fires once in about 17 million steps. The latency encoding is
the shared one; `LatencyEncoder` has no threshold and is slower. Network: multi-step
layers on [T, B, I], PyTorch backend (the others need CUDA).
"""

from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate

from benchmarks.job import Job
from benchmarks.peers.torch_peer import TorchPeer


class SpikingJelly(TorchPeer):
    """SpikingJelly's neuron and encoder. Spikes are time-first, [T, B, I]."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.neurons = torch.nn.ModuleList(
            [self._neurons(modules) for modules in self.layers]
        )
        self.encoder = encoding.PoissonEncoder(step_mode="m")

    def encode_poisson(self, indices: np.ndarray) -> torch.Tensor:
        probabilities = self.probabilities(indices)
        return self.encoder(
            probabilities.expand(self.job.time_window, *probabilities.shape)
        )

    def neurons_fire(self, number: int, currents: torch.Tensor) -> torch.Tensor:
        functional.reset_net(self.neurons[number])
        return self.neurons[number](currents)

    def _neurons(self, modules: torch.nn.ModuleDict) -> torch.nn.Module:
        if "recurrent" not in modules:
            return self._node("m")
        back = modules["recurrent"]
        return layer.ElementWiseRecurrentContainer(
            self._node("s"),
            lambda spikes, current: current + back(spikes),
            step_mode="m",
        )

    def _node(self, step_mode: str) -> neuron.LIFNode | neuron.IFNode:
        slope = self.job.surrogate_slope
        if self.job.surrogate == "constant":
            function = surrogate.LeakyKReLU(leak=slope, k=slope)
        else:
            function = surrogate.ATan(slope)
        settings: dict[str, Any] = {
            "v_threshold": self.job.threshold,
            "v_reset": 0.0 if self.job.reset == "zero" else None,
            "surrogate_function": function,
            "detach_reset": True,
            "step_mode": step_mode,
        }
        if self.job.decay == 1:
            return neuron.IFNode(**settings)
        return neuron.LIFNode(
            tau=1.0 / (1.0 - self.job.decay), decay_input=False, **settings
        )
