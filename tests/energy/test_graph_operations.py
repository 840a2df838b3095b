"""Operations of imported graphs: against this project's networks, or by hand."""

from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    OperationCounts,
    count_operations,
    load_profiles,
    price,
)
from spikejoule.energy.from_graph import SampleSet, graph_inputs, price_graph
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import run_graph
from spikejoule.nir.writing import nir_graph
from spikejoule.report import PageContent, energy_page
from tests.nir.foreign import DT, GRAPHS, WAITING, Maker, graph_of
from tests.tools.counted import count_of
from tests.tools.examples import trained_network

GIVEN = Conventions(
    dt=DT, reset="zero", comparison="ge", current="same_step", initial="zero"
)


def spikes(samples: int, n_inputs: int, density: float, steps: int = 20) -> EventList:
    generator = np.random.default_rng(4)
    return EventList.from_dense(generator.random((samples, steps, n_inputs)) < density)


@pytest.mark.parametrize(
    ("neuron", "pruned"),
    [
        ({}, False),
        ({"bias": False}, False),
        ({"decay": 1.0}, False),
        ({"bias": False}, True),
    ],
    ids=str,
)
def test_an_exported_network_costs_the_same_as_a_graph(
    neuron: dict[str, Any], pruned: bool
) -> None:
    """Sample by sample, under every price list."""
    network = trained_network((20, 12), neuron=LeakyIntegrateAndFire(**neuron))
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
    run = run_graph(graph, events)
    theirs = count_operations(run)
    ours = count_operations(measured)
    for term in {column.term for column in ours.columns}:
        if ours.of(term).any():
            assert np.array_equal(theirs.of(term), ours.of(term)), term
        else:
            assert not theirs.of(term).any(), term
    for profile in load_profiles().values():
        found = price(theirs, profile)
        expected = price(ours, profile)
        assert np.allclose(found, expected, rtol=1e-12, equal_nan=True)


