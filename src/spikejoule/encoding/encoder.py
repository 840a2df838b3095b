"""What an encoder is: images in, spikes or constant currents out, and an entry for files."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.sections import Kind
from spikejoule.encoding.currents import Products
from spikejoule.encoding.encoding_operations import EncodingOperations
from spikejoule.encoding.events import MAX_STEPS, STEP_MS, EventList


class Encoded(NamedTuple):
    """What encoding gave.

    Attributes:
        events: the spikes, or constant currents.
        dropped: events of the samples themselves that lie outside of the window.
        merged: events that repeat the unit and step of another.
    """

    events: EventList
    dropped: int = 0
    merged: int = 0


class Encoder(Kind):
    """How images become spikes; each encoding is one file of :mod:`spikejoule.encoding.encoders`.

    Attributes:
        formula: the code in one line, for the checkpoint.
        formula_name: what the checkpoint calls it.
        header_names: parameters that files call otherwise, with a unit, say.
        takes: what it encodes: ``images``, or ``events`` that need no code.
        time_window: T, steps; of 1 ms, unless the code says otherwise.
    """

    formula: ClassVar[str]
    formula_name: ClassVar[str] = "spike_formula"
    header_names: ClassVar[Mapping[str, str]] = {}
    takes: ClassVar[Literal["images", "events"]] = "images"
    reserved: ClassVar[frozenset[str]] = frozenset({"type", "seed", "split", "images_sha256"})

    time_window: int = Field(ge=1, le=MAX_STEPS)

    @abstractmethod
    def events(
        self,
        images: NDArray[np.generic],
        key: np.uint64,
        samples: NDArray[np.integer] | None = None,
    ) -> EventList:
        """The spikes of images.

        Args:
            images: [N, ...]; uint8 (0 to 255) or floating point in [0, 1].
            key: random streams of the pass, from :meth:`draw_key`; a code that draws nothing has
                no use for it.
            samples: identity of each image within its split, [N]; its position if not given. What
                is drawn for an image depends on the key and on this alone.

        Returns:
            the spikes, [N, T, P] as an event list; or, without spikes, its `currents`.

        Raises:
            ParameterError: a pixel or a parameter out of range.
        """

    def encode(
        self, images: Any, key: np.uint64, samples: NDArray[np.integer] | None = None
    ) -> Encoded:
        """The spikes, and what became of the events that gave none; as of :meth:`events`."""
        return Encoded(self.events(images, key, samples))

    @abstractmethod
    def density(self, images: Any) -> float:
        """Expected share of ones among the input bits [N, T, P] of images, in [0, 1]."""

    def operations(self, images: NDArray[np.generic]) -> EncodingOperations | None:
        """What encoding each image takes; None where a code does not say it, which is not zero.

        Args:
            images: [N, ...]; as of :meth:`events`, with the same errors.
        """
        return None

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of the brightest pixel in Hz; None for a code that has no rate."""
        return None

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step."""
        return STEP_MS

    @property
    def input_products(self) -> Products | None:
        """How often hardware multiplies the currents of an input; None for a code of spikes."""
        return None

    def draw_key(self, seed: int, split: str, epoch: int) -> np.uint64:
        """Key of the random streams of one pass over one split.

        Args:
            seed: the experiment's seed.
            split: ``train``, ``validation`` or ``test``.
            epoch: 0 for a split that is encoded once, else the epoch from 1 on.
        """
        text = f"spikejoule {self.name} {seed} {split} {epoch}"
        return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))

    def entry(self) -> dict[str, Any]:
        """What files say of the code: ``type`` and every parameter, as plain values."""
        values = self.model_dump(mode="json")
        named = {self.header_names.get(name, name): value for name, value in values.items()}
        return {"type": self.name, **named}
