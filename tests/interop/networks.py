"""Sixty networks of four simulators, small, with random weights."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.interop.recorded_loop import N, T

# Inputs, neurons and classes of dense networks.
F, H, C = 11, 13, 3
# What convolutions take.
PLANE = (2, 8, 8)
# Seconds of a step.
NORSE_DT = 0.003


@dataclass(frozen=True)
class Case:
    """A network and how it is run.

    Attributes:
        simulator: the package that it needs.
        make: builds it.
        shape: of one sample and step.
        time_axis: as of `spikejoule.price`.
        currents: whether the input is no spikes.
        training: whether it runs in training mode.
        values: layers, or neurons, with graded spikes.
        recurrent: synapses of a spike through a neuron's own weights.
        skipped: layers within neurons.
        inputs: of neurons with weights of their own for what they take, the synapses of
            a unit.
        dtype: of its weights.
        stepwise: whether the model takes one step after the other.
    """

    simulator: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (F,)
    time_axis: Any = 0
    currents: bool = False
    training: bool = False
    values: frozenset[str] = frozenset()
    recurrent: dict[str, int] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    inputs: dict[str, int] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    stepwise: bool = False

    def samples(self) -> Tensor:
        """[T, N, ...], [N, T, ...] or [N, ...]."""
        lead = {0: (T, N), 1: (N, T), "none": (N,)}[self.time_axis]
        drawn = torch.rand(*lead, *self.shape)
        return drawn * (drawn < 0.5) if self.currents else (drawn < 0.4).float()


def together(**modules: nn.Module) -> OrderedDict[str, nn.Module]:
    return OrderedDict(modules)


def louder(model: nn.Module, by: float = 3.0) -> nn.Module:
    """With weights that make all layers fire."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.weight.data.mul_(by)
    return model


def dense(
    neuron: Callable[[int], nn.Module], last: nn.Module | None = None
) -> nn.Module:
    return nn.Sequential(
        together(
            fc1=nn.Linear(F, H),
            lif1=neuron(H),
            fc2=nn.Linear(H, C),
            lif2=last or neuron(C),
        )
    )


def convolutional(
    neuron: Callable[[], nn.Module],
    between: dict[str, nn.Module] | None = None,
    conv2d: Any = nn.Conv2d,
    flatten: Any = nn.Flatten,
    before: bool = False,
    **conv: Any,
) -> nn.Module:
    """A convolution, neurons, what is between (or before the neurons), and a dense
    layer.
    """
    layer = conv2d(2, 4, **{"kernel_size": 3, **conv})
    first = [("conv", layer), *(between or {}).items()] if before else [("conv", layer)]
    later = [] if before else [*(between or {}).items()]
    body = nn.Sequential(OrderedDict([*first, ("lif1", neuron()), *later]))
    with torch.no_grad():
        plane = torch.zeros(1, *PLANE)
        for name, module in body.named_children():
            plane = (
                plane
                if name == "lif1" or hasattr(module, "surrogate")
                else module(plane)
            )
    body.add_module("flat", flatten())
    body.add_module("fc", nn.Linear(plane.numel(), C))
    body.add_module("lif2", neuron())
    return body


# snnTorch
# ------------------------------------------------------------------------------


def snn(kind: str, **settings: Any) -> Callable[..., nn.Module]:
    def neuron(n: int = 0) -> nn.Module:
        import snntorch

        own = (
            {"linear_features": n}
            if kind.startswith("R")
            and "all_to_all" not in settings
            and ("conv2d_channels" not in settings)
            else {}
        )
        return getattr(snntorch, kind)(
            **{"beta": 0.8, "init_hidden": True, **own, **settings}
        )

    return neuron


leaky = partial(snn, "Leaky")