def found_in(counted: OperationCounts) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return counts of each sample by term and place."""
    return {
        (column.term, column.place): counted.counts[:, k]
        for k, column in enumerate(counted.columns)
    }


def test_convolution_and_pooling_by_hand() -> None:
    """T = 20 steps; conv (2, 7, 5) -> (4, 4, 6), IF, sums of (2, 2), 24 -> 3, LIF."""
    graph = GRAPHS["convolution"](Maker())
    run = run_graph(graph, spikes(5, 70, 0.2), GIVEN)
    counted = count_operations(run)
    found = found_in(counted)
    sizes = {
        (column.term, column.place): (column.bits, column.memory_bits)
        for column in counted.columns
    }
    events = count_of(run, "events", "a")
    macs = count_of(run, "macs", "e")
    fired = count_of(run, "spikes", "b")
    values = count_of(run, "values", "c")
    assert macs.sum() > 0
    for key, counts in {
        ("synaptic_event", "a"): events,
        ("weight_read", "a"): events,
        ("bias_addition", "a"): 20 * 96,
        ("neuron_update_active", "b"): fired,
        ("neuron_update_inactive", "b"): 20 * 96 - fired,
        ("state_access", "b"): 2 * 20 * 96,
        ("addition", "c"): fired,
        ("spike_read", "b"): fired,
        ("activation_write", "c"): values,
        ("activation_read", "c"): values,
        ("mac", "e"): macs,
        ("state_access_per_event", "e"): 2 * macs,
        ("leak_multiplication", "f"): 20 * 3,
        ("spike_counted", "output"): count_of(run, "spikes", "f"),
        ("decision_comparison", "output"): 2,
    }.items():
        assert np.array_equal(found[key], np.broadcast_to(counts, 5)), key
    assert np.array_equal(macs, 3 * values)
    assert ("synaptic_event", "e") not in found
    assert ("leak_multiplication", "b") not in found
    # Kernels are stored once: 4 * 2 * 3 * 2 weights of 32 bits.
    assert sizes["weight_read", "a"] == (32, 48 * 32)
    assert sizes["spike_read", "b"] == (7, 96 * 7)


def test_a_synaptic_current_is_a_second_state() -> None:
    run = run_graph(GRAPHS["recurrent"](Maker()), spikes(3, 4, 0.4), GIVEN)
    counted = count_operations(run)
    assert (counted.of("leak_multiplication") == [2 * 20 * 5, 20 * 3]).all()
    assert (counted.of("state_access") == [4 * 20 * 5, 2 * 20 * 3]).all()
    assert (counted.of("addition") == 20 * 5).all()


def test_a_delay_is_a_memory() -> None:
    """One Delay holds potentials for neurons, one holds spikes for the output."""
    make = Maker()
    nodes = {
        "a": make.linear(6, 4),
        "b": nir.Delay(np.array([0, 1, 2, 3]) * DT),
        "c": make.lif(4),
        "d": nir.Delay(np.array([1, 1, 2, 19]) * DT),
    }
    run = run_graph(graph_of(nodes, (6,), (4,)), spikes(5, 6, 0.4), GIVEN)
    found = found_in(count_operations(run))
    weight = nodes["a"].weight
    dense = spikes(5, 6, 0.4).to_dense()
    given = np.count_nonzero(dense @ weight.T, axis=1)
    late = [
        np.count_nonzero((dense @ weight.T)[:, : 20 - d, d], axis=1) for d in range(4)
    ]
    assert np.array_equal(count_of(run, "values", "b"), np.sum(late, axis=0))
    assert count_of(run, "values", "b").sum() < given.sum()
    for term in ("activation_write", "activation_read"):
        assert np.array_equal(found[term, "b"], count_of(run, "values", "b"))
    for term in ("spike_write", "spike_read"):
        assert np.array_equal(found[term, "d"], count_of(run, "spikes", "d"))
    assert 0 < count_of(run, "spikes", "d").sum() < count_of(run, "spikes", "c").sum()


def test_every_graph_is_priced_and_gets_its_page() -> None:
    for name, make in GRAPHS.items():
        graph = make(Maker())
        n_inputs = int(np.prod(graph.nodes["input"].input_type["input"]))
        analysis = price_graph(
            graph, spikes(4, n_inputs, 0.3), GIVEN, SampleSet("random events")
        )
        assert "taken as parts of the weights" in analysis.assumptions[4]
        for profile in analysis.ledger.profiles:
            assert analysis.total(profile=profile.id).high_pj > 0, (name, profile.id)
        if name in (*WAITING, "fully connected"):
            page = energy_page(PageContent(analysis))
            assert "random events" in page
            assert "ms in 20 steps" in page
            assert ("edges that wait" in page) == (name in WAITING)


def test_the_output_with_the_most_spikes_is_the_answer() -> None:
    run = run_graph(GRAPHS["fully connected"](Maker()), spikes(4, 6, 0.3), GIVEN)
    labels = run.output.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4
    known = graph_inputs(run, SampleSet(labels=labels)).accuracy
    assert known is not None
    assert known.test_percent == 75
    for wrong in ([0, 1, 2], [0, 1, 2, 4]):
        with pytest.raises(DataError, match="needs one label from 0 to 3"):
            graph_inputs(run, SampleSet(labels=wrong))
    # It is unknown how to read an output of values.
    values = run_graph(GRAPHS["one dimension"](Maker()), spikes(4, 18, 0.3), GIVEN)
    assert graph_inputs(values, SampleSet(labels=[0, 1, 0, 1])).accuracy is None


def test_a_graph_without_synapses() -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([3])), nir.Threshold(np.ones(3)), nir.Output(np.array([3]))
    )
    with pytest.raises(ArtifactError, match="no synapses"):
        price_graph(graph, spikes(2, 3, 0.5), Conventions(comparison="ge"))
