"""Every count of the ledger against loops that know nothing of it, and every energy.

Real digits. Counts must be equal, energies within 1e-9. What metrics/energy.csv states
of them is tested in `test_break_even.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.baselines.quantised import Widths, quantise, quantised_activations
from spikejoule.counts.measurement import (
    LayerCounts,
    Measurement,
    activity_of_layers,
)
from spikejoule.data.images import Dataset
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.encoders.regular import Regular
from spikejoule.encoding.events import PRODUCTS
from spikejoule.energy import (
    BaselineCounts,
    OperationCounts,
    count_operations,
    load_profiles,
    price,
)
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    WHOLE_WINDOW,
    Execution,
    Variant,
    baseline_variants,
    spiking_variants,
)
from spikejoule.energy.prices import PACKAGED, prices_pj
from spikejoule.engine import run_network
from spikejoule.evaluation.accuracy import exit_steps, step_outcomes
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import floats_of, integers_of, with_grids
from spikejoule.network.network import Network, weights_and_biases
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from tests.energy import recount

LEAD = 2
PRICES = recount.read_prices(PACKAGED)
ALIKE = [name for name, entry in PRICES.items() if entry["scope"] in recount.COMPARE]


@dataclass(frozen=True, eq=False)
class Case:
    """A network on some images: what is counted, and what the loops take."""

    encoder: Encoder
    measured: Measurement
    images: NDArray[np.uint8]
    weights: list[Any]
    pruned: bool

    def recounted(self, **how: Any) -> list[dict[tuple[str, str], int]]:
        """Of each image, by the loops."""
        layers = [layer.to_dense(np.uint8).tolist() for layer in self.measured.layers]
        targets = recount.reached(self.weights, self.pruned)
        neurons = self.measured.network.neurons
        of_code: dict[str, Any] = {}
        if isinstance(self.encoder, Latency):
            of_code = {
                "threshold": self.encoder.latency_threshold,
                "curve": self.encoder.latency_curve,
            }
        return [
            recount.spiking(
                [layer[number] for layer in layers],
                targets,
                bias=self.bias,
                leaks=[neuron.leaks for neuron in neurons],
                pruned=self.pruned,
                products=self.encoder.input_products,
                pixels=image.ravel().tolist(),
                kind=self.encoder.name,
                **of_code,
                **how,
            )
            for number, image in enumerate(self.images)
        ]

    @property
    def bias(self) -> bool:
        return self.measured.network.neuron.has_bias

    @property
    def words(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        """Widths and memories, by the loops."""
        widths = self.measured.network.quantisation
        bits = (
            {}
            if widths is None
            else {"weight_bits": widths.weight_bits, "state_bits": widths.state_bits}
        )
        once = self.encoder.input_products == "once"
        return recount.spiking_words(
            self.weights, self.bias, self.pruned, keeps_sums=once, **bits
        )

    def ways(self) -> dict[str, Variant]:
        """The network in every way of running it, stopping at the lead among them."""
        steps = exit_steps(
            step_outcomes(self.measured, np.zeros(len(self.images), int)), LEAD
        )
        assert len(set(steps.tolist())) > 1
        ways = spiking_variants(
            "n",
            self.measured,
            self.encoder,
            self.images,
            [Execution(WHOLE_WINDOW), Execution(EARLY_EXIT, None, steps)],
        )
        return {way.method: way for way in ways}


def case(
    images: NDArray[np.uint8],
    encoder: Encoder,
    hidden: tuple[int, ...],
    pruned: float = 0.0,
    widths: Quantisation | None = None,
    seed: int = 1,
    **neuron: Any,
) -> Case:
    """Random weights, large enough that every layer fires."""
    generator = np.random.default_rng(seed)
    architecture = Network.of_layers(784, hidden, 10, LeakyIntegrateAndFire(**neuron))
    state = {}
    for name, shape in architecture.parameter_shapes().items():
        values = generator.normal(0.05, 0.35, shape)
        if name.endswith("weight"):
            values[generator.random(shape) < pruned] = 0
            # A weight of zero that was not removed is a synapse.
            values[0, 0] *= pruned
            if shape[1] < 784:
                values *= 3
        state[name] = values.astype(np.float32)
    if widths is not None:
        architecture = with_grids(replace(architecture, quantisation=widths), state)
        state = floats_of(architecture, integers_of(architecture, state))
    events = encoder.events(images, np.uint64(7))
    layers = (events, *run_network(state, architecture, events))
    measured = Measurement(state, architecture, layers, pruned > 0)
    weights = [
        state[f"layer{number}.synapses.weight"].tolist()
        for number in range(1, len(hidden) + 2)
    ]
    return Case(encoder, measured, images, weights, pruned > 0)


def same_counts(
    operations: Any,
    expected: Sequence[dict[tuple[str, str], int]],
    words: dict[Any, Any],
) -> None:
    """The same terms at the same places, equal counts of each image, the same widths
    and sizes.
    """
    assert operations.counts.dtype == np.int64
    places = [(column.term, column.place) for column in operations.columns]
    assert len(set(places)) == len(places)
    for found, of_image in zip(operations.counts.tolist(), expected, strict=True):
        assert dict(zip(places, found, strict=True)) == of_image
    sizes = {
        place: (column.bits, column.memory_bits, column.parameters_bits)
        for place, column in zip(places, operations.columns, strict=True)
    }
    assert set(words) <= set(places)
    for place, (bits, stored, held) in sizes.items():
        assert words.get(place, (bits, 0, 0)) == (bits, stored, held), place


def same_energies(
    operations: OperationCounts,
    expected: Sequence[dict[Any, int]],
    words: dict[Any, Any],
) -> None:
    """The same energy of every image under every profile that prices both kinds of
    network.
    """
    profiles = load_profiles()
    for name in ALIKE:
        found = price(operations, profiles[name])
        n_priced = np.isfinite(prices_pj(operations.columns, profiles[name])[0]).sum()
        for number, counts in enumerate(expected):
            energies, parts = recount.energy(PRICES[name], counts, words)
            assert len(parts) == n_priced
            wanted = [np.nan if one is None else one for one in energies]
            assert found[:, number] == pytest.approx(wanted, rel=1e-9, nan_ok=True), (
                name
            )


NETWORKS = {
    "poisson, LIF": ({"hidden": (16,)}, Poisson(time_window=20, max_rate=80.0), False),
    "poisson, 80 % pruned": (
        {"hidden": (16,), "pruned": 0.8, "threshold": 1.0, "reset": "subtract"},
        Poisson(time_window=20, max_rate=80.0),
        False,
    ),
    "latency, IF without biases": (
        {"hidden": (16,), "decay": 1.0, "bias": False, "threshold": 1.0, "seed": 2},
        Latency(time_window=15),
        True,
    ),
    "two hidden layers": (
        {"hidden": (12, 9), "decay": (1.0, 0.9, 0.5), "threshold": 1.0, "seed": 2},
        Regular(time_window=20, max_rate=100.0),
        False,
    ),
    "logarithmic latency, pruned, without biases": (
        {"hidden": (11, 9), "pruned": 0.8, "bias": False, "threshold": 0.4, "seed": 3},
        Latency(time_window=9, latency_curve="logarithmic", latency_threshold=0.0),
        True,
    ),
    "8-bit integers, pruned": (
        {
            "hidden": (16,),
            "pruned": 0.8,
            "widths": Quantisation(8, 16),
            "threshold": 0.5,
        },
        Poisson(time_window=20, max_rate=80.0),
        False,
    ),
    "8-bit integers": (
        {"hidden": (16,), "widths": Quantisation(8, 32), "bias": False},
        Poisson(time_window=20, max_rate=80.0),
        True,
    ),
    **{
        f"direct, {products}, bias {bias}, {pruned:.0%} pruned": (
            {
                "hidden": (9,),
                "bias": bias,
                "threshold": volts,
                "pruned": pruned,
                "seed": seed,
            },
            Direct(time_window=6, direct_products=products),
            lazily,
        )
        for products in PRODUCTS
        for bias, pruned, volts, seed, lazily in (
            (True, 0.8, 1.0, 2, False),
            (False, 0.8, 2.0, 5, True),
            (False, 0.0, 4.0, 2, False),  # every output neuron is reached in every step
        )
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spiking_networks(mnist5k: Dataset, name: str) -> None:
    """Four ways of running it, and their energies."""
    network, encoder, lazily = NETWORKS[name]
    given = case(mnist5k.test.images[:6], encoder, **network)
    words, ways = given.words, given.ways()
    expected = {
        "whole window": given.recounted(),
        "early exit": given.recounted(lead=LEAD),
    }
    if lazily:
        expected["whole window, lazy updates"] = given.recounted(lazy=True)
        expected["early exit, lazy updates"] = given.recounted(lazy=True, lead=LEAD)
    assert set(ways) == set(expected)
    for method, counts in expected.items():
        same_counts(ways[method].operations, counts, words)
        same_energies(ways[method].operations, counts, words)


@pytest.mark.parametrize("products", PRODUCTS)
def test_means_alone_give_the_same_but_for_the_code(
    mnist5k: Dataset, products: Any
) -> None:
    code = Direct(time_window=6, direct_products=products)
    given = case(mnist5k.test.images[:5], code, (9,), pruned=0.8, threshold=6.0)
    measured, expected = given.measured, given.recounted()
    assert measured.input_macs is not None
    means = count_operations(
        activity_of_layers(
            measured.bound,
            6,
            LayerCounts(
                spikes=np.array([[*measured.counts.means.values()]]),
                events=measured.synaptic_events.mean(axis=0)[None],
                macs=measured.input_macs.mean()[None],
                products=products,
            ),
            pruned=measured.pruned,
        )
    )
    of_code = ("pixel_read", "random_draw", "code_")
    wanted = {
        key: sum(one[key] for one in expected) / len(expected)
        for key in expected[0]
        if not key[0].startswith(of_code)
    }
    places = [(column.term, column.place) for column in means.columns]
    assert dict(zip(places, means.means.tolist(), strict=True)) == pytest.approx(wanted)


def baseline(
    images: NDArray[np.uint8],
    sizes: tuple[int, ...],
    pruned: float,
    bits: int = 32,
    has_bias: bool = True,
) -> tuple[BaselineCounts, list[NDArray[Any]], list[Any]]:
    """A ReLU network: what is counted, its activations of every layer, and its
    weights.
    """
    generator = np.random.default_rng(3)
    weights = [
        generator.normal(0, 0.1, shape)
        for shape in zip(sizes[1:], sizes[:-1], strict=True)
    ]
    for matrix in weights:
        matrix[generator.random(matrix.shape) < pruned] = 0
    biases = [generator.normal(0, 0.1, size) * has_bias for size in sizes[1:]]
    layers = [images.reshape(len(images), -1) / 255]
    for matrix, bias in zip(weights, biases, strict=True):
        layers.append(layers[-1] @ matrix.T + bias)
        if len(layers) < len(sizes):
            layers[-1] = layers[-1].clip(min=0)
    activation_bits = sum_bits = 32
    if bits < 32:
        activation_bits, sum_bits = 6 if pruned else 8, 16 if bits < 8 else 32
        state = {
            f"layer{k}.weight": one.astype(np.float32) for k, one in enumerate(weights)
        }
        if has_bias:
            state |= {
                f"layer{k}.bias": one.astype(np.float32) for k, one in enumerate(biases)
            }
        network = quantise(
            state,
            [layer.astype(np.float32) for layer in layers],
            Widths(activation_bits, bits, sum_bits),
        )
        layers = [
            layer.astype(float) for layer in quantised_activations(network, images)
        ]
        weights = [
            matrix.astype(float) for matrix, _ in weights_and_biases(network.arrays)
        ]
    left = [(m != 0) if pruned else np.ones(m.shape, bool) for m in weights]
    on = [layer != 0 for layer in layers[:-1]]
    counted = BaselineCounts(
        name="ReLU",
        network=ConventionalNetwork.of_layers(
            sizes[0], sizes[1:-1], sizes[-1], has_bias
        ),
        synapses=tuple(int(kept.sum()) for kept in left),
        weight_bits=bits,
        activation_bits=activation_bits,
        sum_bits=sum_bits,
        equal_size=True,
        validation_accuracy_percent=92.0,
        accuracy_percent=91.0,
        macs_nonzero=np.stack(
            [
                one.astype(np.int64) @ kept.sum(axis=0)
                for one, kept in zip(on, left, strict=True)
            ],
            axis=1,
        ),
    )
    return counted, layers, [matrix.tolist() for matrix in weights]


BASELINES = {
    "float32": ((784, 12, 10), 0.0, 32),
    "80 % pruned": ((784, 12, 10), 0.8, 32),
    "two hidden layers, 90 % pruned": ((784, 12, 9, 10), 0.9, 32),
    "8 bits": ((784, 12, 10), 0.0, 8),
    "8 bits, pruned": ((784, 12, 10), 0.8, 8),
    "4 bits, sums of 16": ((784, 12, 10), 0.8, 4),
    "no bias": ((784, 12, 10), 0.0, 32, False),
    "4 bits, sums of 16, no bias": ((784, 12, 9, 10), 0.8, 4, False),
}


@pytest.mark.parametrize("name", BASELINES)
def test_conventional_networks(mnist5k: Dataset, name: str) -> None:
    """Both ways of running it, and their energies."""
    images = mnist5k.test.images[:4]
    sizes, pruned, bits, *no_bias = BASELINES[name]
    has_bias = not no_bias
    counted, layers, weights = baseline(images, sizes, pruned, bits, has_bias)
    found = {each.method: each for each in baseline_variants((counted,), len(images))}
    for method, skips in (("dense", False), ("zero-skipping", True)):
        words = recount.conventional_words(
            sizes,
            counted.synapses,
            skips,
            pruned > 0,
            bits,
            counted.activation_bits,
            counted.sum_bits,
            has_bias,
        )
        expected = [
            recount.conventional(
                list(of_image),
                weights,
                skips,
                pruned > 0,
                bits < 32,
                rounds=counted.activation_bits not in (8, 16, 32),
                bias=has_bias,
            )
            for of_image in zip(*(layer.tolist() for layer in layers), strict=True)
        ]
        operations = found[method].operations
        same_counts(operations, expected, words)
        same_energies(operations, expected, words)
