"""Random deformations of training images, drawn afresh for every epoch.

Small shifts, rotations and changes of size leave a digit what it is, and a network that sees them
generalises better (Simard, Steinkraus and Platt, ICDAR 2003, doi:10.1109/ICDAR.2003.1227801).
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikejoule.foundation.errors import ParameterError
from spikejoule.learn.kernels.augment import augment_images


@dataclass(frozen=True)
class Augmentation:
    """Largest deformations; each image draws its own, uniformly between plus and minus these.

    Attributes:
        shift_pixels: whole pixels along each axis.
        rotate_degrees: rotation about the centre.
        scale_fraction: relative change of size.
        shear_degrees: slant of the vertical.

    Raises:
        ParameterError: a negative value, a scale of 1 or more, a shear of 90 degrees or more.
    """

    shift_pixels: int = 0
    rotate_degrees: float = 0.0
    scale_fraction: float = 0.0
    shear_degrees: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "shift_pixels": math.inf,
            "rotate_degrees": math.inf,
            "scale_fraction": 1.0,
            "shear_degrees": 90.0,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value < limit:
                raise ParameterError(f"{name} is {value}; it must lie in [0, {limit})")

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self == Augmentation()


def augment(
    images: npt.NDArray[np.uint8],
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    samples: npt.NDArray[np.int64],
) -> npt.NDArray[np.uint8]:
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
    if augmentation.is_identity:
        return images.reshape(n_images, height * width)
    text = f"spikejoule augmentation {seed} {epoch}"
    key = np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
    out = np.empty((n_images, height * width), dtype=np.uint8)
    augment_images(
        np.ascontiguousarray(images),
        np.ascontiguousarray(samples, dtype=np.int64),
        key,
        float(augmentation.shift_pixels),
        math.radians(augmentation.rotate_degrees),
        augmentation.scale_fraction,
        math.radians(augmentation.shear_degrees),
        out,
    )
    return out
