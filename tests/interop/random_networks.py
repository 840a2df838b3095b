"""Networks of four simulators, drawn at random, and how each simulator runs them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

Neuron = Callable[[int, bool], nn.Module]
"""Makes neurons, of a number of units, which are the last layer or not."""


@dataclass(frozen=True)
class Drawn:
    """A network.

    Attributes:
        simulator: its package.
        kind: class of the neurons.
        settings: of the neurons.
        surrogate: name and constants.
        shape: ``dense``, ``deep``, ``conv``, ``pool``.
        form: ``container``, or ``loop``, a class with a loop over time.
        steps, batch: T and B.
        double: whether in float64.
        seed: of weights and spikes.
    """

    simulator: str
    kind: str
    settings: tuple[tuple[str, Any], ...]
    surrogate: tuple[Any, ...]
    shape: str
    form: str
    steps: int
    batch: int
    double: bool
    seed: int

    @property
    def tolerance(self) -> float:
        return 1e-10 if self.double else 1e-5

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def spikes(self) -> Tensor:
        """Spikes [T, B, ...]."""
        return self._spikes(self.steps, self.batch, self.seed)

    def example(self) -> Tensor:
        """Spikes that show the order of the modules."""
        return self._spikes(8, 7, self.seed + 1)

    def _spikes(self, steps: int, batch: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (17,) if self.shape in ("dense", "deep") else (2, 9, 8)
        drawn = torch.rand(steps, batch, *shape, generator=generator)
        return (drawn < 0.3).to(self.dtype)


def _some(**choices: list[Any]) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    parts = {key: st.sampled_from(values) for key, values in choices.items()}
    return st.fixed_dictionaries(parts).map(lambda made: tuple(made.items()))


BETAS = [0.5, 0.9, 0.97, 1.0]
SNNTORCH = {
    "Leaky": _some(
        beta=BETAS,
        threshold=[0.7, 1.0],
        learn_beta=[False, True],
        learn_threshold=[False, True],
        reset_mechanism=["subtract", "zero", "none"],
    ),
    "Leaky at once": _some(
        beta=BETAS, reset_mechanism=["zero", "none"], reset_delay=[False]
    ),
    "RLeaky": _some(
        beta=BETAS,
        learn_beta=[False, True],
        all_to_all=[False, True],
        reset_mechanism=["subtract", "zero", "none"],
    ),
    "Lapicque": _some(beta=[0.5, 0.9], reset_mechanism=["subtract", "zero", "none"]),
}
SNNTORCH_SURROGATES = [
    ("atan", 2.0),
    ("atan", 5.0),
    ("fast_sigmoid", 5),
    ("sigmoid", 4),
    ("straight_through_estimator",),
    ("heaviside",),
]
_NODE = {
    "v_threshold": [0.6, 1.0],
    "v_reset": [0.0, -0.3, None],
    "detach_reset": [False, True],
}
SPIKINGJELLY = {
    "IFNode": _some(**_NODE),
    "LIFNode": _some(tau=[1.5, 2.0, 8.0], decay_input=[False, True], **_NODE),
    "ParametricLIFNode": _some(init_tau=[1.5, 4.0], decay_input=[False, True], **_NODE),
    "CUBALIFNode": _some(c_decay=[0.3, 0.0], v_decay=[0.8], detach_reset=[False, True]),
    "recurrent": _some(tau=[1.5, 8.0], decay_input=[False], **_NODE),
}
SPIKINGJELLY_SURROGATES = [
    ("ATan", 2.0),
    ("Sigmoid", 4.0),
    ("SoftSign", 2.0),
    ("SuperSpike", 1.0),
    ("PiecewiseQuadratic", 1.0),
    ("PiecewiseExp", 1.5),
    ("Erf", 2.0),
    ("PiecewiseLeakyReLU", 1.0, 0.01),
    ("LeakyKReLU", 0.3, 0.8),
    ("DeterministicPass",),
]
_RATES = {"tau_mem_inv": [100.0, 300.0], "v_th": [0.3, 0.5]}
NORSE = {
    "LIFBoxCell": _some(**_RATES),
    "LIFCell": _some(tau_syn_inv=[200.0, 500.0], **_RATES),
    "LIF": _some(tau_syn_inv=[200.0], **_RATES),
    "LIFRecurrentCell": _some(tau_syn_inv=[500.0], **_RATES),
    "IAFCell": _some(v_th=[0.5, 1.0]),
}
NORSE_SURROGATES = [
    ("super", 5.0),
    ("triangle", 0.5),
    ("tanh", 1.5),
    ("heavi_erfc", 1.0),
]
SINABS = {
    "IAF": _some(subtracts=[False, True]),
    "LIF": _some(
        tau_mem=[3.0, 20.0],
        train_alphas=[False, True],
        norm_input=[False, True],
        subtracts=[False, True],
    ),
    "LIFRecurrent": _some(tau_mem=[8.0], norm_input=[False], subtracts=[True]),
}
SINABS_SURROGATES = [("SingleExponential", 0.5, 1.0), ("Gaussian", 0.0, 0.4, 0.8)]

SIMULATORS = {
    "snntorch": (SNNTORCH, SNNTORCH_SURROGATES, ["container", "loop"]),
    "spikingjelly": (SPIKINGJELLY, SPIKINGJELLY_SURROGATES, ["s", "m"]),
    "norse": (NORSE, NORSE_SURROGATES, ["container"]),
    "sinabs": (SINABS, SINABS_SURROGATES, ["container"]),
}


@st.composite
def networks(draw: st.DrawFn, simulator: str) -> Drawn:
    """Draw a network of a simulator."""
    kinds, surrogates, forms = SIMULATORS[simulator]
    kind = draw(st.sampled_from([*kinds]))
    form = draw(st.sampled_from(forms))
    is_flat = "ecurrent" in kind or kind == "RLeaky"
    shapes = ["dense", "deep"] if is_flat else ["dense", "deep", "conv", "pool"]
    return Drawn(
        simulator,
        kind,
        draw(kinds[kind]),
        draw(st.sampled_from(surrogates)),
        draw(st.sampled_from(shapes)),
        form,
        steps=draw(st.integers(1, 12)),
        batch=draw(st.integers(1, 5)),
        double=draw(st.booleans()),
        seed=draw(st.integers(0, 2**16)),
    )


def built(drawn: Drawn) -> nn.Module:
    """Make a network with random weights."""
    torch.manual_seed(drawn.seed)
    neuron = NEURONS[drawn.simulator](drawn)
    layers = LAYERS.get(drawn.simulator, plain_layers)(drawn)
    sizes = {"dense": [17, 19, 5], "deep": [17, 13, 11, 5]}
    modules: list[nn.Module] = []
    if drawn.shape in sizes:
        widths = sizes[drawn.shape]
        for number, (n_in, n_out) in enumerate(pairwise(widths)):
            made = neuron(n_out, number == len(widths) - 2)
            # Recurrent neurons may have input weights of their own.
            if not hasattr(made, "input_weights"):
                modules.append(layers.Linear(n_in, n_out))
            modules.append(made)
    elif drawn.shape == "conv":
        modules = [
            layers.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
            neuron(0, False),
            layers.Flatten(),
            layers.Linear(80, 5),
            neuron(5, True),
        ]
    else:
        modules = [
            layers.Conv2d(2, 3, (3, 2), padding=1, bias=False),
            neuron(0, False),
            layers.AvgPool2d(2),
            layers.Conv2d(3, 4, 3),
            neuron(0, False),
            layers.Flatten(),
            layers.Linear(16, 5),
            neuron(5, True),
        ]
    return WRAPPERS[drawn.simulator](drawn, louder(modules)).to(drawn.dtype)


def louder(modules: list[nn.Module]) -> list[nn.Module]:
    """Enlarge weights, so that all layers fire."""
    for module in modules:
        for name, parameter in module.named_parameters():
            if "weight" in name:
                parameter.data.mul_(3 if "recurrent" not in name else 1)
    return modules


def plain_layers(drawn: Drawn) -> Any:
    return nn


# snnTorch
# ------------------------------------------------------------------------------


def snntorch_neuron(drawn: Drawn) -> Neuron:
    import snntorch

    name, *constants = drawn.surrogate
    surrogate = getattr(snntorch.surrogate, name)(*constants)

    def neuron(n: int, is_last: bool) -> nn.Module:
        settings = {**dict(drawn.settings), "spike_grad": surrogate}
        if drawn.kind == "RLeaky":
            if settings["all_to_all"]:
                settings["linear_features"] = n
            else:
                settings["V"] = torch.rand(n) - 0.5
        hidden = drawn.form == "container"
        kind = drawn.kind.partition(" ")[0]
        return getattr(snntorch, kind)(
            **settings, init_hidden=hidden, output=hidden and is_last
        )

    return neuron


class Loop(nn.Module):
    """A loop over time, as in snnTorch's tutorials."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes, potentials = [], []
        for layer in self.layers:
            if hasattr(layer, "reset_mem"):
                layer.reset_mem()
        for step in range(len(x)):
            out = x[step]
            for layer in self.layers:
                out = layer(out)
                if isinstance(out, tuple):
                    out, *_, potential = out
            spikes.append(out)
            potentials.append(potential)
        return torch.stack(spikes), torch.stack(potentials)


