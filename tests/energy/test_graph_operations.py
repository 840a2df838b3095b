"""Operations of imported graphs: against this project's networks, or by hand."""

from collections import Counter
from typing import Any

import nir
import numpy as np
import pytest

from spikejoule.compare.from_counts import SampleSet
from spikejoule.compare.from_graph import graph_inputs
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import load_profiles, price
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import run_graph
from spikejoule.nir.writing import nir_graph
from spikejoule.pricing.graph import price_graph
from spikejoule.report.page import PageContent, energy_page
from spikejoule.report.statements import assumptions
from tests.nir.foreign import GRAPHS, WAITING, Maker
from tests.nir.naive_graph import NaiveGraph
from tests.nir.test_executor import (
    GIVEN,
    STEPS,
    naive_of,
    run_in_executor,
    spikes_for,
)
from tests.tools.examples import trained_network

SYNAPSES = ("Affine", "Linear", "Conv1d", "Conv2d")
COMPUTING = (*SYNAPSES, "SumPool2d", "AvgPool2d", "Scale")
Terms = dict[str, int]


def spikes(samples: int, n_inputs: int, density: float, steps: int = 20) -> EventList:
    generator = np.random.default_rng(4)
    return EventList.from_dense(generator.random((samples, steps, n_inputs)) < density)


@pytest.mark.parametrize(
    ("neuron", "pruned"),
    [
        ({"reset": "subtract"}, False),
        ({"decay": 1.0, "bias": False}, False),
        ({"threshold": (1.0, 0.7, 0.5), "decay": (1, 0.6, 0)}, True),
    ],
    ids=str,
)
def test_an_exported_network_costs_the_same_as_a_graph(
    neuron: dict[str, Any], pruned: bool
) -> None:
    """Every term of every sample, in the event engine and the graph executor."""
    trained = trained_network((20, 12), neuron=LeakyIntegrateAndFire(**neuron))
    network = trained.checkpoint()
    state = dict(network.state)
    if pruned:
        generator = np.random.default_rng(1)
        for name, values in state.items():
            if values.ndim == 2:
                state[name] = values * (generator.random(values.shape) < 0.3)
        object.__setattr__(network, "state", state)
    events = spikes(9, 784, 0.02)
    measured = measure_network(state, network.network, events, pruned=pruned)
    graph = nir_graph(network)
    graph.metadata["pruned"] = pruned
    ours = count_operations(measured)
    terms = {column.term for column in ours.columns}
    for engine, run_with in {"event": run_graph, "graph": run_in_executor}.items():
        run = run_with(graph, events)
        assert run.engine == engine
        theirs = count_operations(run)
        for term in terms:
            found = theirs.of(term).sum(axis=1)
            assert np.array_equal(found, ours.of(term).sum(axis=1)), term
        for profile in load_profiles().values():
            found = price(theirs, profile)
            expected = price(ours, profile)
            assert np.allclose(found, expected, rtol=1e-12, equal_nan=True)


def readers(naive: NaiveGraph, name: str) -> int:
    """Count the nodes that compute with what a node gives."""
    total = 0
    for source, target in naive.edges:
        if source == name:
            kind = naive.kind(target)
            passes_on = kind == "Flatten"
            total += readers(naive, target) if passes_on else kind in COMPUTING
    return total


def operations_of_synapses(node: Any, events: int, macs: int, outputs: int) -> Terms:
    used = events + macs
    biases = 0 if getattr(node, "bias", None) is None else outputs
    return {
        "synaptic_event": events,
        "mac": macs,
        "address_event": used,
        "weight_read": used,
        "state_access_per_event": 2 * used,
        "bias_addition": biases,
        "bias_read": biases,
    }


def operations_of_neurons(node: Any, spikes: int, updates: int) -> Terms:
    """A synaptic current is a second state, which is added to the potential."""
    decaying = 0
    for name in ("tau", "tau_mem", "tau_syn"):
        decaying += np.isfinite(getattr(node, name, np.inf)).sum()
    has_current = hasattr(node, "tau_syn")
    drives = updates if np.any(getattr(node, "v_leak", 0)) else 0
    return {
        "neuron_update_active": spikes,
        "neuron_update_inactive": updates - spikes,
        "leak_multiplication": STEPS * decaying,
        "addition": updates if has_current else 0,
        "bias_addition": drives,
        "bias_read": drives,
        "reset": spikes,
        "state_access": 2 * updates * (1 + has_current),
    }


