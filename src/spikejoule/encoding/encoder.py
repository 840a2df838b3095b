"""What an encoder is: images in, spikes or constant currents out, and an entry for
files.

What encoding takes is counted as the definition of an encoding says it.
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
"""Identity of each image within its split, [N]; None for its position."""

INTENSITIES: NDArray[np.float64] = np.arange(256) / 255
"""Of each level of a pixel, float64 [256]."""
INTENSITIES.flags.writeable = False


def pixels_of(images: Images) -> NDArray[np.uint8]:
    """The pixels of images in rows, uint8 [N, P].

    Raises:
        ParameterError: images of another type, or too many or no pixels.
    """
    n_pixels = math.prod(images.shape[1:])
    if (
        images.ndim < 2
        or images.dtype != np.uint8
        or not 1 <= n_pixels <= MAX_SOURCES - 1
    ):
        raise ParameterError(
            f"images are {images.dtype} {images.shape}; allowed are uint8 [N, "
            "pixels...], 0 black "
            f"and 255 white, of 1 to {MAX_SOURCES - 1} pixels"
        )
    return np.ascontiguousarray(images.reshape(len(images), n_pixels))


def identities_of(samples: Identities, n_images: int) -> NDArray[np.int64]:
    """The identity of each image within its split, int64 [N]: its position if none is
    given.

    Raises:
        ParameterError: as many identities as images are needed.
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

    They are those of the encoding's definition, done for pixels that can fire alone; a
    kernel may find the same spikes with others. Reading pixels, rounding to a step and
    handing spikes on are no operations here.

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
    """Operations where every pixel is compared with a threshold, and only those above
    go on.

    Args:
        images: uint8 [N, ...].
        threshold: intensity that a pixel must exceed to fire.
        additions_per_image: whatever the pixels are.
        per_pixel: what each that does takes, of all images or each, by the names of
            `EncodingOperations`.

    Raises:
        ParameterError: as of `pixels_of`.
    """
    pixels = pixels_of(images)
    above = (threshold < INTENSITIES)[pixels].sum(axis=1, dtype=np.int64)
    counts = {field.name: np.zeros_like(above) for field in fields(EncodingOperations)}
    counts |= {name: above * number for name, number in per_pixel.items()}
    counts["comparisons"] = counts["comparisons"] + pixels.shape[1]
    counts["additions"] = counts["additions"] + additions_per_image
    return EncodingOperations(**counts)


class Encoded(NamedTuple):
    """What encoding gave.

    Attributes:
        events: the spikes, or constant currents.
        dropped: events of each sample that lie outside of the window, int64 [N]; empty
            for images.
        merged: events of each that repeat the unit and step of another, likewise.
    """

    events: EventList
    dropped: NDArray[np.int64] = np.empty(0, np.int64)
    merged: NDArray[np.int64] = np.empty(0, np.int64)


class Encoder(Kind):
    """How images become spikes; each encoding is one file of
    :mod:`spikejoule.encoding.encoders`.

    Attributes:
        formula: the encoding in one line, for the checkpoint.
        formula_name: what the checkpoint calls it.
        header_names: parameters that files call otherwise, with a unit, say.
        takes: what it encodes: ``images``, or ``events`` that need no encoding.
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
        """The spikes of images.

        Args:
            images: uint8 [N, ...].
            key: random streams of the pass, from :meth:`draw_key`; an encoding that
                draws nothing has no use for it.
            samples: identity of each image within its split, [N]; its position if not
                given. What is drawn for an image depends on the key and on this alone.

        Returns:
            the spikes, [N, T, P] as an event list; or, without spikes, its `currents`.

        Raises:
            ParameterError: as of `pixels_of`.
        """

    def encode(
        self, images: Any, key: np.uint64, samples: Identities = None
    ) -> Encoded:
        """The spikes, and what became of the events that gave none; as of
        :meth:`events`.
        """
        return Encoded(self.events(images, key, samples))

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations | None:
        """What encoding each image takes; None where it is not stated, which is not
        zero.

        Args:
            images: as of :meth:`events`, with the same errors.
            steps: of the window that each image is encoded for, [N], if it exits early;
                None for all. An encoding without a rate turns the whole image into
                spikes at once.
        """
        return None

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of the brightest pixel in Hz; None for an encoding without
        one.
        """
        return None

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step."""
        return STEP_MS

    @property
    def input_products(self) -> Products | None:
        """How often hardware multiplies the currents of an input; None for one of
        spikes.
        """
        return None

    def draw_key(self, seed: int, split: str, epoch: int) -> np.uint64:
        """Key of the random streams of one pass over one split.

        Args:
            seed: the experiment's seed.
            split: ``train``, ``validation`` or ``test``.
            epoch: 0 for a split that is encoded once, else the epoch from 1 on.
        """
        text = f"spikejoule {self.name} {seed} {split} {epoch}"
        return np.uint64(
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        )

    def entry(self) -> dict[str, Any]:
        """What files say of the encoding: ``type`` and every parameter, as plain
        values.
        """
        values = self.model_dump(mode="json")
        named = {
            self.header_names.get(name, name): value for name, value in values.items()
        }
        return {"type": self.name, **named}


class ByLevel(Encoder):
    """An encoding that treats each intensity alike wherever it stands: by a table of
    them.
    """

    @abstractmethod
    def table(self, intensities: NDArray[np.float64]) -> Any:
        """What :meth:`emit` needs to know of intensities in ascending order, float64
        [L].
        """

    @abstractmethod
    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """Let a kernel write the spikes of some images.

        Args:
            levels: of each pixel, its place in the table, uint8 [n, P].
            samples: identity of each image, int64 [n].
            key: as of :meth:`events`.
            table: of :meth:`table`.
            out: receives, `spikejoule.encoding.kernels.LaneSpikes`.
        """

    def events(
        self, images: Images, key: np.uint64, samples: Identities = None
    ) -> EventList:
        """The spikes of images; see :meth:`Encoder.events`."""
        # Compiling takes numba, which reading parameters does not need.
        from spikejoule.encoding.kernels import LaneSpikes, collect_events

        pixels = pixels_of(images)
        table = _table_of(self)
        n_images, n_pixels = pixels.shape
        identities = identities_of(samples, n_images)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            self.emit(pixels[chosen], identities[chosen], key, table, out)

        return collect_events(n_images, self.time_window, n_pixels, fill)


@functools.lru_cache(maxsize=8)
def _table_of(encoder: ByLevel) -> Any:
    """The table of an encoder; kept, because training asks for it in every batch."""
    return encoder.table(INTENSITIES)
