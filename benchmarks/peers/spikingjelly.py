"""SpikingJelly 2.x (`pip install spikingjelly`), set to compute the seed notebook's
neuron.

Two of its neurons do: `CUBALIFNode` with no current memory (bit-equal) and `LIFNode`
with `tau = 1 / (1 - decay)` and undecayed input, which computes v - v / tau where we
compute decay x v: the same number up to the rounding of the last bit. In multi-step
mode `LIFNode` has a sequence function of its own and is twice as fast in training on
CPU, so it is the row. Without a leak (`decay` 1) the row is the library's `IFNode`,
which has one, too.

Encoder: the library's own `PoissonEncoder`, which fires where a uniform number is at
most the probability: a black pixel fires once in about 17 million steps. The latency
code is the shared one: `LatencyEncoder` knows no threshold and takes longer. Network:
the library's multi-step layers on [T, B, I], PyTorch backend (the others need CUDA).
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
            [self._neurons(each) for each in self.layers]
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

    def _neurons(self, of_layer: torch.nn.ModuleDict) -> torch.nn.Module:
        if "recurrent" not in of_layer:
            return self._node("m")
        back = of_layer["recurrent"]
        return layer.ElementWiseRecurrentContainer(
            self._node("s"),
            lambda spikes, current: current + back(spikes),
            step_mode="m",
        )

    def _node(self, step_mode: str) -> neuron.LIFNode | neuron.IFNode:
        slope = self.job.surrogate_slope
        constant = surrogate.LeakyKReLU(leak=slope, k=slope)
        arctangent = surrogate.ATan(slope)
        settings: dict[str, Any] = {
            "v_threshold": self.job.threshold,
            "v_reset": 0.0 if self.job.reset == "zero" else None,
            "surrogate_function": constant
            if self.job.surrogate == "constant"
            else arctangent,
            "detach_reset": True,
            "step_mode": step_mode,
        }
        if self.job.decay == 1:
            return neuron.IFNode(**settings)
        return neuron.LIFNode(
            tau=1.0 / (1.0 - self.job.decay), decay_input=False, **settings
        )
