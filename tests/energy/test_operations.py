"""Counts and prices against a network whose every spike is written down, and a plain recount."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.data.images import Dataset
from spikejoule.energy import (
    OperationCounts,
    count_operations,
    load_profiles,
    mean_operations,
    price,
)
from spikejoule.energy.terms import DESCRIPTIONS
from spikejoule.engine import run_network
from spikejoule.measure.measurement import Measurement
from spikejoule.model.architecture import Architecture
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.spikes.events import EventList
from tests import naive
from tests.tools.settings import draw_key, encode
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE
from tests.tools.without_torch import WITH_TORCH, needs_torch

if WITH_TORCH:
    from tests.tools.examples import trained_network


def tiny_layers() -> tuple[EventList, ...]:
    return tuple(EventList.from_dense([spikes]) for spikes in (INPUT, HIDDEN, OUTPUT))


def tiny_counts(pruned: bool = False) -> OperationCounts:
    return count_operations(Measurement.of(STATE, ARCHITECTURE, tiny_layers(), pruned))


@pytest.mark.parametrize("engine", ["event", pytest.param("dense", marks=needs_torch)])
def test_the_engines_emit_the_spikes_that_are_written_down(engine: str) -> None:
    hidden, output = run_network(STATE, ARCHITECTURE, tiny_layers()[0], engine=engine)
    assert hidden.to_dense(np.int64)[0].tolist() == HIDDEN
    assert output.to_dense(np.int64)[0].tolist() == OUTPUT


class TestByHand:
    @pytest.mark.parametrize(
        ("term", "expected"),
        [
            ("synaptic_event", [5 * 2, 3 * 2]),
            ("neuron_update_active", [3, 2]),
            ("neuron_update_inactive", [6 - 3, 6 - 2]),
            ("leak_multiplication", [6, 6]),
            ("bias_addition", [6, 6]),
            ("spike_routed", [5, 3, 2]),
            ("weight_read", [10, 6]),
            ("state_access", [12, 12]),
            ("state_access_per_event", [20, 12]),
        ],
    )
    def test_counts(self, term: str, expected: list[int]) -> None:
        counts = tiny_counts()
        assert counts.of(term).tolist() == [expected]
        assert counts.counts.dtype == np.int64
        assert counts.time_window == 3

    def test_pruned_synapses_carry_no_event(self) -> None:
        # input 0 and 2 reach one hidden neuron each, input 1 both: 1 x 1 + 3 x 2 + 1 x 1
        assert tiny_counts(pruned=True).of("synaptic_event").tolist() == [[8, 6]]
        assert tiny_counts(pruned=True).of("weight_read").tolist() == [[8, 6]]
        assert tiny_counts(pruned=True).of("spike_routed").tolist() == [[5, 3, 2]]

    @pytest.mark.parametrize(
        ("profile", "low", "value", "high"),
        [
            # 16 additions of events, 12 of biases, 12 multiplications of leaks
            ("45nm-fp32", 69.6, 28 * 0.9 + 12 * 3.7, 69.6),
            ("45nm-fp16", 24.4, 28 * 0.4 + 12 * 1.1, 24.4),
            ("45nm-int32", 40.0, 28 * 0.1 + 12 * 3.1, 40.0),
            ("45nm-int8", 3.24, 28 * 0.03 + 12 * 0.2, 3.24),
            # 16 events, 5 active and 7 inactive updates, 10 spikes
            ("loihi-1", 1163.6, 16 * 23.6 + 5 * 81 + 7 * 52 + 10 * 1.7, 1163.6),
            ("truenorth", 416.0, 16 * 26, 416.0),
            ("odin", 203.2, 16 * 12.7, 203.2),
            ("odin-incremental", 134.88, 16 * 8.43, 134.88),
            ("darwin3", 87.52, 16 * 5.47, 87.52),
            ("seneca", 44.8, 16 * 2.8, 44.8),
            ("spinnaker-1", 492_800.0, 16 * 13_300 + 12 * 26_000, 2_072_000.0),
            ("spinnaker-2", 18_160.0, 16 * 450 + 12 * 2_190, 33_480.0),
            # 16 weights, 24 words of state; at the upper end 32 more
            ("45nm-memory", 200.0, None, 16 * 2600 + 56 * 100),
            ("lemaire-2022-memory", 80.0, None, 16 * 123),
        ],
    )
    def test_prices(self, profile: str, low: float, value: float | None, high: float) -> None:
        energy = price(tiny_counts(), load_profiles()[profile])
        assert energy.per_sample_low_pj == pytest.approx([low], rel=1e-14)
        assert energy.per_sample_high_pj == pytest.approx([high], rel=1e-14)
        if value is None:
            assert energy.per_sample_pj is None
        else:
            assert energy.per_sample_pj == pytest.approx([value], rel=1e-14)

    def test_what_a_total_contains(self) -> None:
        energies = {name: price(tiny_counts(), entry) for name, entry in load_profiles().items()}
        fp32 = energies["45nm-fp32"]
        assert {column.term for column in fp32.columns} == {
            "synaptic_event", "leak_multiplication", "bias_addition",
        }  # fmt: skip
        assert "neuron_update_active" in fp32.unpriced
        assert "memory" in fp32.contains
        loihi = energies["loihi-1"]
        assert loihi.covered == (
            "leak_multiplication", "bias_addition", "weight_read", "state_access",
            "state_access_per_event",
        )  # fmt: skip
        assert loihi.unpriced == ()
        assert "not counted: hop east west, hop north south" in loihi.contains
        truenorth = energies["truenorth"]
        assert truenorth.unpriced == ()
        assert len(truenorth.covered) == 8
        assert "nothing may be added" in truenorth.contains

    def test_every_term_is_described_and_somewhere_in_the_result(self) -> None:
        counted = {column.term for column in tiny_counts().columns}
        assert counted <= set(DESCRIPTIONS)
        for profile in load_profiles().values():
            energy = price(tiny_counts(), profile)
            priced = {column.term for column in energy.columns}
            assert sorted([*priced, *energy.unpriced, *energy.covered]) == sorted(counted)


def recounted(
    layers: list[NDArray[np.int64]],
    weights: list[list[list[float]]],
    pruned: bool,
    leaks: list[bool] | None = None,
    bias: bool = True,
) -> list[list[int]]:
    """The plain recount, in the order of the columns."""
    order = (
        ("synaptic_event", -1), ("neuron_update_active", 0), ("neuron_update_inactive", 0),
        ("leak_multiplication", 0), ("bias_addition", 0), ("spike_routed", None),
        ("weight_read", -1), ("state_access", 0), ("state_access_per_event", -1),
    )  # fmt: skip
    n_layers = len(layers)
    places = {-1: range(n_layers - 1), 0: range(1, n_layers), None: range(n_layers)}
    return [
        [count[term, layer] for term, where in order for layer in places[where]]
        for count in naive.operations(
            [layer.tolist() for layer in layers], weights, pruned, leaks, bias
        )
    ]


class TestTwoCountings:
    @pytest.mark.parametrize("pruned", [False, True])
    @pytest.mark.parametrize(
        ("hidden", "neuron"),
        [
            ((7,), {}),
            ((6, 5, 4), {}),
            ((7,), {"bias": False, "decay": 1.0}),
            ((6, 5, 4), {"decay": (1.0, 0.5, 1.0, 0.9), "reset": "subtract"}),
        ],
    )
    def test_random_networks(
        self, hidden: tuple[int, ...], neuron: dict[str, Any], pruned: bool
    ) -> None:
        generator = np.random.default_rng(len(hidden))
        architecture = Architecture(9, hidden, 3, LeakyIntegrateAndFire(**neuron))
        state = {
            name: generator.normal(0.1, 0.6, shape).astype(np.float32)
            for name, shape in architecture.parameter_shapes().items()
        }
        for name, values in state.items():
            if name.endswith("weight"):
                values[generator.random(values.shape) < 0.4] = 0
        dense = (generator.random((5, 8, 9)) < 0.3).astype(np.uint8)
        events = EventList.from_dense(dense)
        layers = (events, *run_network(state, architecture, events))
        counts = count_operations(Measurement.of(state, architecture, layers, pruned))
        weights = [weights for weights, _ in naive.layers_of(state)]
        spikes = [layer.to_dense(np.int64) for layer in layers]
        decays = neuron.get("decay", 0.9)
        decays = [decays] * len(weights) if isinstance(decays, float) else decays
        leaks, bias = [decay != 1 for decay in decays], neuron.get("bias", True)
        assert counts.counts.tolist() == recounted(spikes, weights, pruned, leaks, bias)
        # the oracle can tell them apart
        assert counts.counts.tolist() != recounted(spikes, weights, not pruned, leaks, bias)

    @needs_torch
    def test_real_digits(self, mnist5k: Dataset) -> None:
        network = trained_network((20,))
        events = encode(mnist5k.test.images[:3], 50, 80.0, draw_key(7, "test", 0))
        layers = (events, *run_network(network.state, network.architecture, events))
        counts = count_operations(Measurement.of(network.state, network.architecture, layers))
        weights = [weights for weights, _ in naive.layers_of(network.state)]
        spikes = [layer.to_dense(np.int64) for layer in layers]
        assert counts.counts.tolist() == recounted(spikes, weights, pruned=False)


class TestMeans:
    def test_of_a_network_are_the_means_of_its_counts(self) -> None:
        layers = tuple(
            EventList.from_dense(np.stack([spikes, np.roll(spikes, 1, axis=0) * keep]))
            for spikes, keep in ((INPUT, 1), (HIDDEN, 1), (OUTPUT, 0))
        )
        counts = count_operations(Measurement.of(STATE, ARCHITECTURE, layers))
        means = mean_operations({"input": 5.0, "hidden": 3.0, "output": 1.0}, ARCHITECTURE, 3)
        assert means.columns == counts.columns
        assert means.means.tolist() == counts.counts.mean(axis=0).tolist()

    def test_events_of_a_pruned_network(self) -> None:
        means = mean_operations(
            {"input": 5.0, "hidden": 3.0, "output": 2.0}, ARCHITECTURE, 3, [8.0, 6.0]
        )
        assert means.means[:2].tolist() == [8.0, 6.0]
        assert means.means.tolist() == tiny_counts(pruned=True).counts[0].tolist()
