"""Augmentation: shifts and affine maps against loops, on any number of threads."""

import hashlib
import math

import numba
import numpy as np
import pytest

from spikejoule.training.kernels.augment import augment
from spikejoule.training.settings import Augmentation
from tests import naive


def drawn(seed: int, epoch: int, sample: int) -> list[float]:
    """The five numbers in [-1, 1) of a sample, from the published generator."""
    text = f"spikejoule augmentation {seed} {epoch}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    state = naive.mix(key ^ naive.mix((sample + naive.GOLDEN) & naive.MASK))
    numbers = [naive.mix((state + k * naive.GOLDEN) & naive.MASK) for k in range(1, 6)]
    return [2 * ((number >> 11) / 2**53) - 1 for number in numbers]


def whole_shift(number: float, largest: int) -> int:
    """One of -largest, ..., largest, for equal parts of [-1, 1)."""
    part = math.floor((number + 1) / 2 * (2 * largest + 1))
    return part - largest


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(shift_pixels=2),
        Augmentation(rotate_degrees=180.0, scale_fraction=0.9),
        Augmentation(
            shift_pixels=2, rotate_degrees=15.0, scale_fraction=0.1, shear_degrees=10.0
        ),
    ],
)
def test_against_loops(augmentation: Augmentation) -> None:
    images = np.random.default_rng(1).integers(0, 256, (12, 6, 11), np.uint8)
    samples = np.arange(12) * 1000 + 3
    augmented = augment(images, augmentation, 5, 2, samples)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = augment(images, augmentation, 5, 2, samples)
    numba.set_num_threads(threads)
    assert alone.tobytes() == augmented.tobytes()
    for image, sample, result in zip(images, samples, augmented, strict=True):
        numbers = drawn(5, 2, int(sample))
        expected = naive.affine_warp(
            image,
            [whole_shift(number, augmentation.shift_pixels) for number in numbers[:2]],
            math.radians(augmentation.rotate_degrees) * numbers[2],
            1 + augmentation.scale_fraction * numbers[3],
            math.radians(augmentation.shear_degrees) * numbers[4],
        )
        # Rounded half up, except where rounding of the map crosses the half.
        assert np.abs(result - expected.ravel()).max() <= 0.5 + 1e-6
