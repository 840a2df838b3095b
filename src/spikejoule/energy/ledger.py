"""The ledger: variants of networks, counted on the same images, priced in one long table.

A network gives several variants: a spiking one runs its whole window or exits early, and updates
its neurons in every step or only those that have something to do; a conventional one takes every
product, or skips those with a zero; a training is one of its own. `Ledger` has a row for each term
of each variant at each place, with its count, and its energy under each profile; every total, ratio
and verdict is selected from it.

The file of variants, from which a verdict over many runs is made, holds for variant k of K: `text`
[K, 3] (side, network, how it is run), `accuracies` float64 [K, 2] in percent (validation, test; NaN
is not allowed, so one that is not known is -1), `widths` int64 [K, 2] (bits of a weight; 1 for
integers), `sha256` [K] (checksum of its weights), and of its C columns `k.columns` [C, 2] (term,
place), `k.sizes` int64 [C, 3] (width, bits of its memory, bits of its layer's parameters) and the
counts of N images: `k.constant` int64 [C], -1 where they vary, and those that do, `k.varying`
uint32 [N, C'].
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.core.store import FilePath
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.counting import (
    METHODS,
    Column,
    OperationCounts,
    averaging,
    count_baseline,
    count_operations,
    widths_of,
)
from spikejoule.energy.estimates import (
    BootstrapSettings,
    CountStatistics,
    Energy,
    Floats,
    count_statistics,
)
from spikejoule.energy.prices import HardwareProfile, prices_pj, weights_of
from spikejoule.energy.terms import PARTS, TERMS
from spikejoule.evaluation.accuracy import stopped_after
from spikejoule.evaluation.measurement import Measurement, clocked_updates
from spikejoule.network.quantisation import FLOAT_BITS

Side = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"

WHOLE_WINDOW: Final = "whole window"
EARLY_EXIT: Final = "early exit"
LAZILY: Final = ", lazy updates"


@dataclass(frozen=True)
class Accuracies:
    """In percent, on validation images, by which a network is chosen, and on test images.

    Attributes:
        validation_percent: None where it is not recorded: such a network is not compared.
        test_percent, low_percent, high_percent: the latter the ends of its interval; None where
            they are not known.
    """

    validation_percent: float | None
    test_percent: float
    low_percent: float | None = None
    high_percent: float | None = None


@dataclass(frozen=True, eq=False)
class Variant:
    """A network in one way of running it.

    Attributes:
        side: ``spiking`` or ``conventional``.
        network: what it is, such as ``ReLU 784-100-10, 90 % pruned``.
        method: how it is run: ``whole window``, ``early exit``, ``dense``, ``zero-skipping``.
        accuracies: None where they are not known.
        weight_bits: width of its weights; 32 is floating point, less are integers.
        operations: of each of N images, or of a mean.
        weights_sha256: checksum of its weights; empty where it is not known.
    """

    side: Side
    network: str
    method: str
    accuracies: Accuracies | None
    weight_bits: int
    operations: OperationCounts
    weights_sha256: str = ""

    @property
    def name(self) -> str:
        """The network and how it is run."""
        return f"{self.network}, {self.method}"

    @property
    def validation_percent(self) -> float | None:
        """By which it is chosen; None where it is not known."""
        return None if self.accuracies is None else self.accuracies.validation_percent

    @property
    def test_percent(self) -> float | None:
        """On test images; None likewise."""
        return None if self.accuracies is None else self.accuracies.test_percent


def spiking_variants(
    name: str,
    measured: Measurement,
    encoder: Encoder,
    images: NDArray[np.uint8] | None,
    accuracies: Accuracies | None,
    early: tuple[NDArray[np.int64], Accuracies | None] | None = None,
) -> tuple[Variant, ...]:
    """The ways of running a spiking network, the whole window with clocked updates first.

    Each with updates in every step, and, where that is less, of neurons that have something to do.

    Args:
        name: of the network.
        measured: N images in it.
        encoder: by which they became spikes.
        images: uint8 [N, height, width]; None where they are not known.
        accuracies: of the whole window; None where not known.
        early: after which step each image exits early, [N], and how well; None where that is
            not known.
    """
    bits, _ = widths_of(measured.architecture)
    whole = np.full(measured.counts.n_samples, measured.time_window, dtype=np.int64)
    ways = [(WHOLE_WINDOW, whole, accuracies)]
    if early is not None:
        ways.append((EARLY_EXIT, *early))
    found = []
    for method, steps, known in ways:
        exits = None if method == WHOLE_WINDOW else steps
        run = measured if exits is None else stopped_after(measured, exits)
        encoding = None if images is None else encoder.operations(images, exits)
        clocked = clocked_updates(measured.architecture, steps)
        # Where all are updated in every step, lazy updates are counted over the whole window.
        lazy = np.minimum(run.lazy_updates, clocked)
        for suffix, updates in (("", clocked), (LAZILY, lazy))[: 1 + (lazy < clocked).any()]:
            operations = count_operations(run.activity(updates, exits), encoding)
            found.append(Variant(SPIKING, name, f"{method}{suffix}", known, bits, operations))
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
            operations=count_baseline(baseline, method, n_samples),
            weights_sha256=baseline.weights_sha256,
        )
        for baseline in baselines
        for method in METHODS
    )


def averaged(variants: Sequence[Variant], side: int, n_pixels: int) -> tuple[Variant, ...]:
    """The same with what making the pixels takes that they read (`counting.averaging`)."""
    return tuple(
        replace(one, operations=averaging(one.operations, side, n_pixels)) for one in variants
    )


_SPREAD = ("standard_deviation", "interval_low", "interval_high")
COUNTS: Final = ("count", *(f"count_{of}" for of in _SPREAD))
"""Columns of operations per inference: the mean, its spread over images and bootstrap interval."""
PJ: Final = ("pj_low", "pj", "pj_high", *(f"pj_{of}" for of in _SPREAD))
"""Columns of energies, in the order of the fields of `Energy`."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """The long table: the rows of V variants, a term at a place each, under some profiles.

    A variant is named by its number, a profile by its id.

    Attributes:
        variants: of both sides; a training, where it is known, is the last.
        profiles: in their order.
        statistics: of the counts of each variant; all share the draws of images.
        prices: by profile, of each variant low, value and high of one operation of each of its rows
            (`HardwareProfile.price_at`).
    """

    variants: tuple[Variant, ...]
    profiles: tuple[HardwareProfile, ...]
    statistics: tuple[CountStatistics, ...]
    prices: Mapping[str, Sequence[Floats]]

    @classmethod
    def of(
        cls,
        variants: Sequence[Variant],
        profiles: Iterable[HardwareProfile],
        settings: BootstrapSettings,
    ) -> "Ledger":
        """Price variants of the same images; where one is known as a mean alone, all are means."""
        operations, priced = [one.operations for one in variants], tuple(profiles)
        images: list[NDArray[Any]] = [one.counts for one in operations]
        if any(one.n_images is None for one in operations):
            images = [one.means[None] for one in operations]
        prices = {one.id: [prices_pj(of.columns, one) for of in operations] for one in priced}
        statistics = count_statistics(images, settings) if images else ()
        return cls(tuple(variants), priced, statistics, prices)

    def weights(self, variant: int, profile: str) -> Floats:
        """What the counts of a variant are multiplied with (`prices.weights_of`), [3, C]."""
        return weights_of(self.prices[profile][variant])

    def rows(
        self, variant: int, profile: HardwareProfile, with_spread: bool = False
    ) -> list[dict[str, Any]]:
        """The rows of a variant under a profile: term, place, width and memory (the fields of
        `Column`), `COUNTS`, `PJ`, and `status`.

        All energies are NaN where a row has no price, and the value where it has a bracket alone;
        their spread without `with_spread`, and all spread of a mean.
        """
        counted = self.statistics[variant]
        energies = counted.energies(self.weights(variant, profile.id), with_spread)
        energies[:, np.isnan(self.prices[profile.id][variant][0])] = np.nan
        figures, rows = np.vstack([counted.columns, energies]).T.tolist(), []
        for column, row in zip(self.variants[variant].operations.columns, figures, strict=True):
            cells = dict(zip((*COUNTS, *PJ), row, strict=True))
            rows.append(vars(column) | cells | {"status": profile.status_of(column.term)})
        return rows

    def total(self, variant: int, profile: str, phase: str = "") -> Energy:
        """The energy of a variant; of a phase of a training, if one is named, NaN where none of its
        rows has a price."""
        weights = self.weights(variant, profile)
        if phase:
            columns = self.variants[variant].operations.columns
            others = np.array([column.phase != phase for column in columns])
            if np.isnan(self.prices[profile][variant][0, ~others]).all():
                return Energy(np.nan, None, np.nan)
            weights[:, others] *= 0.0
        return self.statistics[variant].energy(weights)

    def means(self, variant: int, profile: str) -> Floats:
        """The energy of an inference under lower ends, values and upper ends of prices, [3]."""
        return self.statistics[variant].sums(self.weights(variant, profile))

    def resampled(self, variant: int, profile: str) -> Floats:
        """The same in every resample of images, [3, B]."""
        return self.statistics[variant].resampled_sums(self.weights(variant, profile))

    def by_part(self, name: str, profile: str) -> dict[str, float]:
        """pJ per inference of each of `terms.PARTS`, by a variant's name and a profile's id; of
        brackets, the upper ends. A part without a price is 0."""
        number = [one.name for one in self.variants].index(name)
        (prices,) = (one for one in self.profiles if one.id == profile)
        rows = self.rows(number, prices)
        of_value = "pj_high" if np.isnan([row["pj"] for row in rows]).all() else "pj"
        spent = [(TERMS[row["term"]].part, row[of_value]) for row in rows]
        return {part: float(np.nansum([pj for of, pj in spent if of == part])) for part in PARTS}


def judges(profile: HardwareProfile, variant: Variant) -> bool:
    """Whether a profile compares networks, has prices of numbers as a variant was run in, and of
    what it does.

    One that nothing has a price of, not at the lower end either, would need no energy.
    """
    if not (profile.compares and profile.runs(variant.weight_bits)):
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
    optional={"sha256": Array("U", ("K",))},
)


def save_variants(path: FilePath, variants: Sequence[Variant]) -> None:
    """Write variants that were counted image by image, all on the same N images.

    Raises:
        ValueError: one is known as a mean alone, or has a count of 2**32 or more.
    """
    percents = np.array([(one.validation_percent, one.test_percent) for one in variants], float)
    percents[[one.accuracies is None for one in variants]] = _UNKNOWN
    widths = [(one.weight_bits, int(one.weight_bits < FLOAT_BITS)) for one in variants]
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array([(one.side, one.network, one.method) for one in variants], dtype=np.str_),
        "accuracies": percents,
        "widths": np.array(widths, np.int64),
        "sha256": np.array([one.weights_sha256 for one in variants], dtype=np.str_),
    }
    for number, one in enumerate(variants):
        columns, counts = one.operations.columns, one.operations.counts
        if one.operations.n_images is None or counts.max(initial=0) > np.iinfo(np.uint32).max:
            raise ValueError(f"{one.name} is known as a mean alone, or has counts of 2**32 or more")
        varies = (counts != counts[:1]).any(axis=0)
        stored = (
            np.array([(each.term, each.place) for each in columns], dtype=np.str_),
            np.array([(each.bits, each.memory_bits, each.parameters_bits) for each in columns]),
            np.where(varies, _VARIES, counts[0]),
            counts[:, varies].astype(np.uint32),
        )
        arrays |= {f"{number}.{name}": each for name, each in zip(_OF_EACH, stored, strict=True)}
    VARIANTS.write(path, arrays)


def load_variants(path: FilePath) -> tuple[Variant, ...]:
    """Read a file of `save_variants`; ArtifactError if it is missing or damaged."""
    arrays, found = VARIANTS.read(path), []
    digests = arrays["sha256"].tolist() if "sha256" in arrays else [""] * len(arrays["text"])
    try:
        for number, (side, network, method) in enumerate(arrays["text"].tolist()):
            if side not in get_args(Side):
                raise ValueError(f"a network of the side {side!r}")
            places, sizes, constant, varying = (arrays[f"{number}.{name}"] for name in _OF_EACH)
            counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
            counts[:, constant == _VARIES] = varying
            columns = [
                Column(*place, *widths)
                for place, widths, _ in zip(places.tolist(), sizes.tolist(), constant, strict=True)
            ]
            percents, bits = arrays["accuracies"][number].tolist(), arrays["widths"][number, 0]
            accuracies = None if _UNKNOWN in percents else Accuracies(*percents)
            operations = OperationCounts(tuple(columns), counts, 1)
            variant = Variant(side, network, method, accuracies, int(bits), operations)
            found.append(replace(variant, weights_sha256=digests[number]))
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: variants do not fit each other: {error}.") from error
    return tuple(found)
