"""Constant inputs in place of spikes: what each source of a sample gives in every step.

A source of value x adds ``x * w`` to the potential of each neuron that it reaches, in every step of
the window: a product, where a spike takes the weight as it is.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError

Products = Literal["once", "every_step"]
PRODUCTS: Final[tuple[str, ...]] = get_args(Products)


@dataclass(frozen=True, eq=False)
class Currents:
    """The constant inputs of N samples.

    Those of sample n come from ``sources[offsets[n] : offsets[n + 1]]``, in ascending order, each
    at most once. Sources that give nothing are left out.

    Attributes:
        sources: the units that give something, uint16 [E].
        values: what they give, float32 [E]; never 0.
        offsets: where each sample begins, int64 [N + 1].
        products: whether hardware multiplies ``once`` per inference and adds the sums in
            every step, or multiplies in ``every_step``. The network computes the same either way.
    """

    sources: NDArray[np.uint16]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    products: Products

    def check(self, n_samples: int, n_inputs: int) -> None:
        """Verify the layout for so many samples and units; ArtifactError where it is broken."""
        types = [array.dtype.name for array in (self.sources, self.values, self.offsets)]
        if types != ["uint16", "float32", "int64"] or self.products not in PRODUCTS:
            raise ArtifactError(
                f"currents: of {', '.join(types)}, products {self.products}; needed are uint16, "
                f"float32, int64, and one of {', '.join(PRODUCTS)}"
            )
        if self.offsets.shape != (n_samples + 1,) or self.sources.shape != self.values.shape:
            raise ArtifactError(
                f"currents: {self.offsets.size} offsets for {n_samples} samples, and "
                f"{self.values.size} values of {self.sources.size} sources"
            )
        lengths = np.diff(self.offsets)
        ends = (int(self.offsets[0]), int(self.offsets[-1]))
        if ends != (0, self.sources.size) or (lengths < 0).any():
            raise ArtifactError(
                f"currents: offsets run from {ends[0]} to {ends[1]} for {self.sources.size} "
                "sources, or decrease"
            )
        if not np.isfinite(self.values).all() or not self.values.all():
            raise ArtifactError("currents: a value is zero or not finite")
        places = np.repeat(np.arange(n_samples) * n_inputs, lengths) + self.sources
        if (self.sources >= n_inputs).any() or (np.diff(places) <= 0).any():
            raise ArtifactError(
                f"currents: sources are not in strictly ascending order below {n_inputs}"
            )

    def select(self, samples: NDArray[np.integer]) -> "Currents":
        """Those of some samples, in the order given."""
        lengths = np.diff(self.offsets)[samples]
        offsets = np.zeros(samples.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.repeat(self.offsets[samples] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Currents(self.sources[places], self.values[places], offsets, self.products)

    def times(self, n_steps: int) -> int:
        """How often a product is made in a window of `n_steps`."""
        return n_steps if self.products == "every_step" else 1

    def sum_per_sample(self, of_source: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sum over each sample's sources of a number that each unit has, int64 [N]."""
        before = np.zeros(self.sources.size + 1, dtype=np.int64)
        np.cumsum(of_source[self.sources], out=before[1:])
        return np.diff(before[self.offsets])

    def to_dense(self, n_inputs: int) -> NDArray[np.float32]:
        """The same as one value a unit, float32 [N, n_inputs]."""
        dense = np.zeros((self.offsets.size - 1, n_inputs), dtype=np.float32)
        dense[np.repeat(np.arange(len(dense)), np.diff(self.offsets)), self.sources] = self.values
        return dense

    @classmethod
    def from_dense(cls, values: NDArray[np.float32], products: Products) -> "Currents":
        """The currents of one value a unit, [N, units]; zeros are left out."""
        samples, sources = np.nonzero(values)
        offsets = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(np.bincount(samples, minlength=len(values)), out=offsets[1:])
        given = np.asarray(values[samples, sources], dtype=np.float32)
        return cls(sources.astype(np.uint16), given, offsets, products)
