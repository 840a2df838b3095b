"""What the rows that run on PyTorch share: the loss, the clipping, the optimizer, the data.

A peer adds its encoder and its network. Everything shared is favourable to the peers: pixels are
already an array in memory (the seed notebook decodes a PIL image each time it reads one), and the
optimizer is the fused Adam unless the peer says otherwise. So is the latency code: a table of the
256 levels and one comparison, a fifth of the time that snnTorch's `spikegen.latency` and
SpikingJelly's `LatencyEncoder` take for the same spikes (the tests of the encoder compare these).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.job import Job, initial_state

Trace = tuple[list[torch.Tensor], list[torch.Tensor]]
"""Hidden and output spikes of the steps of one forward pass, [B, H] and [B, O]; for tests."""


class ConstantSurrogate(torch.autograd.Function):
    """1 where the membrane potential reaches the threshold; the gradient is a constant.

    Takes v - threshold. The seed notebook's straight-through term, as a function of its own.
    """

    @staticmethod
    def forward(ctx: Any, over_threshold: torch.Tensor, gradient: float) -> torch.Tensor:
        ctx.gradient = gradient
        return (over_threshold >= 0).to(over_threshold.dtype)

    @staticmethod
    def backward(ctx: Any, spike_gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.gradient * spike_gradient, None


def step_of_level(job: Job) -> torch.Tensor:
    """The step in which a pixel of each 8-bit level fires, int16 [256]; T for never.

    The linear latency code: (T - 1) (1 - x), rounded, for an intensity x above the threshold.
    """
    intensities = torch.arange(256, dtype=torch.float64) / 255
    steps = ((job.time_window - 1) * (1 - intensities)).round()
    return steps.masked_fill(intensities <= job.latency_threshold, job.time_window).short()


class TorchPeer(ABC):
    """The whole job around an encoder and a network. B batch, T steps, I/H/O layer sizes."""

    inference_batch_size = 64
    fused_optimizer = True

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.code == "latency":
            # Over fewer steps, larger batches suit every row: 6 % faster than 64, where that is it.
            self.inference_batch_size = 256
        torch.manual_seed(job.seed)
        sizes = pairwise((job.n_input, job.n_hidden, job.n_output))
        self.synapses = torch.nn.ModuleList([torch.nn.Linear(*of_layer) for of_layer in sizes])
        self.parameters = list(self.synapses.parameters())
        self.load_weights(initial_state(job))
        rates = {"lr": job.learning_rate, "weight_decay": job.weight_decay}
        self.optimizer = torch.optim.Adam(self.parameters, **rates, fused=self.fused_optimizer)
        self._step_of_level = step_of_level(job)

    @abstractmethod
    def encode_poisson(self, indices: np.ndarray) -> Any:
        """Input spikes of images `indices` [B], in the form that `counts` takes."""

    def encode_latency(self, indices: np.ndarray) -> Any:
        """The same by the latency code: here dense and time-first, [T, B, I]."""
        firing = self.latency_steps(indices)
        steps = torch.arange(self.job.time_window, dtype=firing.dtype)
        # Compared into floats at once: a second pass over them would double the time.
        spikes = torch.empty(len(steps), *firing.shape)
        return torch.eq(firing, steps.view(-1, 1, 1), out=spikes)

    def encode(self, indices: np.ndarray) -> Any:
        """Input spikes by the job's code."""
        codes = {"poisson": self.encode_poisson, "latency": self.encode_latency}
        return codes[self.job.code](indices)

    @abstractmethod
    def arrange(self, spikes: torch.Tensor) -> Any:
        """Given spikes [B, T, I] in the form that `counts` takes (tests; not timed)."""

    @abstractmethod
    def counts(self, encoded: Any, trace: Trace | None = None) -> torch.Tensor:
        """Forward pass through time: output spike counts [B, O]."""

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.pixels = torch.from_numpy(np.array(images).reshape(len(images), -1))
        self.labels = torch.from_numpy(np.array(labels).astype(np.int64))

    def probabilities(self, indices: np.ndarray) -> torch.Tensor:
        """Spike probability per step, float32 [B, I]: intensity x max_rate / 1000."""
        pixels = self.pixels[torch.from_numpy(indices)]
        return pixels.float().mul_(self.job.max_rate_hz / 1000.0 / 255.0)

    def latency_steps(self, indices: np.ndarray) -> torch.Tensor:
        """The step in which each pixel fires, int16 [B, I]; T for one that never does."""
        levels = self.pixels[torch.from_numpy(indices)]
        return self._step_of_level.index_select(0, levels.view(-1).int()).view(levels.shape)

    def train_batch(self, indices: np.ndarray) -> float:
        encoded = self.encode(indices)
        self.optimizer.zero_grad()
        loss = self._loss(encoded, self.labels[torch.from_numpy(indices)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, max_norm=self.job.clip_norm)
        self.optimizer.step()
        return loss.item()

    def infer_batch(self, indices: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.counts(self.encode(indices)).argmax(1).numpy()

    def load_weights(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy arrays named as in the seed notebook's state dict into the network."""
        with torch.no_grad():
            for layer, synapses in enumerate(self.synapses, start=1):
                for name, parameter in synapses.named_parameters():
                    array = state[f"layer{layer}.synapses.{name}"]
                    parameter.copy_(torch.from_numpy(array))

    def spikes(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hidden [B, T, H] and output [B, T, O] spikes for given input spikes [B, T, I]."""
        trace: Trace = ([], [])
        with torch.no_grad():
            self.counts(self.arrange(torch.from_numpy(inputs)), trace)
        hidden, output = (torch.stack(steps, 1) for steps in trace)
        return hidden.numpy(), output.numpy()

    def gradients(self, inputs: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients of the loss before clipping, named as in the seed notebook's state dict."""
        self.optimizer.zero_grad()
        encoded = self.arrange(torch.from_numpy(inputs))
        self._loss(encoded, torch.from_numpy(labels.astype(np.int64))).backward()
        return {
            f"layer{layer}.synapses.{name}": parameter.grad.numpy().copy()
            for layer, synapses in enumerate(self.synapses, start=1)
            for name, parameter in synapses.named_parameters()
        }

    def _loss(self, encoded: Any, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.counts(encoded), labels)
