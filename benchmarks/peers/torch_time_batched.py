"""The fastest plain PyTorch that we could write: one product per layer for all steps.

The first layer sums rows of weights with `embedding_bag` (15.4 ms per batch on one
thread; a sparse CSR product takes 17.0 ms, and a dense product far longer). The neurons
are unrolled over the steps, with automatic differentiation. Compiling them with
`torch.compile` was slower (34 ms, after compiling for 40 s). A backward pass through
time written by hand took four fifths of the time, but PyTorch users do not write one.

Encoder: random numbers are drawn only for pixels that are not black (three times as
fast as for all), and spikes are listed by row; those of the latency encoding are
sorted. Neurons without a leak skip the multiplication.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from benchmarks.peers.torch_peer import TorchPeer


class InputRows(NamedTuple):
    """Input spikes of B samples over T steps.

    Row t * B + b has the sources ``sources[offsets[row] : offsets[row + 1]]``.
    """

    n_samples: int
    sources: torch.Tensor
    offsets: torch.Tensor


class TorchTimeBatched(TorchPeer):
    """Time-batched products, neurons unrolled. Spikes are time-first."""

    inference_batch_size = 256

    def encode_poisson(self, indices: np.ndarray) -> InputRows:
        probabilities = self.probabilities(indices)
        n_samples, n_inputs = probabilities.shape
        flat = probabilities.reshape(-1)
        lit = flat.nonzero().squeeze(1)
        fires = torch.rand(self.job.time_window, len(lit)) < flat[lit]
        step, position = fires.nonzero(as_tuple=True)
        pixel = lit[position]
        row = step * n_samples + pixel // n_inputs
        return self._listed(row, pixel % n_inputs, n_samples)

    def encode_latency(self, indices: np.ndarray) -> InputRows:
        firing = self.latency_steps(indices)
        n_samples = len(firing)
        sample, pixel = (firing < self.job.time_window).nonzero(as_tuple=True)
        unsorted = firing[sample, pixel].long() * n_samples + sample
        row, order = unsorted.sort(stable=True)
        return self._listed(row, pixel[order], n_samples)

    def arrange(self, spikes: torch.Tensor) -> InputRows:
        n_samples, _, n_inputs = spikes.shape
        matrix = spikes.transpose(0, 1).reshape(-1, n_inputs)
        return self._listed(*matrix.nonzero(as_tuple=True), n_samples)

    def currents(self, number: int, spikes: InputRows | torch.Tensor) -> torch.Tensor:
        if isinstance(spikes, torch.Tensor):
            return super().currents(number, spikes)
        synapses = self.layers[number]["synapses"]
        rows = synapses.weight.t().contiguous()
        currents = embedding_bag(
            spikes.sources, rows, spikes.offsets, mode="sum", include_last_offset=True
        )
        return (currents + synapses.bias).view(
            -1, spikes.n_samples, synapses.out_features
        )

    def _listed(
        self, row: torch.Tensor, source: torch.Tensor, n_samples: int
    ) -> InputRows:
        n_rows = self.job.time_window * n_samples
        offsets = torch.zeros(n_rows + 1, dtype=torch.int64)
        offsets[1:] = torch.bincount(row, minlength=n_rows).cumsum(0)
        return InputRows(n_samples, source, offsets)

    def neurons_fire(self, number: int, currents: torch.Tensor) -> torch.Tensor:
        job = self.job
        potential = torch.zeros_like(currents[0])
        spikes = []
        for current in currents.unbind(0):
            leaked = potential if job.decay == 1 else job.decay * potential
            potential = leaked + current
            spike = self.spike(potential - job.threshold)
            potential = potential * (1 - spike.detach())
            spikes.append(spike)
        return torch.stack(spikes)
