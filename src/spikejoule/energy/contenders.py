"""Networks that are held against each other: each as it would be run, counted on the same images.

A network gives several contenders: a spiking one runs its whole window or answers early, and
updates its neurons in every step or only those that have something to do; a conventional one takes
every product, or skips those with a zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.encoding.encoder import Encoder, EncodingOperations
from spikejoule.energy.baseline_operations import METHODS, count_baseline
from spikejoule.energy.described import InputDescribed, NetworkDescribed
from spikejoule.energy.operations import MeanOperations, OperationCounts
from spikejoule.energy.spiking_operations import (
    clocked_updates,
    count_spiking,
    spiking_counts,
)
from spikejoule.evaluation.early_exit import stopped_after
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.quantisation import FLOAT_BITS

Side = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"

WHOLE_WINDOW: Final = "whole window"
EARLY_EXIT: Final = "early exit"
_LAZILY: Final = ", lazy updates"


@dataclass(frozen=True)
class Accuracies:
    """In percent, on validation images, by which a network is chosen, and on test images."""

    validation_percent: float
    test_percent: float


@dataclass(frozen=True, eq=False)
class Contender:
    """A network in one way of running it.

    Attributes:
        side: ``spiking`` or ``conventional``.
        network: what it is, such as ``ReLU 784-100-10, 90 % pruned``.
        method: how it is run: ``whole window``, ``early exit``, ``dense``, ``zero-skipping``.
        accuracies: None where they are not known.
        weight_bits: width of its weights.
        integers: whether it was run in integers.
        operations: of each of N images, or of a mean.
    """

    side: Side
    network: str
    method: str
    accuracies: Accuracies | None
    weight_bits: int
    integers: bool
    operations: OperationCounts | MeanOperations

    @property
    def name(self) -> str:
        """The network and how it is run."""
        return f"{self.network}, {self.method}"


@dataclass(frozen=True, eq=False)
class EarlyAnswers:
    """When each of N images is answered early, int64 [N], and how well."""

    exit_steps: NDArray[np.int64]
    accuracies: Accuracies | None


def network_name(
    architecture: NetworkDescribed, encoder: InputDescribed, pruned_percent: float = 0.0
) -> str:
    """A spiking network in a few words: ``spiking 784-400-10 (latency), 96 % pruned, 8 bits``."""
    sizes = "-".join(str(size) for size in architecture.layer_sizes)
    pruned = f", {pruned_percent:.3g} % pruned" if pruned_percent else ""
    widths = architecture.quantisation
    bits = "" if widths is None else f", {widths.weight_bits} bits"
    return f"spiking {sizes} ({encoder.name}){pruned}{bits}"


def spiking_contenders(
    name: str,
    measured: Measurement,
    code: EncodingOperations | None,
    accuracies: Accuracies | None,
    early: tuple[EarlyAnswers, EncodingOperations | None] | None = None,
) -> tuple[Contender, ...]:
    """The ways of running a spiking network, the whole window with clocked updates first.

    Args:
        name: of the network.
        measured: N images in it.
        code: what encoding them took; None where that is not known.
        accuracies: of the whole window; None where not known.
        early: when it answers early, and what encoding takes until then; None where that is not
            known, or saves nothing.
    """
    n_samples = measured.counts.n_samples
    whole = np.full(n_samples, measured.time_window, dtype=np.int64)
    found = [*_ways(name, WHOLE_WINDOW, measured, code, accuracies, whole, None)]
    if early is not None:
        answers, code_until = early
        stopped = stopped_after(measured, answers.exit_steps)
        found += _ways(
            name, EARLY_EXIT, stopped, code_until, answers.accuracies, answers.exit_steps,
            answers.exit_steps,
        )  # fmt: skip
    return tuple(found)


def baseline_contenders(
    baselines: Sequence[BaselineCounts], n_samples: int
) -> tuple[Contender, ...]:
    """The ways of running conventional networks, of the first `n_samples` test images."""
    return tuple(
        Contender(
            side=CONVENTIONAL,
            network=baseline.name,
            method=method.replace("_", "-"),
            accuracies=Accuracies(baseline.validation_accuracy_percent, baseline.accuracy_percent),
            weight_bits=baseline.weight_bits,
            integers=baseline.weight_bits < FLOAT_BITS,
            operations=count_baseline(baseline, method, n_samples),
        )
        for baseline in baselines
        for method in METHODS
    )


def code_until(
    encoder: Encoder, images: NDArray[np.uint8], steps: NDArray[np.int64]
) -> EncodingOperations | None:
    """What encoding takes if each image is encoded for so many steps alone, int64 [N].

    A code with a rate draws step by step. Another one turns the whole image into spikes at once.
    """
    if encoder.rate_hz is None:
        return encoder.operations(images)
    found: dict[str, NDArray[np.int64]] = {}
    for last in np.unique(steps):
        chosen = steps == last
        shorter = encoder.model_copy(update={"time_window": int(last)})
        some = shorter.operations(images[chosen])
        if some is None:
            return None
        for name, values in vars(some).items():
            found.setdefault(name, np.zeros(len(steps), dtype=np.int64))[chosen] = values
    return EncodingOperations(**found)


def _ways(
    name: str,
    method: str,
    measured: Measurement,
    code: EncodingOperations | None,
    accuracies: Accuracies | None,
    steps: NDArray[np.int64],
    exit_steps: NDArray[np.int64] | None,
) -> Iterator[Contender]:
    """With updates in every step, and, where that is less, of neurons that have something to do."""
    architecture = measured.architecture
    clocked = clocked_updates(architecture, steps)
    # Where all are updated in every step, lazy updates are counted over the whole window.
    lazy = np.minimum(measured.lazy_updates, clocked)
    updates = {method: clocked}
    if (lazy < clocked).any():
        updates[f"{method}{_LAZILY}"] = lazy
    widths = architecture.quantisation
    for way, made in updates.items():
        counts = spiking_counts(measured, code, made, exit_steps)
        columns, found = count_spiking(architecture, counts)
        yield Contender(
            side=SPIKING,
            network=name,
            method=way,
            accuracies=accuracies,
            weight_bits=FLOAT_BITS if widths is None else widths.weight_bits,
            integers=widths is not None,
            operations=OperationCounts(columns, found, measured.time_window, measured.lazy_updates),
        )