def recounted(naive: NaiveGraph, sample: list[list[int]]) -> Counter[tuple[str, str]]:
    """Return the operations on one sample by term and node, from the plain loops."""
    gave, counts = naive.run(sample)
    total: Counter[tuple[str, str]] = Counter()
    for name in naive.order:
        kind = naive.kind(name)
        node = naive.nodes[name]
        spikes = counts["spikes"][name]
        outputs = np.size(gave[name])
        # A Delay is a memory, which is read when its time has come.
        n_readers = 1 if kind == "Delay" else readers(naive, name)
        values = np.count_nonzero(gave[name]) if n_readers else 0
        terms: Terms = {
            "addition": counts["additions"][name],
            "multiplication": counts["multiplications"][name],
        }
        if kind in SYNAPSES:
            events, macs = counts["events"][name], counts["macs"][name]
            terms = operations_of_synapses(node, events, macs, outputs)
        elif naive.gives_spikes(name):
            terms["spike_routed"] = spikes
            terms["spike_read"] = spikes * n_readers
            terms["spike_write"] = 0 if kind == "Input" else spikes
        elif kind == "Output":
            gives_spikes = all(
                naive.gives_spikes(s) for s, t in naive.edges if t == name
            )
            terms["spike_counted"] = np.sum(gave[name]) if gives_spikes else 0
            terms["decision_comparison"] = len(gave[name][0]) - 1 if gives_spikes else 0
        elif kind != "Flatten":
            terms["activation_write"] = values
            terms["activation_read"] = values * n_readers
        if hasattr(node, "r"):
            terms |= operations_of_neurons(node, spikes, outputs)
        if kind == "Threshold" or hasattr(node, "v_threshold"):
            terms["threshold_comparison"] = outputs
        total.update({(term, name): int(count) for term, count in terms.items()})
    return total


@pytest.mark.parametrize("name", GRAPHS)
def test_every_operation_follows_from_the_plain_loops(name: str) -> None:
    graph = GRAPHS[name](Maker())
    events = spikes_for(graph)
    counted = count_operations(run_graph(graph, events, GIVEN))
    naive = naive_of(name, graph, GIVEN)
    places = [(column.term, column.place) for column in counted.columns]
    samples = events.to_dense(np.int64).tolist()
    for counts, sample in zip(counted.counts.tolist(), samples, strict=True):
        found = Counter(dict(zip(places, counts, strict=True)))
        assert found == recounted(naive, sample)


def test_kernels_are_stored_once_and_addresses_name_a_neuron() -> None:
    """Convolution (2, 7, 5) -> (4, 4, 6): 4 * 2 * 3 * 2 weights of 32 bits."""
    graph = GRAPHS["convolution"](Maker())
    counted = count_operations(run_graph(graph, spikes_for(graph), GIVEN))
    sizes = {
        (column.term, column.place): (column.bits, column.memory_bits)
        for column in counted.columns
    }
    assert sizes["weight_read", "a"] == (32, 48 * 32)
    assert sizes["spike_read", "b"] == (7, 96 * 7)


@pytest.mark.parametrize("name", ["fully connected", "recurrent"])
def test_the_page_of_a_graph_names_what_it_assumes(name: str) -> None:
    graph = GRAPHS[name](Maker())
    samples = SampleSet("random events")
    analysis = price_graph(graph, spikes_for(graph), GIVEN, samples)
    assert "treated as part of the weights" in assumptions(analysis)[4]
    page = energy_page(PageContent(analysis))
    assert "random events" in page
    assert "ms in 8 steps" in page
    assert ("edges that wait" in page) == (name in WAITING)


def test_the_output_with_the_most_spikes_is_the_answer() -> None:
    run = run_graph(GRAPHS["fully connected"](Maker()), spikes(4, 6, 0.3), GIVEN)
    labels = run.output.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4
    known = graph_inputs(run, SampleSet(labels=labels)).variant
    assert known.test_percent == 75
    # It is unknown how to read an output of values.
    values = run_graph(GRAPHS["one dimension"](Maker()), spikes(4, 18, 0.3), GIVEN)
    unknown = graph_inputs(values, SampleSet(labels=[0, 1, 0, 1])).variant
    assert unknown.test_percent is None


def test_a_graph_without_synapses() -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([3])), nir.Threshold(np.ones(3)), nir.Output(np.array([3]))
    )
    with pytest.raises(ArtifactError, match="no synapses"):
        price_graph(graph, spikes(2, 3, 0.5), Conventions(comparison="ge"))


def test_a_graph_without_dt_has_no_milliseconds() -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([3])),
        nir.Linear(np.ones((2, 3))),
        nir.Threshold(np.ones(2)),
        nir.Output(np.array([2])),
    )
    analysis = price_graph(graph, spikes(2, 3, 0.5), Conventions(comparison="ge"))
    assert analysis.inputs.step_ms is None
    page = energy_page(PageContent(analysis))
    body = page.partition("<style")[0] + page.partition("</style>")[2]
    # Lists that know time state the latency of their chip's own steps.
    lines = [line for line in body.splitlines() if "latency" not in line]
    assert not any(" ms" in line for line in lines)
