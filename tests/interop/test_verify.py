"""`spikejoule.verify` and `price_graph` on graphs that the simulators themselves
export, by the recipes of the how-to page: no graph is taken for the network that is
not."""

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
    if simulator == "sinabs":  # the page has none
        from sinabs.nir import to_nir

        given = Conventions(dt=1.0, reset="subtract", comparison="ge")
        return to_nir, replace(given, current="same_step", initial="zero")
    names = names_in(PAGE, f"from_{simulator}.py")
    given = replace(names["GIVEN"], current="same_step", initial="zero")
    if simulator == "norse":
        names["DT"] = NORSE_DT
        given = replace(given, dt=NORSE_DT)
    return names["graph_of"], given


def exported(case: Case, model: Any, samples: Tensor) -> tuple[Any, Conventions]:
    """The graph of a network, and how it is run."""
    graph_of, given = recipe(case.simulator)
    sample = samples[:1] if case.time_axis == "none" else samples[:1, :1]
    if case.simulator == "sinabs":
        model(samples)
        return graph_of(model, sample), given
    if case.simulator == "snntorch":
        from snntorch import SpikingNeuron

        model(samples[0] if case.stepwise else samples)
        for module in model.modules():
            for constant in ("alpha", "beta", "threshold"):
                if isinstance(module, SpikingNeuron) and hasattr(module, constant):
                    value = (
                        getattr(module, constant)
                        .detach()
                        .expand(module.mem.shape[1:])
                        .clone()
                    )
                    delattr(module, constant)
                    module.register_buffer(constant, value)
    takes_steps = case.simulator == "spikingjelly" and not case.stepwise
    return graph_of(model, sample if takes_steps else sample[0]), given


SAME = {
    "snntorch: Leaky zero delayed",
    "snntorch: Leaky zero at once",
    "norse: LIFBoxCell",
    *(
        f"spikingjelly: {name} {mode}"
        for mode in "sm"
        for name in ("IF", "LIF", "LIF without decay of the input", "PLIF", "CUBALIF")
    ),
    "spikingjelly: SEW ADD",
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_graph_is_the_network_or_says_why_not(name: str) -> None:
    """Of those that are exported at all; and what is the network takes the same
    operations.
    """
    with torch.enable_grad():
        case, model, samples = made(name)
    try:
        graph, given = exported(case, model, samples)
    except Exception:
        assert name not in SAME
        return
    axis = case.time_axis
    try:
        found = spikejoule.verify(model, graph, samples, given, time_axis=axis)
    except SpikejouleError:
        assert name not in SAME
        return
    # Of some small ones the last layer never fires, and is named as not compared.
    fires = any(layer.spikes for layer in found.layers)
    agrees = found.first is None and fires and not found.absent
    assert agrees == (name in SAME), str(found)
    assert agrees or found.cause != "none of those that are known"
    if agrees:
        report = spikejoule.price(model, samples, time_axis=axis, progress=False)
        events = EventList.from_dense(
            samples.transpose(0, 1 - axis).flatten(2).numpy() != 0
        )
        ours = report.analysis.inputs.operations
        theirs = price_graph(graph, events, given).inputs.operations
        for term in {column.term for column in (*ours.columns, *theirs.columns)}:
            assert (ours.of(term).sum(axis=1) == theirs.of(term).sum(axis=1)).all(), (
                term
            )


OTHERWISE = {
    "spikingjelly: IF m": ({"dt": 5e-5}, "counts 0.5 times in the graph: is dt right?"),
    "spikingjelly: LIF m": (
        {"dt": 5e-5},
        "keep 0.444444 of their potential, those of the graph",
    ),
    "spikingjelly: CUBALIF m": ({"current": "next_step"}, "with same_step the spikes"),
    "sinabs: IAF single spikes": ({"reset": "zero"}, ""),
    "sinabs: IAF": ({}, "it gives up to"),
    "sinabs: LIF normalised": (
        {},
        "keep 0.606531 of their potential, those of the graph 0.5",
    ),
}


@pytest.mark.parametrize("name", OTHERWISE)
@torch.no_grad()
def test_a_graph_that_is_run_in_another_way(name: str) -> None:
    case, model, samples = made(name)
    choice, cause = OTHERWISE[name]
    graph, given = exported(case, model, samples)
    found = spikejoule.verify(
        model, graph, samples, replace(given, **choice), time_axis=case.time_axis
    )
    assert found.same == (not cause), str(found)
    assert cause in found.cause, str(found)


N_SAMPLES, STEPS, N_IN, N_OUT = 12, 20, 30, 10


def snn(kind: str, *shape: int, **options: Any) -> nn.Module:
    """Neurons of snnTorch as its exporter takes them, reset to zero unless it is
    said.
    """
    import snntorch

    each = {
        "beta": torch.full(shape, options.pop("beta", 0.5)),
        "threshold": torch.ones(shape),
    }
    if kind == "Synaptic":
        each["alpha"] = torch.full(shape, 0.5)
    own = {"linear_features": shape[0]} if kind == "RLeaky" else {}
    bias = options.pop("bias", 0.0)
    settings = {"reset_mechanism": "zero", "init_hidden": True, **own, **options}
    neurons: nn.Module = getattr(snntorch, kind)(**each, **settings)
    if own:
        nn.init.constant_(neurons.recurrent.bias, bias)  # type: ignore[arg-type, union-attr]
    return neurons


def dense(kind: str = "Leaky", **options: Any) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Linear(N_IN, 40), snn(kind, 40, **options)]


def convolution() -> list[nn.Module]:
    conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
    return [conv, snn("Leaky", 6, 6, 6), nn.AvgPool2d(2), nn.Flatten()]


DROPPED: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "beta is 1": (dense(beta=1.0), ""),
    "convolution": (convolution, ""),
    "its default": (dense(reset_mechanism="subtract"), "a step late"),
    "subtracts at once": (
        dense(reset_mechanism="subtract", reset_delay=False),
        "once more",
    ),
    "Synaptic": (dense("Synaptic", reset_delay=False), ""),
    "Synaptic, delayed": (dense("Synaptic"), "reset_delay=True"),
    "recurrent": (dense("RLeaky", reset_delay=False), ""),
    "recurrent with a bias": (
        dense("RLeaky", reset_delay=False, bias=0.25),
        "have a bias",
    ),
}


@pytest.mark.parametrize("name", DROPPED)
@torch.no_grad()
def test_what_snntorchs_exporter_drops(name: str) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    make, cause = DROPPED[name]
    torch.manual_seed(3)
    hidden = make()
    shape = (N_IN,) if isinstance(hidden[0], nn.Linear) else (2, 12, 12)
    n_hidden = 40 if isinstance(hidden[0], nn.Linear) else 54
    network = nn.Sequential(*hidden, nn.Linear(n_hidden, N_OUT), snn("Leaky", N_OUT))
    for values in network.parameters():
        if values.dim() > 1:  # sums are exact in any order, and all layers fire
            drawn = torch.randn(values.shape) * 3 / values[0].numel() ** 0.5
            values.copy_(torch.round(256 * drawn) / 256)
    graph_of, given = recipe("snntorch")
    graph = graph_of(network, torch.zeros(1, *shape))
    spikes = (torch.rand(STEPS, N_SAMPLES, *shape) < 0.15).float()
    found = spikejoule.verify(network, graph, spikes, given, time_axis=0)
    assert all(layer.spikes > 50 for layer in found.layers), str(found)
    assert found.same == (not cause), str(found)
    assert cause in found.cause, str(found)
