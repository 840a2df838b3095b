"""Break-even: where the network stops winning."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikejoule.compare.break_even import break_even, spikes_at_break_even
from spikejoule.compare.outputs import COLUMNS, energy_rows
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Dataset
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import factors_of, load_profiles, prices_pj
from spikejoule.network.network import Network
from spikejoule.report.statements import says
from spikejoule.report.units import plain
from tests.energy import test_recount as recounted
from tests.energy.by_hand import analysis, baseline, inputs, variant

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


def test_neurons_that_spike_in_every_step() -> None:
    """Without inactive updates, the idle cost of an active one still counts."""
    layers = tuple(EventList.from_dense([[[1, 1]] * 3]) for _ in range(3))
    network = Network.of_layers(2, (2,), 2)
    state = {
        name: np.ones(shape, np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    counts = count_operations(Measurement(state, network, layers))
    prices = factors_of(prices_pj(counts.columns, load_profiles()["loihi-1"]))[1]
    # In a step: 4 active updates, 6 spikes, 8 events.
    steps = 3 * 4 * 52
    spikes = 3 * (8 * 23.6 + 4 * (81 - 52) + 6 * 1.7)
    limit = break_even(counts, prices, 5000.0, 3.0)
    assert limit == pytest.approx(3 * (5000 - steps) / spikes)
    assert break_even(counts, prices, steps - 1.0, 3.0) == 0


def test_break_even_is_stated_next_to_the_networks_own_spikes() -> None:
    """Of 58.8 pJ, which 12 MACs and 4 biases take, 3.6 pJ are left for spikes.

    The network's own take 14.4 pJ.
    """
    relu = baseline(20, [12] * 4, validation_accuracy_percent=88.0)
    result = analysis(inputs((relu,)))
    own = result.inputs.spikes_per_input
    limit = plain(own * 3.6 / 14.4)
    (sentence,) = says(result, "break_even")
    expected = f"Break-even: {limit} spikes per input (it has {plain(own)}), "
    assert sentence.startswith(expected)


@pytest.mark.parametrize("name", ["poisson, LIF", "latency, IF without biases"])
def test_at_break_even_the_table_adds_up_to_the_baseline(
    mnist5k: Dataset, name: str
) -> None:
    """Under every price list that compares networks, on real digits."""
    drawn, encoder = recounted.NETWORKS[name]
    images = mnist5k.test.images[:6]
    relu = recounted.DrawnBaseline((784, 100, 10))
    counted = recounted.case(images, encoder, drawn)
    activity = replace(counted.measured.activity(), encoding=encoder.operations(images))
    operations = count_operations(activity)
    analysed = analysis(
        replace(
            inputs((recounted.counted_baseline(relu, *relu.network(images)),)),
            activity=activity,
            encoder=encoder,
            variants=(variant(operations),),
            n_images=len(images),
            training=None,
        )
    )
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cells in energy_rows(analysed):
        row = dict(zip(COLUMNS, cells, strict=True))
        tables.setdefault((row["profile"], row["network"]), []).append(row)
    spikes = counted.measured.counts.means["input"] / 784
    n_met = 0
    for verdict in analysed.comparisons:
        limit = spikes_at_break_even(analysed, verdict)
        if limit:
            own = tables[verdict.profile, "snn"]
            energy_pj = scaled_energy(own, limit / spikes)
            assert energy_pj == pytest.approx(verdict.conventional.energy.value_pj), (
                verdict.profile
            )
            n_met += 1
    assert n_met >= 5


def scaled_energy(rows: list[dict[str, Any]], factor: float) -> float:
    """Sum rows of metrics/energy.csv with scaled spikes."""
    counts = {(row["term"], row["layer"]): row["count"] for row in rows}
    total = 0.0
    for row in rows:
        is_part = row["class"] == "" and row["term"] != "total"
        if not is_part or row["pj"] == "" or not row["count"]:
            continue
        count = row["count"]
        scaled = count
        if row["term"] in FOR_A_SPIKE:
            scaled = count * factor
        elif row["term"] == "neuron_update_inactive":
            # A neuron that spikes more often is idle in fewer steps.
            active = counts["neuron_update_active", row["layer"]]
            scaled = count + active - active * factor
        total += row["pj"] / count * scaled
    return total