def snntorch_model(drawn: Drawn, modules: list[nn.Module]) -> nn.Module:
    return nn.Sequential(*modules) if drawn.form == "container" else Loop(modules)


# SpikingJelly
# ------------------------------------------------------------------------------


def spikingjelly_neuron(drawn: Drawn) -> Neuron:
    from spikingjelly.activation_based import layer, neuron, surrogate

    name, *constants = drawn.surrogate
    made_surrogate = getattr(surrogate, name)(*constants)

    def made(n: int, is_last: bool) -> nn.Module:
        settings = dict(drawn.settings)
        detaches = settings.pop("detach_reset")
        kind = "LIFNode" if drawn.kind == "recurrent" else drawn.kind
        node = getattr(neuron, kind)(**settings, surrogate_function=made_surrogate)
        node.detach_reset = detaches
        if drawn.kind == "recurrent" and not is_last:
            return layer.LinearRecurrentContainer(node, n, n, step_mode=drawn.form)
        node.step_mode = drawn.form
        return node

    return made


def spikingjelly_layers(drawn: Drawn) -> Any:
    from spikingjelly.activation_based import layer

    class Layers:
        """Layers with the step mode of the network."""

        def __getattr__(self, name: str) -> Any:
            return lambda *a, **k: getattr(layer, name)(*a, **k, step_mode=drawn.form)

    return Layers()


