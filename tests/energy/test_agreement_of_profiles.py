"""Price lists modelled on other tools agree with the formulas of these tools.

`tests/interop/estimators.py` states the formulas and is itself compared with the tools.
For a float32 network with all synapses and biases, image by image:

* `lemaire-spikingjelly` agrees completely;
* `lemaire-qualia` agrees except for addresses: it prices one per event, as the paper
  says; the tool's code divides by the number of inputs;
* `yan-spyx` agrees at 32-bit weights and potentials, where the tool has 8 bits.
"""

import pytest

from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Dataset
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import load_profiles, price
from tests.energy.test_recount import Drawn, case
from tests.interop import estimators
from tests.interop.estimators import Items, Layer

TOOLS = ("lemaire-spikingjelly", "lemaire-qualia", "yan-spyx")
STEPS = 25
SIZES = (784, 30, 20, 10)
IMAGES = 8


def spiking_layers(measured: Measurement, image: int, **how: bool) -> list[Layer]:
    """Return the counts of an image as the estimators take them."""
    spikes = measured.counts.per_sample[image].tolist()
    return [
        Layer(SIZES[k], SIZES[k + 1], STEPS, spikes[k], spikes[k + 1], **how)
        for k in range(len(SIZES) - 1)
    ]


def same(energy_pj: float, expected: Items) -> None:
    assert energy_pj == pytest.approx(sum(expected.values()), rel=1e-9)


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
    profiles = load_profiles()
    jelly, qualia, spyx = (price(counts, profiles[name])[1] for name in TOOLS)
    bias = bool(neuron.get("bias", True))
    leak = neuron.get("decay") != 1.0
    for image in range(IMAGES):
        layers = spiking_layers(measured, image, bias=bias, leak=leak)
        expected = estimators.network(estimators.spikingjelly_spiking, layers)
        same(jelly[image], expected)
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
