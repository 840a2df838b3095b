"""The family: networks trained side by side, pruned and in integers."""

from collections.abc import Sequence

import numba
import numpy as np
import pytest

from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    quantised_activations,
)
from spikejoule.baselines.settings import (
    BaselineSettings,
    BaselineTraining,
    BaselineVariant,
    family,
)
from spikejoule.baselines.training import (
    BaselinesTraining,
    TrainedBaseline,
    train_baselines,
)
from spikejoule.core.errors import ParameterError
from spikejoule.data.dataset import Dataset
from spikejoule.data.images import LabelledImages
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.pruning import PruningSettings
from spikejoule.training.relu.running import activations
from tests.tools.interrupted import cut_short_after_every_epoch
from tests.tools.settings import changed

SEED = 3
EPOCHS = 5
SETTINGS = BaselineTraining(
    batch_size=32,
    max_epochs=EPOCHS,
    schedule="one_cycle",
    lr=0.01,
    shift_pixels=1,
    rotate_degrees=5.0,
    weight_decay=1e-5,
    label_smoothing=0.1,
)
FAMILY = BaselineSettings(
    family_hidden=(9,), family_pruned=(0.0, 0.8), family_bits=(32, 8, 4)
)
NO_BIAS = changed(
    FAMILY, family_pruned=(0.8,), family_bits=(32, 4), family_bias=(False,)
)
PRUNING_EPOCHS = (0.2, 0.6)
THRESHOLD = 114
Digits = tuple[LabelledImages, LabelledImages]
Trained = tuple[TrainedBaseline, ...]


@pytest.fixture(scope="module")
def digits(mnist5k: Dataset) -> Digits:
    chosen = np.random.default_rng(0).permutation(4000)
    return mnist5k.train.select(chosen[:480]), mnist5k.train.select(chosen[480:680])


@pytest.fixture(scope="module")
def variants() -> list[BaselineVariant]:
    deep = ConventionalNetwork.of_layers(784, (9, 6), 10)
    return [
        *family(784, 10, FAMILY, PRUNING_EPOCHS, 16),
        *family(784, 10, NO_BIAS, PRUNING_EPOCHS, 16),
        BaselineVariant(
            deep, bits=4, sum_bits=16, pixel_threshold=THRESHOLD, shifts=True
        ),
        BaselineVariant(deep, equal_size=True),
        BaselineVariant(deep),
        BaselineVariant(deep, PruningSettings(pruned_fraction=0.5), 5),
        BaselineVariant(deep, bits=6),
    ]


@pytest.fixture(scope="module")
def trained(digits: Digits, variants: list[BaselineVariant]) -> Trained:
    return trained_on(digits, variants)


def trained_on(
    digits: Digits,
    variants: Sequence[BaselineVariant],
    settings: BaselineTraining = SETTINGS,
) -> Trained:
    training = BaselinesTraining(*digits, variants, settings, SEED)
    return train_baselines(training).baselines


def parameters(baseline: TrainedBaseline) -> list[np.ndarray]:
    if isinstance(baseline.network, QuantisedNetwork):
        return [
            array
            for layer in baseline.network.layers
            for array in (layer.weight, layer.bias)
            if array is not None
        ]
    return list(baseline.network.values())


def assert_same(actual: Trained, expected: Trained) -> None:
    """The same networks, to the bit."""
    for one, other in zip(actual, expected, strict=True):
        assert (one.variant, one.best_epoch) == (other.variant, other.best_epoch)
        assert one.validation_accuracies_percent == other.validation_accuracies_percent
        for values, its in zip(parameters(one), parameters(other), strict=True):
            assert values.dtype == its.dtype
            assert values.tobytes() == its.tobytes()


