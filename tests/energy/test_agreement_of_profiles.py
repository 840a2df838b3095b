"""Price lists modelled on other tools agree with the formulas of these tools, per item.

`tests/interop/estimators.py` states the formulas and is itself compared with the tools.
For a float32 network with all synapses and biases, image by image:

* `lemaire-spikingjelly` agrees completely;
* `lemaire-qualia` agrees except for addresses: it prices one per event, as the paper
  says; the tool's code divides by the number of inputs;
* `yan-spyx` agrees at 32-bit weights and potentials, where the tool has 8 bits.
"""

import numpy as np
import pandas as pd
import pytest

from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import Dataset
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy import (
    OperationCounts,
    count_operations,
    load_profiles,
    price,
)
from spikejoule.energy.prices import prices_pj
from tests.energy.test_recount import Drawn, case
from tests.interop import estimators
from tests.interop.estimators import Items, Layer

TOOLS = ("lemaire-spikingjelly", "lemaire-qualia", "yan-spyx")
STEPS = 25
SIZES = (784, 30, 20, 10)
IMAGES = 8
HELD = {
    "operations": (
        "synaptic_event",
        "mac",
        "bias_addition",
        "reset",
        "leak_multiplication",
        "threshold_comparison",
        "activation_comparison",
    ),
    "addressing": ("address_event", "address_unit", "address_mac"),
    "in_out": ("spike_read", "spike_write", "activation_read", "activation_write"),
    "parameters": ("weight_read", "bias_read"),
    "weights": ("weight_read",),
    "biases": ("bias_read",),
    "potentials": ("state_access", "state_access_per_event"),
    "activations": ("activation_read", "activation_write"),
}


def spiking_layers(measured: Measurement, image: int, **how: bool) -> list[Layer]:
    """Return the counts of an image as the estimators take them."""
    spikes = measured.counts.per_sample[image].tolist()
    return [
        Layer(SIZES[k], SIZES[k + 1], STEPS, spikes[k], spikes[k + 1], **how)
        for k in range(len(SIZES) - 1)
    ]


def items(counts: OperationCounts, name: str) -> list[Items]:
    """Return the energy of each item under a price list, for each image."""
    values = prices_pj(counts.columns, load_profiles()[name])[1]
    held = {term for terms in HELD.values() for term in terms}
    terms = [column.term for column in counts.columns]
    assert {term for term, pj in zip(terms, values, strict=True) if pj == pj} <= held
    energies = pd.DataFrame(counts.counts * np.nan_to_num(values), columns=terms)
    of_items = {
        item: energies.loc[:, energies.columns.isin(held)].sum(axis=1)
        for item, held in HELD.items()
    }
    return pd.DataFrame(of_items).to_dict("records")


def same(found: Items, expected: Items, total: float | None = None) -> None:
    """Check every item, and the total if nothing is counted twice."""
    assert {item: found[item] for item in expected} == pytest.approx(expected, rel=1e-9)
    if total is not None:
        assert total == pytest.approx(sum(expected.values()), rel=1e-9)


@pytest.mark.parametrize(
    "neuron",
    [{}, {"bias": False, "decay": 1.0, "threshold": 2.0}, {"reset": "subtract"}],
    ids=str,
)
def test_spiking_networks(mnist5k: Dataset, neuron: dict[str, object]) -> None:
    encoder = Poisson(time_window=STEPS, max_rate=80.0)
    drawn = Drawn(SIZES[1:-1], neuron, seed=2)
    measured = case(mnist5k.test.images[:IMAGES], encoder, drawn).measured
    assert measured.counts.per_sample.sum(axis=0).min() > 0
    counts = count_operations(measured)
    jelly = items(counts, TOOLS[0])
    qualia = items(counts, TOOLS[1])
    spyx = items(counts, TOOLS[2])
    totals = price(counts, load_profiles()[TOOLS[0]])[1]
    bias = bool(neuron.get("bias", True))
    leak = neuron.get("decay") != 1.0
    for image in range(IMAGES):
        layers = spiking_layers(measured, image, bias=bias, leak=leak)
        expected = estimators.network(estimators.spikingjelly_spiking, layers)
        same(jelly[image], expected, totals[image])
        expected = estimators.network(estimators.qualia_spiking, layers)
        # The tool computes addresses for the mean spikes of an input.
        per_input = sum(0.1 * layer.events / layer.inputs for layer in layers)
        assert expected["addressing"] == pytest.approx(per_input, rel=1e-12)
        expected["addressing"] = sum(0.1 * layer.events for layer in layers)
        # The tool also adds missing biases.
        expected["operations"] -= (
            0 if bias else sum(0.1 * layer.updates for layer in layers)
        )
        same(qualia[image], expected)
        expected = estimators.network(
            estimators.spyx_spiking, spiking_layers(measured, image)
        )
        wider = 32 / estimators.SPYX_BITS
        expected |= {item: wider * expected[item] for item in ("weights", "potentials")}
        same(spyx[image], expected)
