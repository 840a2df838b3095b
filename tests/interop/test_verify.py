"""`spikejoule.verify` and `price_graph` on graphs that the simulators export.

They are exported by the recipes of the how-to page.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.energy.from_graph import price_graph
from spikejoule.nir.conventions import Conventions
from tests.interop.networks import CASES, NORSE_DT, Case, made
from tests.tools.pages import names_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "price-any-nir-graph.md"


def recipe(simulator: str) -> tuple[Callable[[Any, Tensor], Any], Conventions]:
    """How a simulator exports a graph, and how this graph is run."""
    if simulator == "sinabs":  # the page has no recipe
        from sinabs.nir import to_nir

        given = Conventions(dt=1.0, reset="subtract", comparison="ge")
        return to_nir, replace(given, current="same_step", initial="zero")
    names = names_in(PAGE, f"from_{simulator}.py")
    given = replace(names["GIVEN"], current="same_step", initial="zero")
    if simulator == "norse":
        names["DT"] = NORSE_DT
        given = replace(given, dt=NORSE_DT)
    return names["graph_of"], given


def expand_constants(model: nn.Module) -> None:
    """Give each snnTorch neuron constants of its own, as snnTorch's exporter needs."""
    from snntorch import SpikingNeuron

    for module in model.modules():
        if not isinstance(module, SpikingNeuron):
            continue
        for name in ("alpha", "beta", "threshold"):
            if hasattr(module, name):
                constant = getattr(module, name).detach()
                delattr(module, name)
                expanded = constant.expand(module.mem.shape[1:]).clone()
                module.register_buffer(name, expanded)


def exported(case: Case, model: Any, samples: Tensor) -> tuple[Any, Conventions]:
    """The graph of a network, and how it is run."""
    graph_of, given = recipe(case.simulator)
    sample = samples[:1] if case.time_axis == "none" else samples[:1, :1]
    if case.simulator == "sinabs":
        model(samples)
        return graph_of(model, sample), given
    if case.simulator == "snntorch":
        model(samples[0] if case.stepwise else samples)
        expand_constants(model)
    takes_steps = case.simulator == "spikingjelly" and not case.stepwise
    return graph_of(model, sample if takes_steps else sample[0]), given


