"""Small networks of four simulators, with random weights."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.interop.recorded_loop import N, T

# Inputs, hidden neurons and classes of dense networks.
F = 11
H = 13
C = 3
# The input of convolutions.
PLANE = (2, 8, 8)
# Seconds of a step.
NORSE_DT = 0.003


@dataclass(frozen=True)
class Case:
    """A network, and how it runs.

    Attributes:
        simulator: the package that it needs.
        make: builds it.
        shape: of one sample and step.
        time_axis: as for `spikejoule.price`.
        currents: whether the input is real numbers.
        training: whether it runs in training mode.
        values: layers and neurons with graded spikes.
        recurrent: by neurons with recurrent weights, the synapses a spike reaches.
        inputs: by neurons with input weights, the synapses an input unit reaches.
        stepwise: whether the model takes one step after another.
    """

    simulator: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (F,)
    time_axis: Any = 0
    currents: bool = False
    training: bool = False
    values: frozenset[str] = frozenset()
    recurrent: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    stepwise: bool = False

    def samples(self) -> Tensor:
        """Samples [T, N, ...], [N, T, ...] or [N, ...]."""
        leading = {0: (T, N), 1: (N, T), "none": (N,)}[self.time_axis]
        drawn = torch.rand(*leading, *self.shape)
        return drawn * (drawn < 0.5) if self.currents else (drawn < 0.4).float()


def chain(**modules: nn.Module) -> nn.Module:
    """Modules in sequence, by name."""
    return nn.Sequential(OrderedDict(modules))


def louder(model: nn.Module) -> nn.Module:
    """The model with larger weights, which make all layers fire."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.weight.data.mul_(3)
    return model


def dense(
    neuron: Callable[[int], nn.Module], last: nn.Module | None = None
) -> nn.Module:
    return chain(
        fc1=nn.Linear(F, H),
        lif1=neuron(H),
        fc2=nn.Linear(H, C),
        lif2=last or neuron(C),
    )


def convolutional(
    neuron: Callable[[], nn.Module],
    between: dict[str, nn.Module] | None = None,
    before: bool = False,
    **conv: Any,
) -> nn.Module:
    """A convolution, neurons, and a dense layer.

    Args:
        neuron: makes neurons.
        between: modules after the neurons.
        before: whether these come before the neurons instead.
        conv: settings of the convolution.
    """
    layer = nn.Conv2d(2, 4, **{"kernel_size": 3, **conv})
    others = between or {}
    modules = {"conv": layer, **others} if before else {"conv": layer}
    modules["lif1"] = neuron()
    modules |= others
    body = nn.Sequential(OrderedDict(modules))
    with torch.no_grad():
        plane = torch.zeros(1, *PLANE)
        for name, module in body.named_children():
            if name != "lif1":
                plane = module(plane)
    body.add_module("flat", nn.Flatten())
    body.add_module("fc", nn.Linear(plane.numel(), C))
    body.add_module("lif2", neuron())
    return body


# snnTorch
# ------------------------------------------------------------------------------


def snn(kind: str, **settings: Any) -> Callable[..., nn.Module]:
    def neuron(n: int = 0) -> nn.Module:
        import snntorch

        options = {"beta": 0.8, "init_hidden": True, **settings}
        if kind.startswith("R") and "all_to_all" not in settings:
            options["linear_features"] = n
        return getattr(snntorch, kind)(**options)

    return neuron


leaky = partial(snn, "Leaky")


