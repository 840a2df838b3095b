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
from spikejoule.nir.conventions import Conventions
from spikejoule.pricing.graph import price_graph
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
    "snntorch: Leaky beta 1",
    "snntorch: Synaptic at once",
    "snntorch: RLeaky without bias",
    "snntorch: average pooling of spikes",
    "norse: LIFBoxCell",
    *(f"spikingjelly: {name} {mode}" for mode in "sm" for name in JELLY),
    "spikingjelly: SEW ADD",
}

# What snnTorch's exporter drops without an error: delays, and recurrent biases.
DROPPED = {
    "snntorch: Leaky subtract delayed",
    "snntorch: Synaptic",
    "snntorch: RLeaky at once",
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
        assert name not in SAME | DROPPED
        return
    axis = case.time_axis
    try:
        found = spikejoule.verify(model, graph, samples, given, time_axis=axis)
    except SpikejouleError:
        assert name not in SAME | DROPPED
        return
    # The last layer of some small networks never fires, and is named as not compared.
    fires = any(layer.spikes for layer in found.layers)
    agrees = found.first is None and fires and not (found.absent or found.parameters)
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
