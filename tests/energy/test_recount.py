"""Every count and energy of the ledger, on real digits, against independent loops.

Counts must be equal, energies within 1e-9. `test_break_even.py` tests what
metrics/energy.csv states of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.baselines.quantised import Widths, quantise, quantised_activations
from spikejoule.counts.measurement import (
    Measurement,
    activity_of_products,
)
from spikejoule.data.dataset import Dataset
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.binary import Binary
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.encoders.regular import Regular
from spikejoule.energy.ledger import Variant, baseline_variants, spiking_variant
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import PACKAGED, load_profiles, price
from spikejoule.engine import run_network
from spikejoule.evaluation.early_exit import exit_steps, step_outcomes
from spikejoule.evaluation.runs import EARLY_EXIT, WHOLE_WINDOW, counted_runs
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import floats_of, integers_of, with_grids
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.readout import Readout
from spikejoule.report.names import way
from tests.energy import recount

LEAD = 2
PRICES = recount.read_prices(PACKAGED)


@dataclass(frozen=True)
class Drawn:
    """A network with random weights, large enough that every layer fires."""

    hidden: tuple[int, ...]
    neuron: dict[str, Any] = field(default_factory=dict)
    pruned: float = 0.0
    widths: Quantisation | None = None
    seed: int = 1
    readout: Readout = Readout.SPIKES

    def network(self) -> tuple[Network, dict[str, NDArray[np.float32]]]:
        """Draw the network and its parameters."""
        generator = np.random.default_rng(self.seed)
        neuron = LeakyIntegrateAndFire(**self.neuron)
        network = Network.of_layers(784, self.hidden, 10, neuron)
        network = network.with_readout(self.readout)
        state = {}
        for name, shape in network.parameter_shapes().items():
            values = generator.normal(0.05, 0.35, shape)
            if name.endswith("weight"):
                values[generator.random(shape) < self.pruned] = 0
                # Unless it was removed, a weight of zero is a synapse.
                values[0, 0] *= self.pruned
                if shape[1] < 784:
                    values *= 3
            state[name] = values.astype(np.float32)
        if self.widths is not None:
            network = with_grids(replace(network, quantisation=self.widths), state)
            state = floats_of(network, integers_of(network, state))
        return network, state


@dataclass(frozen=True, eq=False)
class Case:
    """A network on some images: what is counted, and what the loops need."""

    encoder: Encoder
    measured: Measurement
    images: NDArray[np.uint8]
    weights: list[Any]

    def recounted(self, **how: Any) -> list[recount.Counts]:
        """Recount each image in loops."""
        layers = [layer.to_dense(np.uint8).tolist() for layer in self.measured.layers]
        potentials = self.measured.layers[-1].potentials
        pruned = self.measured.pruned
        encoding = recount.Encoding(self.encoder.name)
        if isinstance(self.encoder, Latency):
            encoding.threshold = self.encoder.latency_threshold
            encoding.curve = self.encoder.latency_curve
        return [
            recount.Spiking(
                layers=[layer[number] for layer in layers],
                targets=recount.reached(self.weights, pruned),
                bias=self.bias,
                leaks=[neuron.leaks for neuron in self.measured.network.neurons],
                pixels=image.ravel().tolist(),
                encoding=encoding,
                pruned=pruned,
                products=self.encoder.input_products,
                potentials=None if potentials is None else potentials[number].tolist(),
                initial=self.measured.network.neuron.starts_at_bias,
                of_any=self.measured.network.readout is Readout.MAX_POTENTIAL,
                **how,
            ).recount()
            for number, image in enumerate(self.images)
        ]

    @property
    def bias(self) -> bool:
        return self.measured.network.neuron.has_bias

    @property
    def words(self) -> recount.Words:
        """Widths and memories, by the loops."""
        bits = recount.Bits()
        widths = self.measured.network.quantisation
        if widths is not None:
            bits = recount.Bits(weight=widths.weight_bits, sum=widths.state_bits)
        once = self.encoder.input_products == "once"
        pruned = self.measured.pruned
        return recount.spiking_words(self.weights, self.bias, pruned, bits, once)

    def ways(self) -> dict[str, Variant]:
        """Count every way of running the network."""
        outcomes = step_outcomes(self.measured, np.zeros(len(self.images), int))
        steps = exit_steps(outcomes, LEAD)
        assert len(set(steps.tolist())) > 1
        runs = counted_runs(self.measured, self.encoder, self.images, steps)
        return {way(one): one for one in map(spiking_variant, runs)}


def case(images: NDArray[np.uint8], encoder: Encoder, drawn: Drawn) -> Case:
    network, state = drawn.network()
    events = encoder.events(images, np.uint64(7))
    layers = (events, *run_network(state, network, events))
    measured = Measurement(state, network, layers, drawn.pruned > 0)
    weights = [
        state[f"layer{number}.synapses.weight"].tolist()
        for number in range(1, len(drawn.hidden) + 2)
    ]
    return Case(encoder, measured, images, weights)


def same_counts(
    operations: OperationCounts,
    expected: Sequence[recount.Counts],
    words: recount.Words,
) -> None:
    """Check the counts of each image, widths and memory sizes."""
    assert operations.counts.dtype == np.int64
    places = [(column.term, column.place) for column in operations.columns]
    assert len(set(places)) == len(places)
    for counts, of_image in zip(operations.counts.tolist(), expected, strict=True):
        assert Counter(dict(zip(places, counts, strict=True))) == of_image
    counted = {place for of_image in expected for place in +of_image}
    held = {place for place, (_, held, *_) in words.items() if held}
    assert held & counted <= set(places)
    for place, column in zip(places, operations.columns, strict=True):
        sizes = (column.bits, column.memory_bits, column.parameters_bits)
        assert words.get(place, (column.bits, 0, 0))[:3] == sizes, place


def same_energies(
    operations: OperationCounts,
    expected: Sequence[recount.Counts],
    words: recount.Words,
) -> None:
    """Check each image's energy under every price list."""
    for name, profile in load_profiles().items():
        energies = price(operations, profile)
        for number, counts in enumerate(expected):
            total = recount.energy(PRICES[name], counts, words)
            close = pytest.approx(total, rel=1e-9, nan_ok=True)
            assert energies[:, number] == close, name


