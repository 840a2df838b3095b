"""A conventional network that multiplies nothing: written as it is, and compared with nothing."""

from pathlib import Path

import numpy as np
import pytest

from spikejoule.foundation.errors import ArtifactError
from spikejoule.learn.relu_network import activations
from spikejoule.model.architecture import Architecture
from spikejoule.rival.baseline_files import BASELINE, load_baseline, save_baseline
from spikejoule.rival.counts import BaselineCounts
from spikejoule.rival.quantised import quantise
from spikejoule.rival.relu import nonzero_macs

ARCHITECTURE = Architecture(784, (3,), 10)


def write(path: Path, images: np.ndarray) -> list[int]:
    """A network without biases, counted on images [N, 28, 28]; its MACs without zeros."""
    state = {
        name: np.full(shape, 0.1 if name.endswith("weight") else 0.0, np.float32)
        for name, shape in ARCHITECTURE.parameter_shapes().items()
    }
    exact = activations(state, images)
    macs = nonzero_macs(exact, ARCHITECTURE)
    labels = np.zeros(len(images), np.uint8)
    count = BaselineCounts("ReLU 784-3-10", 100.0, sum(ARCHITECTURE.synapses), macs, 32)
    white = activations(state, np.full((1, 28, 28), 255, np.uint8))
    save_baseline(path, [count], [labels], labels, state, quantise(state, white, 6, 8))
    return macs.tolist()


def test_no_energy_is_divided_by_that_of_a_silent_rival(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    assert write(path, np.zeros((2, 28, 28), np.uint8)) == [0, 0]
    assert not BASELINE.read(path)["macs_nonzero"].any()
    with pytest.raises(ArtifactError, match="ReLU 784-3-10 multiplies nothing on any image"):
        load_baseline(path)


def test_one_lit_image_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 5, 5] = 255
    assert write(path, images) == [0, 3 + 3 * 10]
    (counts,) = load_baseline(path)
    assert counts.macs_nonzero.tolist() == [0, 33]
