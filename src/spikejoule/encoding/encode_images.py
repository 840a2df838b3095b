"""Encode images as events, for models that take spikes.

events = spikejoule.encode(images, "poisson", steps=50, seed=1, max_rate=80)
out = fast(events)                                   # `spikejoule.accelerate`
report = spikejoule.price(model, events, time_axis=0)
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import ValidationError

from spikejoule.core.errors import DataError, ParameterError, first_problem
from spikejoule.encoding.encoder import Encoder, Identities, Images
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import EventList, array_of

DEFAULT_RATE_HZ: Final = 80.0
"""Firing rate of a white pixel, as in the original notebook."""
ROUNDING: Final = 1e-3
"""How far 255 times an intensity may be from a whole number."""
_OF_SPIKES: Final = [
    name
    for name, kind in ENCODERS.items()
    if kind.takes == "images" and name != "direct"
]


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """The spikes of images.

    Attributes:
        events: the spikes, [N, T, P]; unit p is pixel p of the flattened image.
        shape: of an image: (H, W), (C, H, W), (P,).
    """

    events: EventList
    shape: tuple[int, ...]

    def __len__(self) -> int:
        """Return N, the number of images."""
        return self.events.n_samples

    def __getitem__(self, samples: slice | NDArray[np.integer]) -> "EncodedImages":
        """Return some images, by a slice or an array of positions."""
        return EncodedImages(self.events.select(samples), self.shape)

    def to_dense(self, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the spikes as zeros and ones, [T, N, *shape]."""
        dense = self.events.to_dense(dtype).swapaxes(0, 1)
        return np.ascontiguousarray(dense.reshape(*dense.shape[:2], *self.shape))


def encode(
    images: Any,
    encoding: str = "poisson",
    *,
    steps: int,
    seed: int = 0,
    samples: Identities = None,
    **parameters: Any,
) -> EncodedImages:
    """Encode images as spikes.

    Args:
        images: [N, ...], an array or a tensor: bytes, 0 black and 255 white, or
            intensities k / 255 from 0 to 1, as `torchvision.transforms.ToTensor`
            makes them.
        encoding: ``poisson``, ``regular``, ``latency`` or ``binary``.
        steps: T.
        seed: of random spikes; with another one, such as the number of the batch, the
            same images have other spikes.
        samples: identity of each image, [N]; None for its position. Spikes depend on
            the seed and on the identity.
        parameters: of the encoding, by their names in params.yaml: ``max_rate`` in Hz
            with steps of 1 ms (80 by default), ``latency_threshold``,
            ``latency_curve``, ``binary_threshold``.

    Returns:
        the spikes, which `accelerate` and `price` take.

    Raises:
        ParameterError: an argument is not allowed.
        DataError: the images are neither bytes nor intensities.
    """
    encoder = _encoder(encoding, steps, parameters)
    if seed < 0:
        raise ParameterError(f"seed is {seed!r}; allowed is a whole number from 0 on.")
    pixels = _bytes_of(images)
    # The key of the pipeline's test images: equal seeds give equal spikes.
    key = encoder.draw_key(seed, "test", 0)
    return EncodedImages(encoder.events(pixels, key, samples), pixels.shape[1:])


def _encoder(encoding: str, steps: int, parameters: dict[str, Any]) -> Encoder:
    """Return an encoding with its parameters.

    Raises:
        ParameterError: it is unknown, or a parameter is not allowed.
    """
    if encoding not in _OF_SPIKES:
        raise ParameterError(
            f"encoding is {encoding!r}; allowed are {', '.join(_OF_SPIKES)}."
        )
    kind = ENCODERS[encoding]
    given = {"time_window": steps, **parameters}
    if "max_rate" in kind.model_fields:
        given.setdefault("max_rate", DEFAULT_RATE_HZ)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problem = first_problem(error).replace("time_window", "steps")
        raise ParameterError(f"{problem}.") from None


def _bytes_of(images: Any) -> Images:
    """Return images as bytes, [N, ...]."""
    values = array_of(images, "images")
    if values.dtype == np.uint8:
        return values
    levels = values.astype(np.float64) * 255
    whole = np.rint(levels)
    is_intensity = values.dtype.kind == "f" and (abs(levels - whole) < ROUNDING).all()
    if not is_intensity or whole.min(initial=0) < 0 or whole.max(initial=0) > 255:
        raise DataError(
            f"the images are {values.dtype} from {values.min(initial=0):g} to "
            f"{values.max(initial=0):g}; needed are bytes from 0 to 255, or k / 255 "
            "for whole k: (255 * images).round() / 255."
        )
    return whole.astype(np.uint8)