class LoopInside(nn.Module):
    """A model that takes an image, and makes the steps itself, as snnTorch's tutorials
    do.
    """

    def __init__(self, once: bool = False) -> None:
        super().__init__()
        from snntorch import Leaky

        self.fc1, self.lif1 = nn.Linear(F, H), Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(H, C), Leaky(beta=0.9, reset_mechanism="zero")
        self.once = once

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        steps = x if x.ndim == 3 else [x] * T
        current = self.fc1(steps[0])
        found = []
        for step, inputs in enumerate(steps):
            if step > 0 and not self.once:
                current = self.fc1(inputs)
            spikes, mem1 = self.lif1(current, mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            found.append(spikes)
        return torch.stack(found)


def of_snntorch() -> dict[str, Case]:
    def case(make: Callable[[], nn.Module], **settings: Any) -> Case:
        return Case("snntorch", make, **{"stepwise": True, **settings})

    def conv(neuron: Any = None, **settings: Any) -> Case:
        return case(partial(convolutional, neuron or leaky(), **settings), shape=PLANE)

    found = {
        f"Leaky {reset} {'delayed' if delay else 'at once'}": case(
            partial(dense, leaky(reset_mechanism=reset, reset_delay=delay))
        )
        for reset in ("subtract", "zero", "none")
        for delay in (True, False)
    }
    own = {"lif1": H, "lif2": C}
    inner = frozenset({"lif1.recurrent", "lif2.recurrent"})
    direct = {"time_axis": "none", "currents": True, "stepwise": False}
    return found | {
        "Leaky beta 1": case(partial(dense, leaky(beta=1.0))),
        "Leaky beta by neuron": case(
            lambda: dense(lambda n: leaky(beta=torch.rand(n))(n))
        ),
        "Leaky graded 2": case(
            partial(dense, leaky(graded_spikes_factor=2.0)),
            values=frozenset({"fc2", "lif1", "lif2"}),
        ),
        "Synaptic": case(partial(dense, snn("Synaptic", alpha=0.7))),
        "Alpha": case(partial(dense, snn("Alpha", alpha=0.9))),
        "Lapicque": case(partial(dense, snn("Lapicque"))),
        "RLeaky": case(partial(dense, snn("RLeaky")), recurrent=own, skipped=inner),
        "RLeaky one to one": case(
            partial(dense, snn("RLeaky", all_to_all=False, V=0.5)),
            recurrent={"lif1": 1, "lif2": 1},
        ),
        "RSynaptic": case(
            partial(dense, snn("RSynaptic", alpha=0.5)), recurrent=own, skipped=inner
        ),
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
        "max pooling of spikes": conv(between={"pool": nn.MaxPool2d(2)}),
        "average pooling of spikes": conv(between={"pool": nn.AvgPool2d(3, 2)}),
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
    """A block of SEW ResNet: what its neurons give is added to what it took, or ANDed
    with it.
    """

    def __init__(self, neuron: Callable[[], nn.Module], is_and: bool) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(F, H), neuron()
        self.fc2, self.lif2 = nn.Linear(H, H), neuron()
        self.fc3, self.lif3, self.is_and = nn.Linear(H, C), neuron(), is_and

    def forward(self, x: Tensor) -> Tensor:
        first = self.lif1(self.fc1(x))
        second = self.lif2(self.fc2(first))
        return self.lif3(self.fc3(first * second if self.is_and else first + second))


def jelly(kind: str, mode: str = "s", **settings: Any) -> Callable[..., nn.Module]:
    def neuron(n: int = 0) -> nn.Module:
        from spikingjelly.activation_based import neuron as neurons

        found = getattr(neurons, kind)(**settings)
        found.step_mode = mode
        return found

    return neuron


def recurrent_container(kind: str, mode: str) -> nn.Module:
    from spikingjelly.activation_based import layer

    neuron = jelly("LIFNode", tau=1.5)()
    if kind == "Linear":
        inner: nn.Module = nn.Sequential(together(fc=nn.Linear(H, H), lif=neuron))
        body = layer.LinearRecurrentContainer(inner, H, H, step_mode=mode)
    else:
        body = layer.ElementWiseRecurrentContainer(
            neuron, lambda y, x: x + y, step_mode=mode
        )
    last = jelly("LIFNode", mode, tau=1.5)()
    return nn.Sequential(
        together(
            fc1=nn.Linear(F, H),
            lif0=jelly("LIFNode", mode, tau=1.5)(),
            body=body,
            fc2=nn.Linear(H, C),
            lif2=last,
        )
    )


def multi_step(**conv: Any) -> nn.Module:
    from spikingjelly.activation_based import layer

    neuron = jelly("LIFNode", "m", tau=1.5)
    return nn.Sequential(
        together(
            conv=layer.Conv2d(2, 4, 3, step_mode="m", **conv),
            norm=layer.BatchNorm2d(4, step_mode="m"),
            lif1=neuron(),
            pool=layer.MaxPool2d(2, step_mode="m"),
            flat=layer.Flatten(step_mode="m"),
            fc=layer.Linear(conv.pop("n", 64), C, step_mode="m"),
            lif2=neuron(),
        )
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
    found = {
        f"{name} {mode}": case(
            partial(dense, jelly(kind, mode, **settings)), stepwise=mode == "s"
        )
        for name, (kind, settings) in kinds.items()
        for mode in "sm"
    }
    lif = jelly("LIFNode", tau=1.5)
    body = {
        "recurrent": {"body": H},
        "skipped": frozenset({"body.rc"}),
        "inputs": {"body": H},
    }
    return found | {
        "multi-step convolution": case(partial(multi_step, padding=1), shape=PLANE),
        "multi-step groups": case(
            partial(multi_step, padding=1, groups=2), shape=PLANE
        ),
        "LIF bfloat16": case(
            partial(dense, jelly("LIFNode", "m")), dtype=torch.bfloat16
        ),
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
    from norse.torch import module

    found = getattr(module, kind, None)
    if found is None:
        import norse.torch

        found = getattr(norse.torch, kind)
    return found(*sizes, dt=NORSE_DT, **settings)


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

    found = {
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
    return found | {
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

        given = dict(settings)
        if given.pop("single", False):
            given |= {
                "spike_fn": sinabs.activation.SingleSpike,
                "reset_fn": sinabs.activation.MembraneReset(),
            }
        if kind.endswith("Recurrent"):
            given["rec_connect"] = nn.Sequential(
                together(flat=nn.Flatten(), rec=nn.Linear(n, n))
            )
        if kind.endswith("Squeeze"):
            given["num_timesteps"] = T
        return getattr(sinabs.layers, kind)(**given)

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
    found = {
        name: case(partial(dense, sinabs(kind, **settings)))
        for name, (kind, settings) in kinds.items()
    }
    readout = sinabs("ExpLeak", tau_mem=5.0)
    return found | {
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
    """A case, its network with weights that make all layers fire, and samples."""
    case = CASES[name]
    pytest.importorskip(case.simulator, reason="needs the extra interop")
    torch.manual_seed(1)
    model = louder(case.make()).to(case.dtype).train(case.training)
    return case, model, case.samples()
