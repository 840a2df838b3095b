"""What the rows that run on PyTorch share: the loss, the clipping, the optimizer, the
data.

A peer adds its encoder and its network. Everything shared is favourable to the peers:
pixels are already an array in memory (the seed notebook decodes a PIL image each time
it reads one), and the optimizer is the fused Adam unless the peer says otherwise. So is
the latency code: a table of the 256 levels and one comparison, a fifth of the time that
snnTorch's `spikegen.latency` and SpikingJelly's `LatencyEncoder` take for the same
spikes (the tests of the encoder compare these).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.job import Job, initial_state
from spikejoule.network.network import Network
from spikejoule.network.nodes import Convolution
from spikejoule.network.torch_twin import fire


class ConstantSurrogate(torch.autograd.Function):
    """1 where the membrane potential reaches the threshold; the gradient is a constant.

    Takes v - threshold. The seed notebook's straight-through term, as a function of its
    own.
    """

    @staticmethod
    def forward(
        ctx: Any, over_threshold: torch.Tensor, gradient: float
    ) -> torch.Tensor:
        ctx.gradient = gradient
        return (over_threshold >= 0).to(over_threshold.dtype)

    @staticmethod
    def backward(ctx: Any, spike_gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.gradient * spike_gradient, None


def step_of_level(job: Job) -> torch.Tensor:
    """The step in which a pixel of each 8-bit level fires, int16 [256]; T for never.

    The linear latency code: (T - 1) (1 - x), rounded, for an intensity x above the
    threshold.
    """
    intensities = torch.arange(256, dtype=torch.float64) / 255
    steps = ((job.time_window - 1) * (1 - intensities)).round()
    return steps.masked_fill(
        intensities <= job.latency_threshold, job.time_window
    ).short()


def modules_of(network: Network) -> torch.nn.ModuleDict:
    """`synapses` and `recurrent` of each layer, named as in the state dict."""
    modules = torch.nn.ModuleDict()
    for number, one in enumerate(network.forward_connections, start=1):
        layer = modules[f"layer{number}"] = torch.nn.ModuleDict()
        if isinstance(one, Convolution):
            layer["synapses"] = torch.nn.Conv2d(
                one.in_shape[0],
                one.out_shape[0],
                one.windows.kernel,
                one.windows.stride,
            )
        else:
            layer["synapses"] = torch.nn.Linear(one.n_in, one.n_out)
        if f"layer{number}.recurrent.weight" in network.weight_names:
            layer["recurrent"] = torch.nn.Linear(one.n_out, one.n_out, bias=False)
    return modules


class TorchPeer(ABC):
    """The whole job around an encoder and a network. B batch, T steps, I inputs, O
    outputs.
    """

    inference_batch_size = 64
    fused_optimizer = True

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.encoding != "poisson":
            # Over fewer steps, larger batches suit every row: 6 % faster than 64, where
            # that is it.
            self.inference_batch_size = 256
        torch.manual_seed(job.seed)
        self.network = modules_of(job.network)
        self.layers = list(self.network.values())
        self._in_shapes = [one.in_shape for one in job.network.forward_connections]
        self._derivative = job.learning.chosen_surrogate.derivative
        self.parameters = list(self.network.parameters())
        self.load_weights(initial_state(job))
        rates = {"lr": job.learning_rate, "weight_decay": job.weight_decay}
        self.optimizer = torch.optim.Adam(
            self.parameters, **rates, fused=self.fused_optimizer
        )
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

    def encode_rows(self, indices: np.ndarray) -> torch.Tensor:
        """The same of a row of the image in each step."""
        lit = self.pixels[torch.from_numpy(indices)] > 255 * self.job.latency_threshold
        return lit.view(len(lit), self.job.time_window, -1).transpose(0, 1).float()

    def encode(self, indices: np.ndarray) -> Any:
        """Input spikes by the job's code."""
        return getattr(self, f"encode_{self.job.encoding}")(indices)

    def arrange(self, spikes: torch.Tensor) -> Any:
        """Given spikes [B, T, I] in the form that `counts` takes (tests; not timed)."""
        return spikes.transpose(0, 1).contiguous()

    def counts(self, encoded: Any) -> torch.Tensor:
        """Forward pass through time: output spike counts [B, O]."""
        spikes = encoded
        for number in range(len(self.layers)):
            spikes = self.neurons_fire(number, self.currents(number, spikes))
        return spikes.sum(0)

    def currents(self, number: int, spikes: Any) -> torch.Tensor:
        """Of the neurons of a layer, for the spikes [T, B, ...] before it: all steps at
        once.
        """
        synapses = self.layers[number]["synapses"]
        if isinstance(synapses, torch.nn.Linear):
            return synapses(spikes.flatten(2))
        images = spikes.reshape(-1, *self._in_shapes[number])
        return synapses(images).unflatten(0, spikes.shape[:2])

    def neurons_fire(self, number: int, currents: torch.Tensor) -> torch.Tensor:
        """Spikes of the neurons of a layer for their currents, [T, B, ...] both."""
        raise NotImplementedError

    def spike(self, over_threshold: torch.Tensor) -> torch.Tensor:
        """1 where v - threshold is not below 0, with the job's surrogate as
        derivative.
        """
        if self.job.surrogate == "constant":
            return ConstantSurrogate.apply(over_threshold, self.job.surrogate_slope)
        return fire(over_threshold, self._derivative)

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.pixels = torch.from_numpy(np.array(images).reshape(len(images), -1))
        self.labels = torch.from_numpy(np.array(labels).astype(np.int64))

    def probabilities(self, indices: np.ndarray) -> torch.Tensor:
        """Spike probability per step, float32 [B, I]: intensity x max_rate / 1000."""
        pixels = self.pixels[torch.from_numpy(indices)]
        return pixels.float().mul_(self.job.max_rate_hz / 1000.0 / 255.0)

    def latency_steps(self, indices: np.ndarray) -> torch.Tensor:
        """The step in which each pixel fires, int16 [B, I]; T for one that never
        does.
        """
        levels = self.pixels[torch.from_numpy(indices)]
        return self._step_of_level.index_select(0, levels.view(-1).int()).view(
            levels.shape
        )

    def train_batch(self, indices: np.ndarray) -> float:
        encoded = self.encode(indices)
        self.optimizer.zero_grad()
        loss = self.loss(encoded, self.labels[torch.from_numpy(indices)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, max_norm=self.job.clip_norm)
        self.optimizer.step()
        return loss.item()

    def infer_batch(self, indices: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.counts(self.encode(indices)).argmax(1).numpy()

    def load_weights(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy arrays named as in the seed notebook's state dict into the network."""
        self.network.load_state_dict(
            {name: torch.from_numpy(of) for name, of in state.items()}
        )

    def loss(self, encoded: Any, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.counts(encoded), labels)
