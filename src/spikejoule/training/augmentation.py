"""Random deformations of training images, drawn afresh for every epoch.

Small shifts, rotations and changes of size leave a digit what it is, and a network that sees them
generalises better (Simard, Steinkraus and Platt, ICDAR 2003, doi:10.1109/ICDAR.2003.1227801).
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from spikejoule.training.kernels.augment import Limits, augment_images
from spikejoule.training.settings import Augmentation


def augment(
    images: NDArray[np.uint8],
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    samples: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Deform images; a draw depends on (seed, epoch, sample) alone.

    Args:
        images: uint8 [N, height, width].
        augmentation: largest deformations.
        seed: the experiment's seed.
        epoch: from 1 on.
        samples: identity of each image, int64 [N].

    Returns:
        uint8 [N, height * width].
    """
    n_images, height, width = images.shape
    if augmentation.deforms_nothing:
        return images.reshape(n_images, height * width)
    text = f"spikejoule augmentation {seed} {epoch}"
    key = np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
    out = np.empty((n_images, height * width), dtype=np.uint8)
    augment_images(
        np.ascontiguousarray(images),
        np.ascontiguousarray(samples, dtype=np.int64),
        key,
        Limits(
            shift=float(augmentation.shift_pixels),
            rotation=math.radians(augmentation.rotate_degrees),
            scaling=float(augmentation.scale_fraction),
            shear=math.radians(augmentation.shear_degrees),
        ),
        out,
    )
    return out
