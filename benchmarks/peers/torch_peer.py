"""What the PyTorch rows share: data, loss, clipping and optimizer.

A peer adds its encoder and its network. Everything shared favours the peers: pixels are
an array in memory (the original notebook decodes an image on each read), the optimizer
is the fused Adam unless the peer differs, and the latency encoding is a table of 256
levels and one comparison, a fifth of the time of snnTorch's `spikegen.latency` and
SpikingJelly's `LatencyEncoder` for the same spikes.
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
    """Spikes for v - threshold, with a constant gradient.

    The original notebook's straight-through term, as an autograd function.
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
    """Return the step in which a pixel of each 8-bit level fires, int16 [256].

    It is (T - 1) (1 - x), rounded, for an intensity x above the threshold, else T: the
    pixel never fires.
    """
    intensities = torch.arange(256, dtype=torch.float64) / 255
    steps = ((job.time_window - 1) * (1 - intensities)).round()
    return steps.masked_fill(
        intensities <= job.latency_threshold, job.time_window
    ).short()


def modules_of(network: Network) -> torch.nn.ModuleDict:
    """Return `synapses` and `recurrent` of each layer, named as in the state dict."""
    modules = torch.nn.ModuleDict()
    for number, node in enumerate(network.forward_connections, start=1):
        layer = torch.nn.ModuleDict()
        if isinstance(node, Convolution):
            layer["synapses"] = torch.nn.Conv2d(
                node.in_shape[0],
                node.out_shape[0],
                node.windows.kernel,
                node.windows.stride,
            )
        else:
            layer["synapses"] = torch.nn.Linear(node.n_in, node.n_out)
        if f"layer{number}.recurrent.weight" in network.weight_names:
            layer["recurrent"] = torch.nn.Linear(node.n_out, node.n_out, bias=False)
        modules[f"layer{number}"] = layer
    return modules


class TorchPeer(ABC):
    """The job around an encoder and a network.

    Shapes: B batch, T steps, I inputs, O outputs.
    """

    inference_batch_size = 64
    fused_optimizer = True

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.encoding != "poisson":
            # With fewer steps, larger batches suit every row: at least 6 % faster.
            self.inference_batch_size = 256
        torch.manual_seed(job.seed)
        self.network = modules_of(job.network)
        self.layers = list(self.network.values())
        self._in_shapes = [node.in_shape for node in job.network.forward_connections]
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
        """Return the input spikes of images `indices` [B], as `counts` takes them."""

    def encode_latency(self, indices: np.ndarray) -> Any:
        """The same with the latency encoding, by default dense, [T, B, I]."""
        firing = self.latency_steps(indices)
        steps = torch.arange(self.job.time_window, dtype=firing.dtype)
        # Compared straight into floats: a conversion would double the time.
        spikes = torch.empty(len(steps), *firing.shape)
        return torch.eq(firing, steps.view(-1, 1, 1), out=spikes)

    def encode_rows(self, indices: np.ndarray) -> torch.Tensor:
        """The same with one row of the image in each step."""
        lit = self.pixels[torch.from_numpy(indices)] > 255 * self.job.latency_threshold
        return lit.view(len(lit), self.job.time_window, -1).transpose(0, 1).float()

    def encode(self, indices: np.ndarray) -> Any:
        """Return the input spikes in the job's encoding."""
        return getattr(self, f"encode_{self.job.encoding}")(indices)

    def arrange(self, spikes: torch.Tensor) -> Any:
        """Return spikes [B, T, I] as `counts` takes them (for tests; not timed)."""
        return spikes.transpose(0, 1).contiguous()

    def counts(self, encoded: Any) -> torch.Tensor:
        """Run the network; return the output spike counts [B, O]."""
        spikes = encoded
        for number in range(len(self.layers)):
            spikes = self.neurons_fire(number, self.currents(number, spikes))
        return spikes.sum(0)

    def currents(self, number: int, spikes: Any) -> torch.Tensor:
        """Return a layer's input currents for spikes [T, B, ...], all steps at once."""
        synapses = self.layers[number]["synapses"]
        if isinstance(synapses, torch.nn.Linear):
            return synapses(spikes.flatten(2))
        images = spikes.reshape(-1, *self._in_shapes[number])
        return synapses(images).unflatten(0, spikes.shape[:2])

    def neurons_fire(self, number: int, currents: torch.Tensor) -> torch.Tensor:
        """Return a layer's spikes for its currents, both [T, B, ...]."""
        raise NotImplementedError

    def spike(self, over_threshold: torch.Tensor) -> torch.Tensor:
        """Return the spikes for v - threshold, with the job's surrogate gradient."""
        if self.job.surrogate == "constant":
            return ConstantSurrogate.apply(over_threshold, self.job.surrogate_slope)
        return fire(over_threshold, self._derivative)

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.pixels = torch.from_numpy(np.array(images).reshape(len(images), -1))
        self.labels = torch.from_numpy(np.array(labels).astype(np.int64))

    def probabilities(self, indices: np.ndarray) -> torch.Tensor:
        """Return spike probabilities per step, float32 [B, I].

        They are intensity x max_rate / 1000, with steps of 1 ms.
        """
        pixels = self.pixels[torch.from_numpy(indices)]
        return pixels.float().mul_(self.job.max_rate_hz / 1000.0 / 255.0)

    def latency_steps(self, indices: np.ndarray) -> torch.Tensor:
        """Return the step in which each pixel fires, int16 [B, I]; T for never."""
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
        """Set the weights, named as in the original notebook's state dict."""
        self.network.load_state_dict(
            {name: torch.from_numpy(values) for name, values in state.items()}
        )

    def loss(self, encoded: Any, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.counts(encoded), labels)
