"""The original notebook's loop, rewritten to the same operations in the same order.

Encoder: one image at a time, T x P float64 numbers from numpy's global generator are
compared with the probabilities, converted to float32 and stacked. The notebook has no
latency encoding; here it works the same way, with T x P comparisons per image. Network:
a Python loop over the steps, one linear layer per step, a straight-through surrogate,
and spike counts that leave PyTorch through `.item()` three times per step. Optimizer:
plain Adam. Spikes are counted in inference as well, as in the notebook's last cell. The
notebook's DataLoader and PIL decoding are not timed, which favours it.
"""

import numpy as np
import torch

from benchmarks.job import Job
from benchmarks.peers.torch_peer import TorchPeer


class SeedLoop(TorchPeer):
    """The original notebook's operations. Spikes are batch-first, [B, T, I]."""

    fused_optimizer = False

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        np.random.seed(job.seed)
        self.spike_totals = [0.0, 0.0, 0.0]

    def encode_poisson(self, indices: np.ndarray) -> torch.Tensor:
        return torch.stack(
            [self._poisson_spikes(image) for image in self._images(indices)]
        )

    def encode_latency(self, indices: np.ndarray) -> torch.Tensor:
        return torch.stack(
            [self._latency_spikes(image) for image in self._images(indices)]
        )

    def arrange(self, spikes: torch.Tensor) -> torch.Tensor:
        return spikes

    def counts(self, encoded: torch.Tensor) -> torch.Tensor:
        n_samples, n_steps, _ = encoded.shape
        units = [layer["synapses"].out_features for layer in self.layers]
        potentials = [torch.zeros(n_samples, n_units) for n_units in units]
        totals = torch.zeros(n_samples, self.job.n_output)
        for step in range(n_steps):
            layer_input = encoded[:, step, :]
            self.spike_totals[0] += layer_input.sum().item()
            for layer in range(2):
                layer_input, potentials[layer] = self._step(
                    layer, layer_input, potentials[layer]
                )
            totals += layer_input
        return totals

    def _images(self, indices: np.ndarray) -> torch.Tensor:
        """Return the images as the notebook's loader does, float32 in [0, 1]."""
        return self.pixels[torch.from_numpy(indices)].float() / 255

    def _latency_spikes(self, image: torch.Tensor) -> torch.Tensor:
        intensities = image.reshape(-1).numpy()
        times = np.rint((self.job.time_window - 1) * (1 - intensities))
        times[intensities <= self.job.latency_threshold] = self.job.time_window
        steps = np.arange(self.job.time_window)[:, None]
        return torch.from_numpy((steps == times).astype(np.float32))

    def _poisson_spikes(self, image: torch.Tensor) -> torch.Tensor:
        intensities = image.reshape(-1).numpy()
        probabilities = intensities * self.job.max_rate_hz / 1000.0
        draws = np.random.rand(self.job.time_window, len(probabilities))
        return torch.from_numpy((draws < probabilities).astype(np.float32))

    def _step(
        self, layer: int, layer_input: torch.Tensor, potential: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        current = self.layers[layer]["synapses"](layer_input)
        potential = self.job.decay * potential + current
        spikes = (potential >= self.job.threshold).float()
        spikes = spikes + (potential - potential.detach()) * self.job.surrogate_slope
        self.spike_totals[layer + 1] += spikes.detach().sum().item()
        return spikes, potential * (1 - spikes.detach())
