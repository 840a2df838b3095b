"""The ReLU networks and their quantised forms against loops over plain numbers."""

import math
from pathlib import Path

import numpy as np
import pytest

from spikejoule.baselines.counts import MeasuredBaseline, load_baseline, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    Widths,
    quantise,
    quantised_activations,
)
from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.counts.training import TrainingRecord
from spikejoule.data.images import LabelledImages
from spikejoule.energy.training.counting import count_training
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.training.relu.running import activations
from tests.energy.by_hand import conventional_training

SMALL = ConventionalNetwork.of_layers(784, (12, 9), 10)
SEED = 3


def random_state(network: ConventionalNetwork, seed: int = 1) -> dict[str, np.ndarray]:
    """Weights and biases with which about half of the hidden units are silent."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0, 0.2, shape).astype(np.float32)
        for name, shape in network.parameter_shapes().items()
    }


def random_images(n_images: int, seed: int = 2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n_images, 28, 28), dtype=np.uint8)
    images[generator.random(images.shape) < 0.8] = 0
    return images


def naive_quantised(
    network: QuantisedNetwork, image: list[int]
) -> tuple[list[list[int]], list[float]]:
    """Levels and scores of one image in Python's integers, rounding by hand."""
    top = network.widths.largest_activation
    levels = [[math.floor(pixel * top / 255 + 0.5) for pixel in image]]
    scores: list[float] = []
    for layer in network.layers:
        sums = []
        assert layer.bias is not None
        parameters = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        for weights, bias in parameters:
            total = bias
            for weight, level in zip(weights, levels[-1], strict=True):
                total += weight * level
            half = network.widths.half_of_sums
            sums.append(min(max(total, -half), half - 1))
        if layer is network.layers[-1]:
            return levels, sums
        rounded = [
            (2 * total * layer.multiplier + 2**layer.shift) // 2 ** (layer.shift + 1)
            for total in sums
        ]
        levels.append([min(max(value, 0), top) for value in rounded])
    return levels, scores


@pytest.mark.parametrize(("bits", "sum_bits"), [(1, 32), (8, 16), (14, 32)])
def test_the_quantised_network_equals_a_loop_in_integers(
    bits: int, sum_bits: int
) -> None:
    state = random_state(SMALL)
    images = random_images(4)
    calibration = activations(state, random_images(50, 9))
    network = quantise(state, calibration, Widths(bits, 8, sum_bits))
    layers = quantised_activations(network, images)
    for image in range(4):
        levels, scores = naive_quantised(network, images[image].ravel().tolist())
        for levels_found, expected in zip(layers[:-1], levels, strict=True):
            assert levels_found[image].tolist() == expected
            assert max(expected) <= 2**bits - 1
        assert layers[-1][image].tolist() == scores


LABELS = np.array([3, 1, 4, 1], dtype=np.uint8)


def measured() -> list[MeasuredBaseline]:
    """A network, an integer one, and a pruned integer one without biases."""
    network = ConventionalNetwork.of_layers(784, (12,), 10)
    state = random_state(network)
    few = {
        name: np.where(values > 0.1, values, 0)
        for name, values in state.items()
        if values.ndim == 2
    }
    samples = LabelledImages(random_images(4), LABELS, np.arange(4))
    splits = {"validation": samples.select(slice(2)), "test": samples}
    exact = activations(state, samples.images)
    return [
        measure_baseline("exact", state, True, False, splits),
        measure_baseline(
            "coarse", quantise(state, exact, Widths(6, 8, 32)), True, False, splits
        ),
        measure_baseline(
            "few", quantise(few, exact, Widths(4, 4, 16)), False, True, splits
        ),
    ]


def trained(baseline: MeasuredBaseline) -> TrainingRecord:
    """An epoch of one batch of five images."""
    return conventional_training(
        baseline.counts.network,
        [10, 20],
        [2, 4],
        samples=5,
        n_epochs=1,
        batch_size=5,
        weight_decay=False,
    )


def test_the_file_holds_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    baselines = measured()
    baselines = [baseline.trained_in(trained(baseline)) for baseline in baselines]
    save_baseline(path, baselines, LABELS)
    loaded = load_baseline(path)
    for counts, baseline in zip(loaded, baselines, strict=True):
        found = counts.activity
        written = baseline.counts.activity
        assert (found.network, found.pruned) == (written.network, written.pruned)
        assert counts.macs_nonzero.tolist() == baseline.counts.macs_nonzero.tolist()
        assert counts.weights_sha256 == baseline.counts.weights_sha256
        assert counts.training is not None
        assert counts.training.touched.tolist() == [[10, 20]]
        assert counts.training.gradients_reached is not None
        assert counts.training.gradients_reached.tolist() == [[2, 4]]
    exact, coarse, few = loaded
    assert [counts.network.has_bias for counts in loaded] == [True, True, False]
    assert [counts.network.state_bits for counts in loaded] == [32, 32, 16]
    assert [counts.activity.pruned for counts in loaded] == [False, False, True]
    widths = (coarse.network.weight_bits, coarse.network.activation_bits)
    assert (coarse.name, *widths) == ("coarse", 8, 6)
    assert exact.macs_dense == coarse.macs_dense == 784 * 12 + 120
    assert few.macs_dense < exact.macs_dense / 2
    with pytest.raises(ArtifactError, match="other test images"):
        load_baseline(path, LABELS + 1)
    with pytest.raises(ArtifactError, match="exact reads 784 pixels"):
        load_baseline(path, n_input=100)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "schema"}
    for place in range(3):
        training = np.full(4, 2)
        training[place] = 0
        write_npz(path, "spikejoule/baseline/6", arrays | {"training": training})
        with pytest.raises(ArtifactError, match="training has no epochs"):
            load_baseline(path)
    arrays["baseline1.synapses"] = np.array([1, 1])
    write_npz(path, "spikejoule/baseline/6", arrays)
    with pytest.raises(ArtifactError, match="not the number of its weights"):
        load_baseline(path)


def test_training_counts_removed_synapses_in_their_place(tmp_path: Path) -> None:
    """3-2-2 with one white pixel of three, where both synapses of its input are left.

    Its six synapses are trained, so each of 5 samples has two products.
    """
    state = {
        "layer1.synapses.weight": np.array([(1, 0, 0), (1, 0, 0)], np.float32),
        "layer2.synapses.weight": np.ones((2, 2), np.float32),
    }
    images = np.array([[(255, 0, 0)]] * 4, np.uint8)
    samples = LabelledImages(images, LABELS, np.arange(4))
    splits = {"validation": samples, "test": samples}
    measured = measure_baseline("pruned", state, False, True, splits)
    path = tmp_path / "baseline.npz"
    save_baseline(path, [measured.trained_in(trained(measured))], LABELS)
    (loaded,) = load_baseline(path)
    assert loaded.macs_nonzero.tolist() == [[2, 4]] * 4
    assert loaded.training is not None
    counted = count_training(loaded.training)
    products = [
        counts.tolist()
        for column, counts in zip(counted.columns, counted.counts.T, strict=True)
        if column.place == "input_to_hidden" and column.term in ("mac", "gradient_mac")
    ]
    assert products == [[10]] * 2
    masks = {
        column.place: int(counts[0])
        for column, counts in zip(counted.columns, counted.counts.T, strict=True)
        if column.term == "mask_read"
    }
    assert masks == {"input_to_hidden": 6, "hidden_to_output": 4}
