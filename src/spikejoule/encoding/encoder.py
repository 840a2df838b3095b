"""The interface of an encoder: images in, spikes or constant currents out.

The operations of encoding are counted as in the definition of each encoding.
"""

import functools
import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import Kind
from spikejoule.encoding.events import (
    MAX_SOURCES,
    MAX_STEPS,
    STEP_MS,
    EventList,
    Products,
)

Images = NDArray[np.uint8]
"""Images uint8 [N, ...]: bytes, 0 black and 255 white."""
Identities = NDArray[np.integer] | None
"""Identity of each image within its split, [N]; None for positions."""

INTENSITIES: NDArray[np.float64] = np.arange(256) / 255
"""Intensity of each level of a pixel, float64 [256]."""
INTENSITIES.flags.writeable = False


def pixels_of(images: Images) -> NDArray[np.uint8]:
    """Return images as rows of pixels, uint8 [N, P].

    Raises:
        ParameterError: images of another type, or too many or no pixels.
    """
    n_pixels = math.prod(images.shape[1:])
    fits = images.ndim >= 2 and 1 <= n_pixels < MAX_SOURCES
    if images.dtype != np.uint8 or not fits:
        raise ParameterError(
            f"images are {images.dtype} {images.shape}; allowed are uint8 [N, "
            f"pixels...], 0 black and 255 white, of 1 to {MAX_SOURCES - 1} pixels"
        )
    return np.ascontiguousarray(images.reshape(len(images), n_pixels))