class TestSideBySide:
    def test_as_each_alone(
        self, digits: Digits, variants: list[BaselineVariant], trained: Trained
    ) -> None:
        settings = changed(SETTINGS, max_epochs=1)
        together = trained_on(digits, variants, settings)
        for variant, baseline in zip(variants, together, strict=True):
            assert_same(trained_on(digits, [variant], settings), (baseline,))

    def test_a_variant_of_equal_size_is_another_network(self, trained: Trained) -> None:
        *_, equal, alike, _, _ = trained
        assert (equal.variant.equal_size, alike.variant.equal_size) == (True, False)
        for one, other in zip(parameters(equal), parameters(alike), strict=True):
            assert one.tobytes() == other.tobytes()

    def test_diverging_is_refused(
        self, digits: Digits, variants: list[BaselineVariant]
    ) -> None:
        settings = changed(SETTINGS, schedule="constant").model_copy(
            update={"lr": 1e30}
        )
        with pytest.raises(ParameterError, match=r"diverged in epoch 1.*baseline\.lr"):
            trained_on(digits, variants, settings)


def test_sums_need_room_for_activations_of_more_than_one_bit() -> None:
    wide = changed(FAMILY, family_bits=(11, 32))
    assert next(family(784, 10, wide, PRUNING_EPOCHS, 32)).activation_bits == 11
    with pytest.raises(ParameterError, match="allowed are up to 10, and 32"):
        next(family(784, 10, wide, PRUNING_EPOCHS, 16))


def test_without_biases_has_none(trained: Trained) -> None:
    without = [one for one in trained if one.variant.name.endswith(", no bias")]
    assert [one.variant.bits for one in without] == [32, 4]
    for one in without:
        assert [values.ndim for values in parameters(one)] == [2, 2]


def test_counts_of_integers(digits: Digits, trained: Trained) -> None:
    name = "ReLU 784-9-10, 80 % pruned, 4 bits, 16-bit sums"
    (baseline,) = (network for network in trained if network.variant.name == name)
    assert isinstance(baseline.network, QuantisedNetwork)
    samples = digits[1].select(slice(4))
    splits = {"validation": samples, "test": samples}
    measured = measure_baseline(name, baseline.network, False, True, splits)
    matrices = [layer.weight for layer in baseline.network.layers]
    *layers, scores = quantised_activations(baseline.network, samples.images)
    for number, (levels, matrix) in enumerate(zip(layers, matrices, strict=True)):
        assert np.abs(matrix).max() <= 7
        assert measured.counts.synapses[number] == np.count_nonzero(matrix)
        for image, its_levels in enumerate(levels):
            expected = np.count_nonzero((matrix != 0) & (its_levels != 0))
            assert measured.counts.macs_nonzero[image, number] == expected
    assert measured.predictions.tolist() == [
        row.index(max(row)) for row in scores.tolist()
    ]


def test_networks_learn_and_are_what_was_validated(
    digits: Digits, trained: Trained
) -> None:
    """Integers and rounded floats of the training agree on validation images."""
    images, labels = digits[1].images, digits[1].labels
    for baseline in trained:
        network = baseline.network
        if isinstance(network, QuantisedNetwork):
            pixels, *_, scores = quantised_activations(network, images)
            if baseline.variant.pixel_threshold is not None:
                assert np.array_equal(pixels, images.reshape(pixels.shape) > THRESHOLD)
            multipliers = [layer.multiplier for layer in network.layers[:-1]]
            are_shifts = all(number.bit_count() == 1 for number in multipliers)
            assert are_shifts == baseline.variant.shifts
            assert network.widths.weight == baseline.variant.bits
            assert network.widths.activation == baseline.variant.activation_bits
        else:
            *_, scores = activations(network, images)
        percent = 100 * np.mean(scores.argmax(axis=1) == labels)
        best = baseline.best_validation_accuracy_percent
        assert percent == pytest.approx(best, abs=0.51)
        assert best == max(baseline.validation_accuracies_percent) > 25


def test_killed_after_every_epoch_on_one_thread(
    digits: Digits, variants: list[BaselineVariant], trained: Trained
) -> None:
    """To the bit as without kills, on all threads."""
    numba_threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        ended, cuts = cut_short_after_every_epoch(
            lambda state_store: train_baselines(
                BaselinesTraining(*digits, variants, SETTINGS, SEED), state_store
            )
        )
    finally:
        numba.set_num_threads(numba_threads)
    assert cuts == len(ended.epoch_seconds) == EPOCHS
    assert_same(ended.baselines, trained)
