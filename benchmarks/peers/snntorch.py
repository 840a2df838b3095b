"""snnTorch 1.x (`pip install snntorch`), set to compute the original notebook's neuron.

`Leaky` with `reset_mechanism="zero"` and `reset_delay=True` multiplies the membrane
potential of a neuron that fired by zero before the next step, which is our reset.
snnTorch's surrogates fire above the threshold and ours at it, so the row has its own.

Encoder: `spikegen.rate`. For the latency encoding the shared encoder, which makes the
spikes of `spikegen.latency` in less time. Network: `Leaky` takes one step, so it is
called once per layer and step. The linear layers take all steps at once: 42 ms per
batch, where one product per step, as in snnTorch's tutorials, took 55 ms.
"""

import numpy as np
import torch
from snntorch import Leaky, RLeaky, spikegen
from torch import nn

from benchmarks.job import Job
from benchmarks.peers.torch_peer import TorchPeer


class SnnTorch(TorchPeer):
    """snnTorch's neuron and encoder. Spikes are time-first, [T, B, I]."""

    inference_batch_size = 256

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.neurons = [self._neuron(layer) for layer in self.layers]

    def encode_poisson(self, indices: np.ndarray) -> torch.Tensor:
        return spikegen.rate(
            self.probabilities(indices), num_steps=self.job.time_window
        )

    def neurons_fire(self, number: int, currents: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros_like(currents[0])
        neuron = self.neurons[number]
        # A recurrent layer takes its last spikes and potentials, others the potentials.
        state = (zeros, zeros) if isinstance(neuron, RLeaky) else (zeros,)
        spikes = []
        for current in currents.unbind(0):
            outputs = neuron(current, *state)
            state = outputs[-len(state) :]
            spikes.append(outputs[0])
        return torch.stack(spikes)

    def _neuron(self, layer: nn.ModuleDict) -> Leaky | RLeaky:
        settings = {
            "beta": self.job.decay,
            "threshold": self.job.threshold,
            "reset_mechanism": self.job.reset,
            "reset_delay": True,
            "spike_grad": self.spike,
        }
        if "recurrent" not in layer:
            return Leaky(**settings)
        neuron = RLeaky(linear_features=layer["recurrent"].out_features, **settings)
        neuron.recurrent = layer["recurrent"]
        return neuron
