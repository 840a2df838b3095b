"""The ledger: variants of networks, counted on the same images, priced in one long table.

A network gives several variants: a spiking one runs its whole window or answers early, and updates
its neurons in every step or only those that have something to do; a conventional one takes every
product, or skips those with a zero. `Ledger` has a row for each term of each variant at each place,
with its count, and under each profile its price; every total, ratio and verdict is selected from
it.

The file of variants, from which a verdict over many runs is made, holds for variant k of K: `text`
[K, 3] (side, network, how it is run), `accuracies` float64 [K, 2] in percent (validation, test; NaN
is not allowed, so one that is not known is -1), `widths` int64 [K, 2] (bits of a weight; 1 for
integers), and of its C columns `k.columns` [C, 2] (term, place), `k.sizes` int64 [C, 3] (width,
bits of its memory, bits of its layer's parameters) and the counts of N images: `k.constant` int64
[C], -1 where they vary, and those that do, `k.varying` uint32 [N, C'].
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.encoding.encoder import Encoder, EncodingOperations
from spikejoule.energy.counting import (
    METHODS,
    Column,
    OperationCounts,
    clocked_updates,
    count_baseline,
    counted,
)
from spikejoule.energy.estimates import (
    BootstrapSettings,
    CountStatistics,
    Energy,
    Floats,
    count_statistics,
    priced_spread,
)
from spikejoule.energy.prices import HardwareProfile, prices_pj, weights_of
from spikejoule.energy.terms import PARTS, TERMS
from spikejoule.energy.training import PHASES, TrainingCounts
from spikejoule.evaluation.accuracy import stopped_after
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.quantisation import FLOAT_BITS, Quantisation

Side = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"
_SIDES: Final[dict[str, Side]] = {SPIKING: SPIKING, CONVENTIONAL: CONVENTIONAL}

WHOLE_WINDOW: Final = "whole window"
EARLY_EXIT: Final = "early exit"
_LAZILY: Final = ", lazy updates"


@dataclass(frozen=True)
class Accuracies:
    """In percent, on validation images, by which a network is chosen, and on test images."""

    validation_percent: float
    test_percent: float


@dataclass(frozen=True, eq=False)
class Variant:
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
    operations: OperationCounts

    @property
    def name(self) -> str:
        """The network and how it is run."""
        return f"{self.network}, {self.method}"

    @classmethod
    def spiking(
        cls,
        network: str,
        method: str,
        accuracies: Accuracies | None,
        widths: Quantisation | None,
        operations: OperationCounts,
    ) -> "Variant":
        """A spiking network, of integers if it has their `widths`."""
        bits = FLOAT_BITS if widths is None else widths.weight_bits
        return cls(SPIKING, network, method, accuracies, bits, widths is not None, operations)


@dataclass(frozen=True, eq=False)
class EarlyAnswers:
    """When each of N images is answered early, int64 [N], and how well."""

    exit_steps: NDArray[np.int64]
    accuracies: Accuracies | None


def spiking_variants(
    name: str,
    measured: Measurement,
    code: EncodingOperations | None,
    accuracies: Accuracies | None,
    early: tuple[EarlyAnswers, EncodingOperations | None] | None = None,
) -> tuple[Variant, ...]:
    """The ways of running a spiking network, the whole window with clocked updates first.

    Each with updates in every step, and, where that is less, of neurons that have something to do.

    Args:
        name: of the network.
        measured: N images in it.
        code: what encoding them took; None where that is not known.
        accuracies: of the whole window; None where not known.
        early: when it answers early, and what encoding takes until then; None where that is not
            known, or saves nothing.
    """
    architecture = measured.architecture
    whole = np.full(measured.counts.n_samples, measured.time_window, dtype=np.int64)
    ways: list[tuple[Any, ...]] = [(WHOLE_WINDOW, measured, code, accuracies, whole, None)]
    if early is not None:
        (answers, until), steps = early, early[0].exit_steps
        stopped = stopped_after(measured, steps)
        ways.append((EARLY_EXIT, stopped, until, answers.accuracies, steps, steps))
    found = []
    for method, run, encoding, known, steps, exits in ways:
        clocked = clocked_updates(architecture, steps)
        # Where all are updated in every step, lazy updates are counted over the whole window.
        lazy = np.minimum(run.lazy_updates, clocked)
        for suffix, updates in (("", clocked), (_LAZILY, lazy))[: 1 + (lazy < clocked).any()]:
            operations = counted(run, encoding, updates, exits)
            found.append(
                Variant.spiking(
                    name, f"{method}{suffix}", known, architecture.quantisation, operations
                )
            )
    return tuple(found)


def baseline_variants(baselines: Sequence[BaselineCounts], n_samples: int) -> tuple[Variant, ...]:
    """The ways of running conventional networks, of the first `n_samples` test images."""
    return tuple(
        Variant(
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


COUNTS: Final = (
    "count",
    "count_standard_deviation",
    "count_interval_low",
    "count_interval_high",
)
"""Columns of operations per inference: the mean, its spread over images and bootstrap interval."""
PJ: Final = (
    "pj_low",
    "pj",
    "pj_high",
    "pj_standard_deviation",
    "pj_interval_low",
    "pj_interval_high",
)
"""Columns of energies, in the order of the fields of `Energy`."""
INFERENCE: Final = "inference"


@dataclass(frozen=True, eq=False)
class Ledger:
    """The long table: R rows, a term of a variant at a place each, under P profiles.

    Attributes:
        variants: whose rows follow one another; training, where it is known, is the last.
        profiles: in their order.
        rows: term, place, width and memory of each row (the fields of `Column`), `variant`, its
            number, `phase` (``inference``, or one of training's), and `COUNTS`; all but the count
            NaN where it is a mean, or all of a training. Whole numbers are exact up to 2**53.
        price_pj: low, value and high of one operation, float64 [P, 3, R]; NaN where a profile has
            no price, and the value NaN where it has a bracket alone.
        images: counts of each variant, [N, its rows]; of means, one row; of training, of epochs.
        statistics: of these; all variants share the draws of images.
    """

    variants: tuple[Variant, ...]
    profiles: tuple[HardwareProfile, ...]
    rows: pd.DataFrame
    price_pj: Floats
    images: tuple[NDArray[Any], ...]
    statistics: tuple[CountStatistics, ...]

    @classmethod
    def of(
        cls,
        variants: Sequence[Variant],
        profiles: Mapping[str, HardwareProfile],
        settings: BootstrapSettings,
        training: TrainingCounts | None = None,
    ) -> "Ledger":
        """Price variants of the same images; where one is known as a mean alone, all are means."""
        operations = [one.operations for one in variants]
        images: list[NDArray[Any]] = [one.counts for one in operations]
        if any(one.n_images is None for one in operations):
            images = [one.means[None] for one in operations]
        statistics = [*count_statistics(images, settings)]
        phases = [[INFERENCE] * len(one.columns) for one in operations]
        if training is not None:
            operations.append(OperationCounts(training.columns, training.counts, 1))
            images.append(training.counts)
            statistics += count_statistics([training.counts.sum(axis=0)[None]], settings)
            phases.append([*training.phases])
        columns = [column for one in operations for column in one.columns]
        counts = np.hstack([one.spread(np.eye(len(one.mean))) for one in statistics])
        rows = pd.DataFrame(columns).assign(
            variant=np.repeat(np.arange(len(images)), [each.shape[1] for each in images]),
            phase=[phase for each in phases for phase in each],
            **dict(zip(COUNTS, counts, strict=True)),
        )
        prices = [prices_pj(columns, profile) for profile in profiles.values()]
        return cls(
            variants=tuple(variants),
            profiles=tuple(profiles.values()),
            rows=rows,
            price_pj=np.stack(prices) if prices else np.empty((0, 3, len(columns))),
            images=tuple(images),
            statistics=tuple(statistics),
        )

    def number_of(self, name: str) -> int:
        """The number of the variant of a name."""
        return [one.name for one in self.variants].index(name)

    def span(self, variant: int) -> slice:
        """The rows of a variant."""
        ends = np.cumsum([0, *(each.shape[1] for each in self.images)])
        return slice(int(ends[variant]), int(ends[variant + 1]))

    def weights(self, variant: int, profile: int) -> Floats:
        """What the counts of a variant's rows are multiplied with, [3, its rows]."""
        return weights_of(self.price_pj[profile][:, self.span(variant)])

    def energies(self, variant: int, profile: int, with_spread: bool = False) -> Floats:
        """Mean energies of a variant's rows under a profile, as of `PJ`, [6, its rows].

        NaN where a row has no price, and all but the means without `with_spread`. None has a value
        if one of the rows has a bracket alone.
        """
        weights, span = self.weights(variant, profile), self.span(variant)
        spread = np.full_like(weights, np.nan)
        if with_spread:
            spread = priced_spread(self.statistics[variant].spread_of_columns(weights)[1:])
        energies = np.vstack([self.rows["count"].to_numpy()[span] * weights, spread])
        energies[:, np.isnan(self.price_pj[profile][0, span])] = np.nan
        return energies

    def total(self, variant: int, profile: int, phase: str = "") -> Energy:
        """The energy of an inference or of all of training; of a phase of it, if one is named, NaN
        where none of its rows has a price."""
        weights = self.weights(variant, profile)
        if phase in PHASES:
            span = self.span(variant)
            others = self.rows["phase"].to_numpy()[span] != phase
            if np.isnan(self.price_pj[profile][0, span][~others]).all():
                return Energy(np.nan, None, np.nan)
            weights[:, others] *= 0.0
        return self.statistics[variant].energy(weights)

    def resampled(self, variant: int, profile: int) -> Floats:
        """The same in every resample of images, under lower ends, values and upper ends, [3, B]."""
        return self.statistics[variant].resampled_sums(self.weights(variant, profile))

    def image_means(self, variant: int, profile: int) -> Floats:
        """The mean of the energies of the images, under lower ends, values and upper ends, [3].

        It is the mean of `total` but for the rounding of sums: what is compared is priced image by
        image.
        """
        rows, weights = self.images[variant], self.weights(variant, profile)
        return np.array([(rows @ each).mean() for each in weights])

    def compared_total(self, variant: int, profile: int) -> Energy:
        """The total of what is compared (`image_means`)."""
        weights, means = self.weights(variant, profile), self.image_means(variant, profile)
        return self.statistics[variant].energy(weights, means)

    def by_part(self, name: str, profile: HardwareProfile) -> dict[str, float]:
        """pJ per inference of each of `terms.PARTS`, of the variant of a name; of brackets, the
        upper ends. A part without a price is 0."""
        number = self.number_of(name)
        _, value, high = self.energies(number, self.profiles.index(profile))[:3]
        energies = pd.Series(np.nan_to_num(high if np.isnan(value).all() else value))
        of_part = self.rows["term"][self.span(number)].map(_PART_OF).to_numpy()
        sums = energies.groupby(of_part).sum()
        return {part: float(sums.get(part, 0.0)) for part in PARTS}


_PART_OF = {name: term.part for name, term in TERMS.items()}


def runs(variant: Variant, profile: HardwareProfile) -> bool:
    """Whether a profile's prices are of numbers as a variant was run in, and of what it does.

    One that nothing has a price of, not at the lower end either, would need no energy.
    """
    if not profile.runs(variant.weight_bits, variant.integers):
        return False
    return bool(weights_of(prices_pj(variant.operations.columns, profile))[0].any())


_UNKNOWN: Final = -1.0
_VARIES: Final = -1
_OF_EACH: Final = ("columns", "sizes", "constant", "varying")
VARIANTS = ArrayFile(
    "spikejoule/contenders/1",
    {
        "text": Array("U", ("K", 3)),
        "accuracies": Array("float64", ("K", 2), low=-1, high=100),
        "widths": Array("int64", ("K", 2), low=0, high=64),
        "*.columns": Array("U", ("*", 2)),
        "*.sizes": Array("int64", ("*", 3), low=0),
        "*.constant": Array("int64", ("*",), low=_VARIES),
        "*.varying": Array("uint32", ("N", "*")),
    },
)


def save_variants(path: str | os.PathLike[str], variants: Sequence[Variant]) -> None:
    """Write variants that were counted image by image, all on the same N images.

    Raises:
        ValueError: one is known as a mean alone, or has a count of 2**32 or more.
    """
    known = [one.accuracies or Accuracies(_UNKNOWN, _UNKNOWN) for one in variants]
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array([(one.side, one.network, one.method) for one in variants], dtype=np.str_),
        "accuracies": np.array([(one.validation_percent, one.test_percent) for one in known]),
        "widths": np.array([(one.weight_bits, int(one.integers)) for one in variants], np.int64),
    }
    for number, one in enumerate(variants):
        if one.operations.n_images is None:
            raise ValueError(f"{one.name} is known as a mean alone")
        columns, counts = one.operations.columns, one.operations.counts
        varies = (counts != counts[:1]).any(axis=0)
        if counts.max(initial=0) > np.iinfo(np.uint32).max:
            raise ValueError(f"{one.name} has counts of more than the file can hold")
        places = np.array([(each.term, each.place) for each in columns], dtype=np.str_)
        sizes = [(each.bits, each.memory_bits, each.parameters_bits) for each in columns]
        constant = np.where(varies, _VARIES, counts[0]).astype(np.int64)
        varying = counts[:, varies].astype(np.uint32)
        stored: tuple[NDArray[Any], ...] = (places, np.array(sizes, np.int64), constant, varying)
        arrays |= {f"{number}.{name}": each for name, each in zip(_OF_EACH, stored, strict=True)}
    VARIANTS.write(path, arrays)


def load_variants(path: str | os.PathLike[str]) -> tuple[Variant, ...]:
    """Read a file of `save_variants`; ArtifactError if it is missing or damaged."""
    arrays, found = VARIANTS.read(path), []
    try:
        for number, (side, network, method) in enumerate(arrays["text"].tolist()):
            known, (bits, integers) = arrays["accuracies"][number], arrays["widths"][number]
            places, sizes, constant, varying = (arrays[f"{number}.{name}"] for name in _OF_EACH)
            counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
            counts[:, constant == _VARIES] = varying
            columns = tuple(
                Column(*place, *widths)
                for place, widths, _ in zip(places.tolist(), sizes.tolist(), constant, strict=True)
            )
            found.append(
                Variant(
                    side=_SIDES[side],
                    network=network,
                    method=method,
                    accuracies=None if known[0] == _UNKNOWN else Accuracies(*known.tolist()),
                    weight_bits=int(bits),
                    integers=bool(integers),
                    operations=OperationCounts(columns, counts, 1),
                )
            )
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: variants do not fit each other: {error}.") from error
    return tuple(found)