def spikingjelly_model(drawn: Drawn, modules: list[nn.Module]) -> nn.Module:
    if drawn.kind == "recurrent":
        # The container has input weights of its own; neurons are needed before it.
        node = spikingjelly_neuron(drawn)
        spaced: list[nn.Module] = []
        for module in modules:
            if type(module).__name__ == "LinearRecurrentContainer":
                spaced.append(node(0, True))
            spaced.append(module)
        modules = spaced
    return nn.Sequential(*modules)


# Norse
# ------------------------------------------------------------------------------


def norse_neuron(drawn: Drawn) -> Neuron:
    import norse.torch as norse
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.functional.lif import LIFParameters
    from norse.torch.functional.lif_box import LIFBoxParameters

    method, alpha = drawn.surrogate
    constants = {key: torch.tensor(value) for key, value in drawn.settings}
    constants |= {"method": method, "alpha": torch.tensor(alpha)}
    parameters = {"LIFBoxCell": LIFBoxParameters, "IAFCell": IAFParameters}.get(
        drawn.kind, LIFParameters
    )(**constants)

    def neuron(n: int, is_last: bool) -> nn.Module:
        kinds = {**vars(norse), **vars(norse.module)}
        if "Recurrent" not in drawn.kind:
            return kinds[drawn.kind](p=parameters)
        if is_last:
            return norse.LICell()
        return kinds[drawn.kind](17 if n != 11 else 13, n, p=parameters)

    return neuron


def norse_model(drawn: Drawn, modules: list[nn.Module]) -> nn.Module:
    import norse.torch as norse

    if drawn.kind == "LIF" and drawn.shape in ("conv", "pool"):
        layers = [
            norse.Lift(module)
            if isinstance(module, nn.Conv2d | nn.AvgPool2d)
            else nn.Flatten(2)
            if isinstance(module, nn.Flatten)
            else module
            for module in modules
        ]
        return norse.SequentialState(*layers)
    return norse.SequentialState(*modules)


# Sinabs
# ------------------------------------------------------------------------------


def sinabs_neuron(drawn: Drawn) -> Neuron:
    import sinabs.activation as activation
    import sinabs.layers as layers

    name, *constants = drawn.surrogate

    def neuron(n: int, is_last: bool) -> nn.Module:
        settings = dict(drawn.settings)
        subtracts = settings.pop("subtracts")
        settings["reset_fn"] = (
            activation.MembraneSubtract() if subtracts else activation.MembraneReset()
        )
        if "Recurrent" in drawn.kind:
            settings["rec_connect"] = nn.Linear(n, n, bias=False)
        return getattr(layers, drawn.kind)(
            **settings,
            spike_fn=activation.SingleSpike,
            surrogate_grad_fn=getattr(activation, name)(*constants),
        )

    return neuron


def sinabs_model(drawn: Drawn, modules: list[nn.Module]) -> nn.Module:
    import sinabs.layers as layers

    repeated = nn.Conv2d | nn.AvgPool2d | nn.Flatten
    return nn.Sequential(
        *(
            layers.Repeat(module) if isinstance(module, repeated) else module
            for module in modules
        )
    )


NEURONS = {
    "snntorch": snntorch_neuron,
    "spikingjelly": spikingjelly_neuron,
    "norse": norse_neuron,
    "sinabs": sinabs_neuron,
}
LAYERS = {"spikingjelly": spikingjelly_layers}
WRAPPERS: dict[str, Callable[[Drawn, list[nn.Module]], nn.Module]] = {
    "snntorch": snntorch_model,
    "spikingjelly": spikingjelly_model,
    "norse": norse_model,
    "sinabs": sinabs_model,
}


def simulated(drawn: Drawn, model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Run a network with its simulator; spikes, or spikes and potentials."""
    if drawn.simulator == "snntorch" and drawn.form == "container":
        for module in model:
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        spikes, potentials = zip(*map(model, x), strict=True)
        return torch.stack(spikes), torch.stack(potentials)
    if drawn.simulator == "spikingjelly":
        from spikingjelly.activation_based.functional import reset_net

        reset_net(model)
        return (model(x) if drawn.form == "m" else torch.stack([*map(model, x)]),)
    if drawn.simulator == "norse":
        if drawn.kind == "LIF":
            return (model(x)[0],)
        outputs, state = [], None
        for step in x:
            out, state = model(step, state)
            outputs.append(out)
        return (torch.stack(outputs),)
    out = model(x)
    return out if isinstance(out, tuple) else (out,)
