"""Counting spikes by sample, step and neuron, and the class that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList


@dataclass(frozen=True, eq=False)
class SpikeCounts:
    """Spikes of every layer, by sample, by step and by neuron.

    Attributes:
        layer_names: the L layers, the input first.
        per_sample: int64 [N, L].
        per_step: spikes of all samples in each step, int64 [L, T].
        per_neuron: for each layer, spikes of each unit over all samples and steps,
            int64 [units].
    """

    layer_names: tuple[str, ...]
    per_sample: NDArray[np.int64]
    per_step: NDArray[np.int64]
    per_neuron: tuple[NDArray[np.int64], ...]

    @property
    def n_samples(self) -> int:
        """N."""
        return int(self.per_sample.shape[0])

    @property
    def totals(self) -> dict[str, int]:
        """Spikes of each layer over all samples."""
        sums = self.per_sample.sum(axis=0).tolist()
        return dict(zip(self.layer_names, sums, strict=True))

    @property
    def means(self) -> dict[str, float]:
        """Mean spikes of each layer per sample; 0 if there is no sample."""
        return {
            name: total / max(self.n_samples, 1) for name, total in self.totals.items()
        }


def count_spikes(layers: Sequence[EventList], names: Sequence[str]) -> SpikeCounts:
    """Count the spikes of all layers.

    Args:
        layers: the event list of each layer, the input first, of the same samples and
            steps.
        names: the layers' names.
    """
    return SpikeCounts(
        tuple(names),
        np.stack([events.counts_per_sample() for events in layers], axis=1),
        np.stack([events.counts_per_step() for events in layers]),
        tuple(events.counts_per_source() for events in layers),
    )


def class_counts(output: EventList) -> NDArray[np.int64]:
    """Count the spikes of each output neuron in each sample, int64 [N, O]."""
    first_place = np.arange(output.n_samples, dtype=np.int64) * output.n_inputs
    places = np.repeat(first_place, output.counts_per_sample())
    places += output.sources
    counts = np.bincount(places, minlength=output.n_samples * output.n_inputs)
    return counts.reshape(output.n_samples, output.n_inputs).astype(np.int64)


def best_class(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class with the highest of scores [N, O], the first of equals, [N]."""
    classes: NDArray[np.int64] = scores.argmax(axis=1)
    return classes


NO_ANSWER: Final = -1
"""The class of a sample if several classes have the highest score."""


def clear_class(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class with the highest score, [N]; `NO_ANSWER` for equals."""
    is_highest = scores == scores.max(axis=1, keepdims=True)
    is_clear = is_highest.sum(axis=1) == 1
    return np.where(is_clear, scores.argmax(axis=1), NO_ANSWER)