JELLY = ("IF", "LIF", "LIF without decay of the input", "PLIF", "CUBALIF")
SAME = {
    "snntorch: Leaky zero delayed",
    "snntorch: Leaky zero at once",
    "norse: LIFBoxCell",
    *(f"spikingjelly: {name} {mode}" for mode in "sm" for name in JELLY),
    "spikingjelly: SEW ADD",
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_graph_is_the_same_network_or_said_not_to_be(name: str) -> None:
    """A graph that is the same network also has the same operations."""
    with torch.enable_grad():
        case, model, samples = made(name)
    try:
        graph, given = exported(case, model, samples)
    except Exception:  # not every network can be exported
        assert name not in SAME
        return
    axis = case.time_axis
    try:
        found = spikejoule.verify(model, graph, samples, given, time_axis=axis)
    except SpikejouleError:
        assert name not in SAME
        return
    # The last layer of some small networks never fires, and is named as not compared.
    fires = any(layer.spikes for layer in found.layers)
    agrees = found.first is None and fires and not found.absent
    assert agrees == (name in SAME), str(found)
    if agrees:
        report = spikejoule.price(model, samples, time_axis=axis, progress=False)
        by_sample = samples.transpose(0, 1 - axis).flatten(2)
        events = EventList.from_dense(by_sample.numpy() != 0)
        ours = report.analysis.inputs.operations
        theirs = price_graph(graph, events, given).inputs.operations
        for term in {column.term for column in (*ours.columns, *theirs.columns)}:
            equal = ours.of(term).sum(axis=1) == theirs.of(term).sum(axis=1)
            assert equal.all(), term


OTHERWISE: dict[str, tuple[dict[str, Any], bool]] = {
    "spikingjelly: IF m": ({"dt": 5e-5}, False),
    "spikingjelly: CUBALIF m": ({"current": "next_step"}, False),
    "sinabs: IAF single spikes": ({"reset": "zero"}, True),
    "sinabs: IAF": ({}, False),
    "sinabs: LIF normalised": ({}, False),
}


@pytest.mark.parametrize("name", OTHERWISE)
@torch.no_grad()
def test_a_graph_that_is_run_in_another_way(name: str) -> None:
    case, model, samples = made(name)
    changes, is_same = OTHERWISE[name]
    graph, given = exported(case, model, samples)
    found = spikejoule.verify(
        model, graph, samples, replace(given, **changes), time_axis=case.time_axis
    )
    assert found.same == is_same, str(found)


N_SAMPLES = 12
STEPS = 20
N_IN = 30
N_OUT = 10


def snn(kind: str, *shape: int, **options: Any) -> nn.Module:
    """Neurons of snnTorch as its exporter takes them, by default reset to zero."""
    import snntorch

    constants = {
        "beta": torch.full(shape, options.pop("beta", 0.5)),
        "threshold": torch.ones(shape),
    }
    if kind == "Synaptic":
        constants["alpha"] = torch.full(shape, 0.5)
    bias = options.pop("bias", 0.0)
    settings = {"reset_mechanism": "zero", "init_hidden": True, **options}
    if kind == "RLeaky":
        settings["linear_features"] = shape[0]
    neurons: nn.Module = getattr(snntorch, kind)(**constants, **settings)
    if kind == "RLeaky":
        nn.init.constant_(neurons.recurrent.bias, bias)  # type: ignore[arg-type, union-attr]
    return neurons


def dense(kind: str = "Leaky", **options: Any) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Linear(N_IN, 40), snn(kind, 40, **options)]


def convolution() -> list[nn.Module]:
    conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
    return [conv, snn("Leaky", 6, 6, 6), nn.AvgPool2d(2), nn.Flatten()]


# Hidden layers, and whether snnTorch's exporter keeps all that they do.
EXPORTED: dict[str, tuple[Callable[[], list[nn.Module]], bool]] = {
    "beta is 1": (dense(beta=1.0), True),
    "convolution": (convolution, True),
    "default reset": (dense(reset_mechanism="subtract"), False),
    "subtracts at once": (
        dense(reset_mechanism="subtract", reset_delay=False),
        False,
    ),
    "Synaptic": (dense("Synaptic", reset_delay=False), True),
    "Synaptic, delayed": (dense("Synaptic"), False),
    "recurrent": (dense("RLeaky", reset_delay=False), True),
    "recurrent with a bias": (dense("RLeaky", reset_delay=False, bias=0.25), False),
}


@pytest.mark.parametrize("name", EXPORTED)
@torch.no_grad()
def test_what_snntorchs_exporter_drops_is_found(name: str) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    make, is_same = EXPORTED[name]
    torch.manual_seed(3)
    hidden = make()
    is_dense = isinstance(hidden[0], nn.Linear)
    shape = (N_IN,) if is_dense else (2, 12, 12)
    readout = nn.Linear(40 if is_dense else 54, N_OUT)
    network = nn.Sequential(*hidden, readout, snn("Leaky", N_OUT))
    for values in network.parameters():
        if values.dim() > 1:  # sums are exact in any order, and all layers fire
            drawn = torch.randn(values.shape) * 3 / values[0].numel() ** 0.5
            values.copy_(torch.round(256 * drawn) / 256)
    graph_of, given = recipe("snntorch")
    graph = graph_of(network, torch.zeros(1, *shape))
    spikes = (torch.rand(STEPS, N_SAMPLES, *shape) < 0.15).float()
    found = spikejoule.verify(network, graph, spikes, given, time_axis=0)
    assert all(layer.spikes > 50 for layer in found.layers), str(found)
    assert found.same == is_same, str(found)
