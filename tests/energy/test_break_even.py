"""Break-even: where the network stops winning."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import Dataset
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    BaselineCounts,
    HardwareProfile,
    OperationCounts,
    count_operations,
    load_profiles,
)
from spikejoule.energy.break_even import break_even
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import Column
from spikejoule.energy.outputs import COLUMNS, energy_rows
from spikejoule.energy.prices import prices_pj, weights_of
from spikejoule.network.network import Network
from tests.energy import test_recount as recounted
from tests.energy.by_hand import analysis, inputs, profile, variant

# Operations per spike, and operations per image.
FOR_A_SPIKE = (
    "synaptic_event",
    "neuron_update_active",
    "reset",
    "spike_routed",
    "address_event",
    "weight_read",
    "index_read",
    "state_access_per_event",
    "spike_read",
    "spike_write",
    "spike_counted",
)
ONCE = ("pixel_read", "code_multiplication", "code_logarithm", "decision_comparison")


class TestBreakEven:
    @pytest.mark.parametrize(
        ("step_pj", "baseline_pj", "window"),
        [
            # 10 pJ of spikes, and 4 of steps over a window of 3
            (4.0, 18.0, 3 * (18 - 10) / 4),
            (4.0, 9.0, None),  # the spikes alone cost more
            (0.0, 18.0, None),  # steps cost nothing
        ],
    )
    def test_the_window_of_an_encoding_without_a_rate(
        self, step_pj: float, baseline_pj: float, window: float | None
    ) -> None:
        """More steps add no spikes."""
        counts = of({"synaptic_event": 10.0, "bias_addition": step_pj})
        limits = break_even(
            *priced(counts, profile({"addition": 1.0})), baseline_pj, 2.0, None
        )
        assert limits is not None
        assert limits.max_rate_hz is None
        assert limits.time_window == (
            window if window is None else pytest.approx(window)
        )

    def test_neurons_that_spike_in_every_step(self) -> None:
        """Without inactive updates, the idle cost of an active one still counts."""
        layers = tuple(EventList.from_dense([[[1, 1]] * 3]) for _ in range(3))
        architecture = Network.of_layers(2, (2,), 2)
        state = {
            name: np.ones(shape, np.float32)
            for name, shape in architecture.parameter_shapes().items()
        }
        counts = count_operations(Measurement(state, architecture, layers))
        limits = break_even(
            *priced(counts, load_profiles()["loihi-1"]), 5000.0, 3.0, 80
        )
        # Of a step: 4 updates that are active, 6 spikes, 8 events.
        steps = 3 * 4 * 52
        spikes = 3 * (8 * 23.6 + 4 * (81 - 52) + 6 * 1.7)
        assert limits is not None
        assert limits.spikes_per_input == pytest.approx(3 * (5000 - steps) / spikes)

    @pytest.mark.parametrize("name", ["poisson, LIF", "latency, IF without biases"])
    def test_at_the_limits_the_table_adds_up_to_the_baseline(
        self, mnist5k: Dataset, name: str
    ) -> None:
        """Under every price list that compares networks, on real digits."""
        drawn, encoder, _ = recounted.NETWORKS[name]
        images = mnist5k.test.images[:6]
        given = recounted.case(images, encoder, drawn)
        relu = recounted.DrawnBaseline((784, 100, 10))
        counted = recounted.counted_baseline(relu, *relu.network(images))
        tables = tables_of(given, counted)
        profiles = load_profiles()
        operations = count_operations(given.measured, encoder.operations(images))
        spikes = given.measured.counts.means["input"] / 784
        n_steps = encoder.time_window
        n_met = 0
        for profile_id in recounted.ALIKE:
            rows = tables.get((profile_id, "ReLU, dense"), [])
            baseline_pj = next(
                (row["pj"] for row in rows if row["term"] == "total"), ""
            )
            if baseline_pj == "":
                continue
            under = profiles[profile_id]
            limits = break_even(
                *priced(operations, under), baseline_pj, spikes, encoder.rate_hz
            )
            assert limits is not None
            own = tables[profile_id, "snn"]
            if limits.spikes_per_input is not None:
                energy = energy_of(own, spikes=limits.spikes_per_input / spikes)
                assert energy == pytest.approx(baseline_pj), profile_id
                n_met += 1
            if limits.time_window is not None:
                has_rate = encoder.rate_hz is not None
                window = limits.time_window / n_steps
                energy = energy_of(
                    own,
                    spikes=window if has_rate else 1.0,
                    window=window,
                    code=window if has_rate else 1.0,
                )
                assert energy == pytest.approx(baseline_pj), profile_id
                n_met += 1
        assert n_met >= 10


def tables_of(
    given: recounted.Case, relu: BaselineCounts
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows of metrics/energy.csv by price list and network."""
    measured = given.measured
    operations = count_operations(measured, given.encoder.operations(given.images))
    counted = replace(
        inputs((relu,)),
        network=measured.network,
        encoder=given.encoder,
        variants=(variant(operations),),
        n_images=len(given.images),
        training=None,
    )
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cells in energy_rows(analysis(counted)):
        row = dict(zip(COLUMNS, cells, strict=True))
        tables.setdefault((row["profile"], row["network"]), []).append(row)
    return tables


def energy_of(
    rows: list[dict[str, Any]], spikes: float, window: float = 1.0, code: float = 1.0
) -> float:
    """Sum the rows of metrics/energy.csv with scaled spikes and steps.

    Args:
        rows: the spiking network's rows under one price list.
        spikes: factor on operations per spike.
        window: factor on operations per step.
        code: factor on encoding operations per step.
    """
    counts = {
        (row["term"], row["layer"]): row["count"] for row in rows if row["class"] == ""
    }
    pixels = counts["pixel_read", "input"]
    total = 0.0
    for row in rows:
        is_part = row["class"] == "" and row["term"] != "total"
        if not is_part or row["pj"] == "" or not row["count"]:
            continue
        term = row["term"]
        layer = row["layer"]
        count = row["count"]
        scaled = count * window
        if term in FOR_A_SPIKE:
            scaled = count * spikes
        elif term in ONCE:
            scaled = count
        elif term == "code_comparison":
            scaled = pixels + (count - pixels) * code
        elif layer == "input":
            scaled = count * code
        elif term == "neuron_update_inactive":
            # A neuron that spikes more often is idle in fewer steps.
            active = counts["neuron_update_active", layer]
            scaled = (count + active) * window - active * spikes
        total += row["pj"] / count * scaled
    return total


def priced(
    operations: OperationCounts, under: HardwareProfile
) -> tuple[OperationCounts, Floats]:
    """Counts, and the value of each column's price."""
    return operations, weights_of(prices_pj(operations.columns, under))[1]


def of(counts: dict[str, float]) -> OperationCounts:
    """Return means of some terms at one place, over a window of 3."""
    return OperationCounts(
        tuple(Column(term, "x") for term in counts), np.array([[*counts.values()]]), 3
    )
