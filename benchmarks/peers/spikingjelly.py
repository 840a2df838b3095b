"""SpikingJelly 2.x (`pip install spikingjelly`), set to compute the seed notebook's neuron.

Two of its neurons do: `CUBALIFNode` with no current memory (bit-equal) and `LIFNode` with
`tau = 1 / (1 - decay)` and undecayed input, which computes v - v / tau where we compute
decay x v: the same number up to the rounding of the last bit. In multi-step mode `LIFNode` has a
sequence function of its own and is twice as fast in training on CPU, so it is the row; tests
check both. Without a leak (`decay` 1) the row is the library's `IFNode`, which has one, too.

Encoder: the library's own `PoissonEncoder`, which fires where a uniform number is at most the
probability: a black pixel fires once in about 17 million steps. The latency code is the shared one:
`LatencyEncoder` knows no threshold and takes longer. Network: the library's multi-step
layers on [T, B, I], PyTorch backend (the others need CUDA).
"""

from typing import Any, Literal

import numpy as np
import torch
from spikingjelly.activation_based import encoding, functional, neuron, surrogate

from benchmarks.job import Job
from benchmarks.peers.torch_peer import TorchPeer, Trace


class SpikingJelly(TorchPeer):
    """SpikingJelly's neuron and encoder. Spikes are time-first, [T, B, I]."""

    def __init__(self, job: Job, node: Literal["lif", "cuba"] = "lif") -> None:
        super().__init__(job)
        make_node = self._lif_node if node == "lif" else self._cuba_node
        self.neurons = torch.nn.ModuleList([make_node(), make_node()]).to(self.device)
        self.encoder = encoding.PoissonEncoder(step_mode="m")

    def encode_poisson(self, indices: np.ndarray) -> torch.Tensor:
        probabilities = self.probabilities(indices)
        return self.encoder(probabilities.expand(self.job.time_window, *probabilities.shape))

    def arrange(self, spikes: torch.Tensor) -> torch.Tensor:
        return spikes.transpose(0, 1).contiguous()

    def counts(self, encoded: torch.Tensor, trace: Trace | None = None) -> torch.Tensor:
        functional.reset_net(self.neurons)
        hidden = self.neurons[0](self.synapses[0](encoded))
        output = self.neurons[1](self.synapses[1](hidden))
        if trace is not None:
            trace.hidden.extend(hidden.unbind(0))
            trace.output.extend(output.unbind(0))
        return output.sum(0)

    def _surrogate(self) -> surrogate.SurrogateFunctionBase:
        gradient = self.job.surrogate_gradient
        return surrogate.LeakyKReLU(leak=gradient, k=gradient)

    def _lif_node(self) -> neuron.LIFNode | neuron.IFNode:
        settings: dict[str, Any] = {
            "v_threshold": self.job.threshold,
            "v_reset": 0.0,
            "surrogate_function": self._surrogate(),
            "detach_reset": True,
            "step_mode": "m",
        }
        if self.job.decay == 1:
            return neuron.IFNode(**settings)
        return neuron.LIFNode(tau=1.0 / (1.0 - self.job.decay), decay_input=False, **settings)

    def _cuba_node(self) -> neuron.CUBALIFNode:
        node = neuron.CUBALIFNode(
            c_decay=0.0,
            v_decay=self.job.decay,
            v_threshold=self.job.threshold,
            v_reset=0.0,
            surrogate_function=self._surrogate(),
        )
        node.detach_reset = True
        node.step_mode = "m"
        return node


class SpikingJellyOnGpu(SpikingJelly):
    """A row of `benchmarks.gpu`: with a surrogate that the library's own kernels know."""

    device = "cuda"

    def _surrogate(self) -> surrogate.SurrogateFunctionBase:
        return surrogate.ATan(alpha=2.0)