class LoopInside(nn.Module):
    """A model that makes the steps itself, as in snnTorch's tutorials."""

    def __init__(self, once: bool = False) -> None:
        super().__init__()
        from snntorch import Leaky

        self.fc1 = nn.Linear(F, H)
        self.lif1 = Leaky(beta=0.9)
        self.fc2 = nn.Linear(H, C)
        self.lif2 = Leaky(beta=0.9, reset_mechanism="zero")
        self.once = once

    def forward(self, x: Tensor) -> Tensor:
        mem1 = self.lif1.reset_mem()
        mem2 = self.lif2.reset_mem()
        steps = x if x.ndim == 3 else [x] * T
        current = self.fc1(steps[0])
        output = []
        for step, inputs in enumerate(steps):
            if step > 0 and not self.once:
                current = self.fc1(inputs)
            spikes, mem1 = self.lif1(current, mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            output.append(spikes)
        return torch.stack(output)


def of_snntorch() -> dict[str, Case]:
    def case(make: Callable[[], nn.Module], **settings: Any) -> Case:
        return Case("snntorch", make, **{"stepwise": True, **settings})

    def conv(neuron: Any = None, **settings: Any) -> Case:
        return case(partial(convolutional, neuron or leaky(), **settings), shape=PLANE)

    resets = {
        f"Leaky {reset} {'delayed' if delay else 'at once'}": case(
            partial(dense, leaky(reset_mechanism=reset, reset_delay=delay))
        )
        for reset in ("subtract", "zero", "none")
        for delay in (True, False)
    }
    at_once = {"reset_mechanism": "zero", "reset_delay": False}
    own = {"lif1": H, "lif2": C}
    direct = {"time_axis": "none", "currents": True, "stepwise": False}

    def unbiased(n: int) -> Any:
        neuron: Any = snn("RLeaky", **at_once)(n)
        nn.init.zeros_(neuron.recurrent.bias)
        return neuron

    return resets | {
        "Leaky beta 1": case(partial(dense, leaky(beta=1.0, **at_once))),
        "Leaky beta by neuron": case(
            lambda: dense(lambda n: leaky(beta=torch.rand(n))(n))
        ),
        "Leaky graded 2": case(
            partial(dense, leaky(graded_spikes_factor=2.0)),
            values=frozenset({"fc2", "lif1", "lif2"}),
        ),
        "Synaptic": case(partial(dense, snn("Synaptic", alpha=0.7))),
        "Synaptic at once": case(partial(dense, snn("Synaptic", alpha=0.7, **at_once))),
        "Alpha": case(partial(dense, snn("Alpha", alpha=0.9))),
        "Lapicque": case(partial(dense, snn("Lapicque"))),
        "RLeaky": case(partial(dense, snn("RLeaky")), recurrent=own),
        "RLeaky at once": case(partial(dense, snn("RLeaky", **at_once)), recurrent=own),
        "RLeaky without bias": case(partial(dense, unbiased), recurrent=own),
        "RLeaky one to one": case(
            partial(dense, snn("RLeaky", all_to_all=False, V=0.5)),
            recurrent={"lif1": 1, "lif2": 1},
        ),
        "RSynaptic": case(partial(dense, snn("RSynaptic", alpha=0.5)), recurrent=own),
        "loop inside": case(LoopInside, stepwise=False),
        "direct encoding": case(LoopInside, **direct),
        "direct encoding, once": case(partial(LoopInside, True), **direct),
        "currents in time": case(partial(dense, leaky()), currents=True),
        "circular": conv(padding=1, padding_mode="circular"),
        "reflect": conv(padding=2, padding_mode="reflect"),
        "replicate, stride": conv(padding=1, padding_mode="replicate", stride=2),
        "same": conv(kernel_size=4, padding="same"),
        "groups, dilation": conv(groups=2, dilation=2, padding=1, bias=False),
        "max pooling of currents": conv(between={"pool": nn.MaxPool2d(2)}, before=True),
        "average pooling of spikes": conv(
            leaky(**at_once), between={"pool": nn.AvgPool2d(3, 2)}
        ),
        "batch norm": conv(between={"norm": nn.BatchNorm2d(4)}, before=True),
        "dropout": conv(between={"drop": nn.Dropout(0.5)}),
        "dropout in training": case(
            partial(convolutional, leaky(), between={"drop": nn.Dropout(0.5)}),
            shape=PLANE,
            training=True,
            values=frozenset({"fc"}),
        ),
    }


# SpikingJelly
# ------------------------------------------------------------------------------


class Residual(nn.Module):
    """A SEW ResNet block: its spikes are added to its input's, or ANDed with them."""

    def __init__(self, neuron: Callable[[], nn.Module], is_and: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(F, H)
        self.lif1 = neuron()
        self.fc2 = nn.Linear(H, H)
        self.lif2 = neuron()
        self.fc3 = nn.Linear(H, C)
        self.lif3 = neuron()
        self.is_and = is_and

    def forward(self, x: Tensor) -> Tensor:
        first = self.lif1(self.fc1(x))
        second = self.lif2(self.fc2(first))
        return self.lif3(self.fc3(first * second if self.is_and else first + second))


def jelly(kind: str, mode: str = "s", **settings: Any) -> Callable[..., nn.Module]:
    def neuron(n: int = 0) -> nn.Module:
        from spikingjelly.activation_based import neuron as neurons

        node: nn.Module = getattr(neurons, kind)(**settings)
        node.step_mode = mode
        return node

    return neuron


def recurrent_container(kind: str, mode: str) -> nn.Module:
    from spikingjelly.activation_based import layer

    neuron = jelly("LIFNode", tau=1.5)()
    if kind == "Linear":
        inner = chain(fc=nn.Linear(H, H), lif=neuron)
        body = layer.LinearRecurrentContainer(inner, H, H, step_mode=mode)
    else:
        body = layer.ElementWiseRecurrentContainer(
            neuron, lambda y, x: x + y, step_mode=mode
        )
    last = jelly("LIFNode", mode, tau=1.5)()
    return chain(
        fc1=nn.Linear(F, H),
        lif0=jelly("LIFNode", mode, tau=1.5)(),
        body=body,
        fc2=nn.Linear(H, C),
        lif2=last,
    )


def multi_step() -> nn.Module:
    from spikingjelly.activation_based import layer

    neuron = jelly("LIFNode", "m", tau=1.5)
    return chain(
        conv=layer.Conv2d(2, 4, 3, padding=1, step_mode="m", groups=2),
        norm=layer.BatchNorm2d(4, step_mode="m"),
        lif1=neuron(),
        pool=layer.MaxPool2d(2, step_mode="m"),
        flat=layer.Flatten(step_mode="m"),
        fc=layer.Linear(64, C, step_mode="m"),
        lif2=neuron(),
    )


def of_spikingjelly() -> dict[str, Case]:
    def case(make: Callable[[], nn.Module], **settings: Any) -> Case:
        return Case("spikingjelly", make, **settings)

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "IF": ("IFNode", {}),
        "LIF": ("LIFNode", {"tau": 1.8}),
        "LIF soft reset": ("LIFNode", {"tau": 1.8, "v_reset": None}),
        "LIF without decay of the input": (
            "LIFNode",
            {"tau": 2.0, "decay_input": False},
        ),
        "PLIF": ("ParametricLIFNode", {"init_tau": 1.5}),
        "CUBALIF": ("CUBALIFNode", {"c_decay": 0.3}),
    }
    plain = {
        f"{name} {mode}": case(
            partial(dense, jelly(kind, mode, **settings)), stepwise=mode == "s"
        )
        for name, (kind, settings) in kinds.items()
        for mode in "sm"
    }
    lif = jelly("LIFNode", tau=1.5)
    body = {
        "recurrent": {"body": H},
        "inputs": {"body": H},
    }
    return plain | {
        "multi-step groups": case(multi_step, shape=PLANE),
        "SEW ADD": case(partial(Residual, lif, False), stepwise=True),
        "SEW AND": case(partial(Residual, jelly("LIFNode", "m", tau=1.5), True)),
        "element-wise feedback": case(
            partial(recurrent_container, "ElementWise", "s"), stepwise=True
        ),
        "linear feedback s": case(
            partial(recurrent_container, "Linear", "s"), stepwise=True, **body
        ),
        "linear feedback m": case(partial(recurrent_container, "Linear", "m"), **body),
    }


# Norse
# ------------------------------------------------------------------------------


def norse(kind: str, *sizes: int, **settings: Any) -> nn.Module:
    import norse.torch

    # Not every class is exported by the package itself.
    kinds = {**vars(norse.torch), **vars(norse.torch.module)}
    module: nn.Module = kinds[kind](*sizes, dt=NORSE_DT, **settings)
    return module


def sequential(**modules: nn.Module) -> nn.Module:
    import norse.torch

    return norse.torch.SequentialState(*modules.values())


def of_norse() -> dict[str, Case]:
    def case(make: Callable[[], nn.Module], **settings: Any) -> Case:
        return Case("norse", make, **settings)

    def two(kind: str, readout: str = "") -> Case:
        return case(
            lambda: sequential(
                fc1=nn.Linear(F, H),
                lif1=norse(kind),
                fc2=nn.Linear(H, C),
                lif2=norse(readout or kind),
            ),
            stepwise=kind.endswith("Cell"),
        )

    def recurrent(kind: str, **settings: Any) -> Case:
        own = H if settings.get("autapses") else H - 1
        return case(
            lambda: sequential(
                lif1=norse(kind, F, H, **settings),
                fc2=nn.Linear(H, C),
                lif2=norse("LIF" + "Cell" * kind.endswith("Cell")),
            ),
            recurrent={f"{kind} 0": own},
            inputs={f"{kind} 0": H},
            stepwise=kind.endswith("Cell"),
        )

    plain = {
        kind: two(kind)
        for kind in (
            "LIFBoxCell",
            "LIFCell",
            "LIF",
            "LSNNCell",
            "LSNN",
            "LIFRefracCell",
            "IAFCell",
        )
    }
    return plain | {
        "LI readout": two("LIF", "LI"),
        "LICell readout": two("LIFCell", "LICell"),
        "LIFRecurrentCell": recurrent("LIFRecurrentCell"),
        "LIFRecurrent autapses": recurrent("LIFRecurrent", autapses=True),
        "LSNNRecurrent": recurrent("LSNNRecurrent"),
        "LSNNRecurrentCell": recurrent("LSNNRecurrentCell"),
    }


# Sinabs
# ------------------------------------------------------------------------------


def sinabs(kind: str, **settings: Any) -> Callable[..., nn.Module]:
    def neuron(n: int = 0) -> nn.Module:
        import sinabs.activation
        import sinabs.layers

        options = dict(settings)
        if options.pop("single", False):
            options["spike_fn"] = sinabs.activation.SingleSpike
            options["reset_fn"] = sinabs.activation.MembraneReset()
        if kind.endswith("Recurrent"):
            options["rec_connect"] = chain(flat=nn.Flatten(), rec=nn.Linear(n, n))
        if kind.endswith("Squeeze"):
            options["num_timesteps"] = T
        return getattr(sinabs.layers, kind)(**options)

    return neuron


def squeezed(**between: nn.Module) -> nn.Module:
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = convolutional(sinabs("IAFSqueeze"), between, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.flatten(0, 1)).unflatten(0, (N, T))

    return Squeezed()


def of_sinabs() -> dict[str, Case]:
    def case(make: Callable[[], nn.Module], **settings: Any) -> Case:
        return Case("sinabs", make, **{"time_axis": 1, **settings})

    def sum_pooling() -> nn.Module:
        from sinabs.layers import SumPool2d

        return squeezed(pool=SumPool2d(2))

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "IAF": ("IAF", {}),
        "IAF single spikes": ("IAF", {"single": True}),
        "LIF several spikes": ("LIF", {"tau_mem": 5.0, "norm_input": False}),
        "LIF normalised": ("LIF", {"tau_mem": 2.0}),
        "LIF current": ("LIF", {"tau_mem": 5.0, "tau_syn": 3.0, "norm_input": False}),
        "ALIF": ("ALIF", {"tau_mem": 5.0, "tau_adapt": 5.0, "norm_input": False}),
        "LIFRecurrent": ("LIFRecurrent", {"tau_mem": 5.0, "norm_input": False}),
        "IAFRecurrent": ("IAFRecurrent", {}),
    }
    plain = {
        name: case(partial(dense, sinabs(kind, **settings)))
        for name, (kind, settings) in kinds.items()
    }
    readout = sinabs("ExpLeak", tau_mem=5.0)
    return plain | {
        "ExpLeak readout": case(lambda: dense(sinabs("IAF"), readout())),
        "Squeeze": case(squeezed, shape=PLANE),
        "sum pooling": case(sum_pooling, shape=PLANE),
    }


CASES = {
    f"{case.simulator}: {name}": case
    for cases in (of_snntorch(), of_spikingjelly(), of_norse(), of_sinabs())
    for name, case in cases.items()
}


def made(name: str) -> tuple[Case, Any, Tensor]:
    """A case, its network, and samples."""
    case = CASES[name]
    pytest.importorskip(case.simulator, reason="needs the extra interop")
    torch.manual_seed(1)
    model = louder(case.make()).train(case.training)
    return case, model, case.samples()
