"""The pipeline's networks in plain PyTorch, as a user would write them."""

from typing import Any

import torch
from torch import Tensor, nn

from spikejoule import Population
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Convolution
from spikejoule.network.surrogates import Surrogate


class _Fire(torch.autograd.Function):
    """1 where x >= 0; the surrogate is its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.surrogate.derivative(x), None


class Neurons(nn.Module):
    """Leaky integrate-and-fire neurons; one step a call."""

    def __init__(
        self, neuron: LeakyIntegrateAndFire, surrogate: Surrogate, learned: Any
    ) -> None:
        super().__init__()
        self.reset_by = neuron.reset
        self.constants = neuron.constants
        self.surrogate = surrogate
        self.v: Tensor | float = 0.0
        for name, value in learned.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(value.copy())))

    def forward(self, x: Tensor) -> Tensor:
        threshold: Any
        threshold, decay = self.constants
        if hasattr(self, "log_threshold"):
            threshold = self.log_threshold.exp()
        if hasattr(self, "decay_logit"):
            decay = self.decay_logit.sigmoid()
        v = decay * self.v + x
        fire: Any = _Fire.apply
        spikes = fire(v - threshold, self.surrogate)
        if self.reset_by == "subtract":
            self.v = v - (threshold * spikes).detach()
        else:
            self.v = v * (1 - spikes.detach())
        return spikes


class Chain(nn.Module):
    """A network of the pipeline without pooling, with its modules named alike."""

    def __init__(self, network: Network, state: Any, surrogate: Surrogate) -> None:
        super().__init__()
        self.names: list[tuple[str, str, str]] = []
        layers = zip(
            network.forward_connections, network.recurrent_connections, strict=True
        )
        for number, (connection, loop) in enumerate(layers, start=1):
            neuron: Any = network.neurons[number - 1]
            name = network.target_of(connection).name
            key = f"layer{number}"
            weights = state[f"{key}.synapses.weight"]
            bias = state.get(f"{key}.synapses.bias")
            n_out, n_in, *kernel = weights.shape
            layer: nn.Linear | nn.Conv2d = nn.Linear(n_in, n_out, bias is not None)
            if isinstance(connection, Convolution):
                windows = connection.windows
                layer = nn.Conv2d(
                    n_in * connection.groups,
                    n_out,
                    tuple(kernel),
                    stride=windows.stride,
                    padding=windows.padding,
                    groups=connection.groups,
                    bias=bias is not None,
                )
            _set(layer, weights, bias)
            learned = {
                own.rpartition(".")[2]: values
                for own, values in state.items()
                if own.startswith(f"{key}.neurons.")
            }
            loop_name = ""
            if loop is not None:
                loop_name = loop.name
                recurrent = nn.Linear(n_out, n_out, bias=False)
                _set(recurrent, state[f"{key}.recurrent.weight"], None)
                self.add_module(loop_name, recurrent)
            self.add_module(connection.name, layer)
            self.add_module(name, Neurons(neuron, surrogate, learned))
            self.names.append((connection.name, loop_name, name))
        self.in_shape = network.input.out_shape

    def forward(self, x: Tensor) -> Tensor:
        for _, _, name in self.names:
            self.get_submodule(name).v = 0.0
        outputs = []
        last: dict[str, Tensor] = {}
        for step in x:
            spikes = step.reshape(len(step), *self.in_shape)
            for connection, loop, name in self.names:
                layer = self.get_submodule(connection)
                if isinstance(layer, nn.Linear):
                    spikes = spikes.flatten(1)
                current = layer(spikes)
                if loop and name in last:
                    current = current + self.get_submodule(loop)(last[name])
                spikes = self.get_submodule(name)(current)
                last[name] = spikes
            outputs.append(spikes)
        return torch.stack(outputs)


def _set(layer: Any, weights: Any, bias: Any) -> None:
    layer.double()
    layer.weight.data = torch.from_numpy(weights.copy()).double()
    if bias is not None:
        layer.bias.data = torch.from_numpy(bias.copy()).double()


def neurons_of(surrogate: str) -> dict[type, Any]:
    """How `track` counts these neurons."""

    def describe(module: Neurons) -> Population:
        decay = module.constants[1]
        keep = 0.5 if hasattr(module, "decay_logit") else decay
        return Population(keeps=(keep,), surrogate=surrogate)

    return {Neurons: describe}