POISSON = Poisson(time_window=20, max_rate=80.0)
NETWORKS: dict[str, tuple[Drawn, Encoder]] = {
    "poisson, LIF": (Drawn((16,)), POISSON),
    "latency, IF without biases": (
        Drawn((16,), {"decay": 1.0, "bias": False, "threshold": 1.0}, seed=2),
        Latency(time_window=15),
    ),
    "two hidden layers": (
        Drawn((12, 9), {"decay": (1.0, 0.9, 0.5), "threshold": 1.0}, seed=2),
        Regular(time_window=20, max_rate=100.0),
    ),
    "logarithmic latency, pruned, without biases": (
        Drawn((11, 9), {"bias": False, "threshold": 0.4}, pruned=0.8, seed=3),
        Latency(time_window=9, latency_curve="logarithmic", latency_threshold=0.0),
    ),
    "8-bit integers, pruned": (
        Drawn((16,), {"threshold": 0.5}, pruned=0.8, widths=Quantisation(8, 16)),
        POISSON,
    ),
    "initial biases": (
        Drawn((16, 12), {"bias": "initial", "threshold": 0.6}, pruned=0.5, seed=3),
        POISSON,
    ),
    "binary pixels, largest potentials of IF neurons": (
        Drawn((16,), {"decay": 1.0, "bias": False}, readout=Readout.MAX_POTENTIAL),
        Binary(time_window=4, binary_threshold=0.3),
    ),
    "potentials, without leak": (
        Drawn((16,), {"decay": (0.9, 1.0)}, readout=Readout.POTENTIAL),
        POISSON,
    ),
    "largest potentials of integers, pruned, without biases": (
        Drawn(
            (16,),
            {"threshold": 0.5, "bias": False},
            pruned=0.8,
            widths=Quantisation(8, 16),
            readout=Readout.MAX_POTENTIAL,
        ),
        POISSON,
    ),
    "direct once, bias": (
        Drawn((9,), {"threshold": 1.0}, pruned=0.8, seed=2),
        Direct(time_window=6, direct_products="once"),
    ),
    "direct once, no bias": (
        Drawn((9,), {"bias": False, "threshold": 2.0}, pruned=0.8, seed=5),
        Direct(time_window=6, direct_products="once"),
    ),
    # A spike reaches every output neuron in every step.
    "direct every step, no bias": (
        Drawn((9,), {"bias": False, "threshold": 4.0}, seed=2),
        Direct(time_window=6, direct_products="every_step"),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spiking_networks(mnist5k: Dataset, name: str) -> None:
    """Count up to four ways of running each network, and their energies."""
    drawn, encoder = NETWORKS[name]
    counted = case(mnist5k.test.images[:6], encoder, drawn)
    words = counted.words
    ways = counted.ways()
    expected = {}
    for method, lead in ((WHOLE_WINDOW, None), (EARLY_EXIT, LEAD)):
        expected[method] = counted.recounted(lead=lead)
        lazy = counted.recounted(lead=lead, lazy=True)
        if lazy != expected[method]:
            expected[f"{method}, lazy updates"] = lazy
    assert set(ways) == set(expected)
    for method, counts in expected.items():
        same_counts(ways[method].operations, counts, words)
        same_energies(ways[method].operations, counts, words)


@dataclass(frozen=True)
class DrawnBaseline:
    """A ReLU network with random weights, quantised below 32 bits."""

    sizes: tuple[int, ...]
    pruned: float = 0.0
    bits: int = 32
    has_bias: bool = True
    pixel_threshold: int | None = None
    shifts: bool = False

    @property
    def widths(self) -> recount.Bits:
        if self.bits == 32:
            return recount.Bits()
        return recount.Bits(
            weight=self.bits,
            activation=6 if self.pruned else 8,
            sum=16 if self.bits < 8 else 32,
        )

    def network(
        self, images: NDArray[np.uint8]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return the activations of every layer, and the weights."""
        generator = np.random.default_rng(3)
        weights = [
            generator.normal(0, 0.1, shape)
            for shape in zip(self.sizes[1:], self.sizes[:-1], strict=True)
        ]
        for matrix in weights:
            matrix[generator.random(matrix.shape) < self.pruned] = 0
        biases = [
            generator.normal(0, 0.1, size) * self.has_bias for size in self.sizes[1:]
        ]
        layers = [images.reshape(len(images), -1) / 255]
        for matrix, bias in zip(weights, biases, strict=True):
            layers.append(layers[-1] @ matrix.T + bias)
            if len(layers) < len(self.sizes):
                layers[-1] = layers[-1].clip(min=0)
        if self.bits == 32:
            return layers, weights
        state = {}
        for k, (matrix, bias) in enumerate(zip(weights, biases, strict=True)):
            state[f"layer{k}.weight"] = matrix.astype(np.float32)
            if self.has_bias:
                state[f"layer{k}.bias"] = bias.astype(np.float32)
        widths = Widths(self.widths.activation, self.bits, self.widths.sum)
        floats = [layer.astype(np.float32) for layer in layers]
        quantised = quantise(state, floats, widths)
        quantised = replace(quantised, pixel_threshold=self.pixel_threshold)
        activations = quantised_activations(quantised, images)
        integers = [layer.weight for layer in quantised.layers]
        return (
            [layer.astype(float) for layer in activations],
            [matrix.astype(float) for matrix in integers],
        )


def counted_baseline(
    drawn: DrawnBaseline, layers: list[NDArray[Any]], weights: list[NDArray[Any]]
) -> CountedBaseline:
    macs = []
    for matrix, layer in zip(weights, layers[:-1], strict=True):
        kept = (matrix != 0) if drawn.pruned else np.ones(matrix.shape, bool)
        macs.append((layer != 0).astype(np.int64) @ kept.sum(axis=0))
    first, *hidden, last = drawn.sizes
    network = ConventionalNetwork.of_layers(first, tuple(hidden), last, drawn.has_bias)
    state = {f"layer{k}.synapses.weight": matrix for k, matrix in enumerate(weights)}
    network = replace(
        network.with_weights(state),
        weight_bits=drawn.bits,
        activation_bits=drawn.widths.activation,
        state_bits=drawn.widths.sum,
        has_binary_input=drawn.pixel_threshold is not None,
        shifts=drawn.shifts,
    )
    return CountedBaseline(
        name="ReLU",
        activity=activity_of_products(
            network, np.stack(macs, axis=1), drawn.pruned > 0
        ),
        equal_size=True,
        validation_accuracy_percent=92.0,
        accuracy_percent=91.0,
    )


BASELINES = {
    "two hidden layers, 90 % pruned": DrawnBaseline((784, 12, 9, 10), 0.9),
    "no bias": DrawnBaseline((784, 12, 10), has_bias=False),
    "8 bits": DrawnBaseline((784, 12, 10), bits=8),
    "4 bits, no bias": DrawnBaseline((784, 12, 9, 10), 0.8, bits=4, has_bias=False),
    "1-bit pixels and shifts": DrawnBaseline(
        (784, 12, 9, 10), 0.8, bits=4, pixel_threshold=114, shifts=True
    ),
}


@pytest.mark.parametrize("name", BASELINES)
def test_conventional_networks(mnist5k: Dataset, name: str) -> None:
    """Count both ways of running each network, and their energies."""
    images = mnist5k.test.images[:4]
    drawn = BASELINES[name]
    layers, weights = drawn.network(images)
    counted = counted_baseline(drawn, layers, weights)
    variants = {way.method: way for way in baseline_variants((counted,), len(images))}
    for method, skips in (("dense", False), ("zero-skipping", True)):
        networks = [
            recount.Conventional(
                layers=list(activations),
                weights=[matrix.tolist() for matrix in weights],
                skips=skips,
                pruned=drawn.pruned > 0,
                bits=drawn.widths,
                bias=drawn.has_bias,
                binary=drawn.pixel_threshold is not None,
                shifts=drawn.shifts,
            )
            for activations in zip(*(layer.tolist() for layer in layers), strict=True)
        ]
        words = recount.conventional_words(networks[0], counted.synapses)
        expected = [network.recount() for network in networks]
        operations = variants[method].operations
        same_counts(operations, expected, words)
        same_energies(operations, expected, words)