def identities_of(samples: Identities, n_images: int) -> NDArray[np.int64]:
    """Return the identity of each image, int64 [N]: its position if None is given.

    Raises:
        ParameterError: there are more or fewer identities than images.
    """
    identities = np.arange(n_images) if samples is None else np.asarray(samples)
    if identities.shape != (n_images,):
        raise ParameterError(
            f"samples name {identities.size} images, but there are {n_images}"
        )
    return np.ascontiguousarray(identities, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class EncodingOperations:
    """Operations of encoding N images, each int64 [N].

    They follow the encoding's definition, for pixels that can fire only; a kernel may
    find the same spikes with other operations. Reading pixels, rounding to a step and
    passing spikes on are not counted.

    Attributes:
        random_draws: uniform random numbers.
        comparisons: of two numbers.
        multiplications, additions: a subtraction is an addition.
        logarithms: natural ones.
    """

    random_draws: NDArray[np.int64]
    comparisons: NDArray[np.int64]
    multiplications: NDArray[np.int64]
    additions: NDArray[np.int64]
    logarithms: NDArray[np.int64]


def operations_of_pixels(
    images: Images,
    threshold: float,
    additions_per_image: int = 0,
    **per_pixel: int | NDArray[np.int64],
) -> EncodingOperations:
    """Count operations where each pixel is compared with a threshold first.

    Args:
        images: uint8 [N, ...].
        threshold: intensity that a pixel must exceed to fire.
        additions_per_image: additions regardless of pixels.
        per_pixel: operations of each pixel above the threshold, by the names of
            `EncodingOperations`; a number, or one per image, [N].

    Raises:
        ParameterError: as for `pixels_of`.
    """
    pixels = pixels_of(images)
    above = (threshold < INTENSITIES)[pixels].sum(axis=1, dtype=np.int64)
    counts = {field.name: np.zeros_like(above) for field in fields(EncodingOperations)}
    counts |= {name: above * number for name, number in per_pixel.items()}
    counts["comparisons"] = counts["comparisons"] + pixels.shape[1]
    counts["additions"] = counts["additions"] + additions_per_image
    return EncodingOperations(**counts)


class Encoded(NamedTuple):
    """The result of encoding.

    Attributes:
        events: the spikes, or constant currents.
        dropped: number of events of each sample outside the window, int64 [N]; empty
            for images.
        merged: number of events of each sample with the unit and step of another, int64
            [N]; empty for images.
    """

    events: EventList
    dropped: NDArray[np.int64] = np.empty(0, np.int64)
    merged: NDArray[np.int64] = np.empty(0, np.int64)


class Encoder(Kind):
    """How images become spikes; each encoding is one file of
    :mod:`spikejoule.encoding.encoders`.

    Attributes:
        formula: the encoding in one line, for the checkpoint.
        formula_name: its key in the checkpoint.
        header_names: names in files of parameters with another name there.
        takes: ``images``, or ``events``, which need no encoding.
        time_window: T, steps; of 1 ms, unless the encoding says otherwise.
    """

    formula: ClassVar[str]
    formula_name: ClassVar[str] = "spike_formula"
    header_names: ClassVar[Mapping[str, str]] = {}
    takes: ClassVar[Literal["images", "events"]] = "images"

    time_window: int = Field(ge=1, le=MAX_STEPS)

    @abstractmethod
    def events(
        self, images: Images, key: np.uint64, samples: Identities = None
    ) -> EventList:
        """Encode images.

        Args:
            images: uint8 [N, ...].
            key: of the random streams, from :meth:`draw_key`; not used by an encoding
                that draws nothing.
            samples: identity of each image within its split, [N]; positions if None.
                Draws for an image depend on the key and on its identity only.

        Returns:
            the spikes, [N, T, P] as an event list; or, without spikes, its `currents`.

        Raises:
            ParameterError: as for `pixels_of`.
        """

    def encode(
        self, images: Any, key: np.uint64, samples: Identities = None
    ) -> Encoded:
        """Encode samples as :meth:`events` does, and count events that are lost."""
        return Encoded(self.events(images, key, samples))

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations | None:
        """Count the operations of encoding each image; None if not stated.

        Args:
            images: as for :meth:`events`, with the same errors.
            steps: number of steps that each image is encoded for, [N], with early exit;
                None for all. An encoding without a rate encodes the whole image at
                once.
        """
        return None

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of a white pixel in Hz; None for an encoding without rates."""
        return None

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step."""
        return STEP_MS

    @property
    def input_products(self) -> Products | None:
        """How often hardware multiplies an input's currents; None for spikes."""
        return None

    def draw_key(self, seed: int, split: str, epoch: int) -> np.uint64:
        """Return the key of the random streams of one pass over one split.

        Args:
            seed: the experiment's seed.
            split: ``train``, ``validation`` or ``test``.
            epoch: 0 for a split that is encoded once, else the epoch from 1 on.
        """
        text = f"spikejoule {self.name} {seed} {split} {epoch}"
        digest = hashlib.sha256(text.encode()).digest()
        return np.uint64(int.from_bytes(digest[:8], "little"))

    def entry(self) -> dict[str, Any]:
        """Return the encoding for files: ``type`` and every parameter, plain values."""
        entry: dict[str, Any] = {"type": self.name}
        for name, value in self.model_dump(mode="json").items():
            entry[self.header_names.get(name, name)] = value
        return entry


class ByLevel(Encoder):
    """An encoding by a table of intensities, the same for every pixel."""

    @abstractmethod
    def table(self, intensities: NDArray[np.float64]) -> Any:
        """Return the table of ascending intensities, float64 [L], for :meth:`emit`."""

    @abstractmethod
    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """Write the spikes of some images with a kernel.

        Args:
            levels: place of each pixel in the table, uint8 [n, P].
            samples: identity of each image, int64 [n].
            key: as for :meth:`events`.
            table: from :meth:`table`.
            out: receives, `spikejoule.encoding.kernels.LaneSpikes`.
        """

    def events(
        self, images: Images, key: np.uint64, samples: Identities = None
    ) -> EventList:
        """See :meth:`Encoder.events`."""
        # Imported here: reading parameters does not need numba.
        from spikejoule.encoding.kernels import LaneSpikes, collect_events

        pixels = pixels_of(images)
        table = _table_of(self)
        n_images, n_pixels = pixels.shape
        identities = identities_of(samples, n_images)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            self.emit(pixels[chosen], identities[chosen], key, table, out)

        return collect_events(n_images, self.time_window, n_pixels, fill)


class OncePerPixel(ByLevel):
    """An encoding in which a pixel fires at most once.

    Its table is the step in which each intensity fires, uint16 [L]; T for never.
    Intensities that never fire are below those that do.
    """

    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """See :meth:`ByLevel.emit`."""
        from spikejoule.encoding.kernels.deterministic import LevelTable, encode_lanes

        first_level = int(np.count_nonzero(table == self.time_window))
        steps = LevelTable(first_level=first_level, step_of_level=table)
        encode_lanes(levels, steps, self.time_window, out)


@functools.lru_cache(maxsize=8)
def _table_of(encoder: ByLevel) -> Any:
    """Return the table of an encoder; cached, since every training batch needs it."""
    return encoder.table(INTENSITIES)
