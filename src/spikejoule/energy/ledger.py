"""The ledger: operation counts of networks on the same images, times prices.

Each network has several variants, one for each way of running it. A spiking network
runs its whole window or exits early, and updates its neurons in every step (clocked) or
only when needed (lazy). A conventional network computes every product or skips those
with a zero. Training is a variant of its own. Every row of the energy table, and every
total, ratio and verdict, is computed from the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.records import Activity
from spikejoule.energy.count import count_operations
from spikejoule.energy.dataflow import DATAFLOWS, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import (
    BootstrapSettings,
    Energy,
    Floats,
    resampled_means,
    spread,
)
from spikejoule.energy.operations import INFERENCE, PHASES, OperationCounts
from spikejoule.energy.prices import HardwareProfile, Status, factors_of, prices_pj
from spikejoule.energy.terms import PARTS, TERMS
from spikejoule.energy.timing import Timed, in_time
from spikejoule.evaluation.runs import EARLY_EXIT, method_of

SideName = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"


ZERO_SKIPPING_METHOD: Final = "zero-skipping"
DENSE_METHOD: Final = "dense"
"""Methods of running a conventional network."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Variant:
    """A network, and one way of running it.

    Attributes:
        side: ``spiking`` or ``conventional``.
        network: name of a conventional network, such as ``ReLU 784-100-10, 90 %
            pruned``; empty for the analysed spiking network.
        method: ``whole window`` or ``early exit``; ``zero-skipping`` or ``dense``; or
            ``training``.
        weight_bits: width of the weights: 32 for floating point, fewer for integers.
        operations: counts of N images, or their mean.
        dataflow: how they were counted.
        validation_percent: accuracy on validation images, by which networks are
            compared; None if unknown.
        test_percent: accuracy on test images; None if unknown.
        test_low_percent, test_high_percent: interval of the test accuracy; None if
            unknown.
        weights_sha256: checksum of the weights; empty if unknown.
        lazy: whether a spiking network updates neurons only when needed.
        pruned: whether synapses were removed.
        is_quantised: whether it became a network of integers after its training.
    """

    side: SideName
    method: str
    weight_bits: int
    operations: OperationCounts
    network: str = ""
    dataflow: Dataflow = ZERO_SKIPPING
    validation_percent: float | None = None
    test_percent: float | None = None
    test_low_percent: float | None = None
    test_high_percent: float | None = None
    weights_sha256: str = ""
    lazy: bool = False
    pruned: bool = False
    is_quantised: bool = False


def spiking_variant(activity: Activity) -> Variant:
    """Count the operations of a spiking network in one way of running it."""
    return Variant(
        side=SPIKING,
        method=method_of(activity),
        weight_bits=activity.network.weight_bits,
        operations=count_operations(activity),
        lazy=activity.lazy,
        pruned=activity.pruned,
    )


def baseline_variants(
    baselines: Sequence[CountedBaseline], n_samples: int
) -> tuple[Variant, ...]:
    """Count networks on the first `n_samples` test images, dense and zero-skipping.

    Raises:
        ArtifactError: one was counted on fewer images.
    """
    for baseline in baselines:
        n_counted = baseline.activity.n_rows
        if n_counted < n_samples:
            raise ArtifactError(
                f"the baseline {baseline.name} was counted on {n_counted:,} test "
                f"images, but the network on {n_samples:,}: run the baseline stage "
                "again."
            )
    return tuple(
        baseline_variant(baseline, dataflow, n_samples)
        for baseline in baselines
        for dataflow in DATAFLOWS
    )


def baseline_variant(
    baseline: CountedBaseline, dataflow: Dataflow, n_samples: int
) -> Variant:
    """Return a conventional network on its first images, in one dataflow."""
    activity = baseline.activity.first(n_samples)
    return Variant(
        side=CONVENTIONAL,
        network=baseline.name,
        method=ZERO_SKIPPING_METHOD if dataflow.skips_zeros else DENSE_METHOD,
        weight_bits=baseline.network.weight_bits,
        operations=count_operations(activity, dataflow),
        dataflow=dataflow,
        validation_percent=baseline.validation_accuracy_percent,
        test_percent=baseline.accuracy_percent,
        weights_sha256=baseline.weights_sha256,
        pruned=activity.pruned,
        is_quantised=baseline.is_quantised,
    )


TOTAL: Final = "total"
"""The term of a row that sums other rows."""


@dataclass(frozen=True, eq=False)
class EnergyRow:
    """A row of the table: one operation in one layer, or a total.

    Attributes:
        profile: id of the price list.
        network: name of a conventional network; empty for the analysed one.
        method: how the network is run, as in `Variant`.
        lazy: whether neurons are updated only when needed.
        phase: ``inference``, or a phase of training.
        term: an operation (`terms.TERMS`), or ``total``.
        layer: the layer or connection; empty for a total.
        status: whether its energy is part of the total.
        energy: None if it has no price.
        label: class of the images that a total covers; None for all images.
        count, count_standard_deviation, count_interval_low, count_interval_high: mean
            operations per inference, their standard deviation over images, and the
            bootstrap interval of the mean. For training, all operations, without
            spread. NaN for a total.
        bits, memory_bits: width of a word, and size of its memory; NaN for a total.
        timed: of a total, the energy with time; None if it is dynamic only.
    """

    profile: str
    network: str
    method: str
    lazy: bool
    phase: str
    term: str
    layer: str
    status: Status
    energy: Energy | None
    label: int | None = None
    count: float = np.nan
    count_standard_deviation: float = np.nan
    count_interval_low: float = np.nan
    count_interval_high: float = np.nan
    bits: float = np.nan
    memory_bits: float = np.nan
    timed: Timed | None = None

    @property
    def is_total(self) -> bool:
        """Whether the row sums other rows."""
        return self.term == TOTAL

    @property
    def is_of_first(self) -> bool:
        """Whether it is of the analysed network: clocked, whole window; or training."""
        is_other_way = self.method == EARLY_EXIT or self.lazy
        return not self.network and not is_other_way


@dataclass(frozen=True, eq=False)
class Ledger:
    """Variants counted on the same images, and the price of each of their operations.

    A variant has C columns, one for each term in each layer (`operations.Column`).
    Methods take the position of a variant in `variants`, and the id of a price list.
    An energy is the sum of counts times factors: prices, with 0 for a missing one.

    Attributes:
        variants: the networks, each with a way of running it.
        profiles: the price lists.
        settings: how bootstrap intervals are computed.
        resampled: mean counts of each variant in B resamples, [B, C]. Each resample has
            the same images for all variants, so ratios are paired.
        prices: for each price list and variant, the low end, value and high end of the
            price of each column, [3, C] (`HardwareProfile.price_at`).
    """

    variants: tuple[Variant, ...]
    profiles: tuple[HardwareProfile, ...]
    settings: BootstrapSettings
    resampled: tuple[Floats, ...]
    prices: Mapping[str, Sequence[Floats]]

    @classmethod
    def of(
        cls,
        variants: Sequence[Variant],
        profiles: Iterable[HardwareProfile],
        settings: BootstrapSettings,
    ) -> "Ledger":
        """Price variants; if only the mean of one is known, reduce all to means."""
        alike = tuple(variants)
        if any(variant.operations.n_images is None for variant in alike):
            alike = tuple(
                replace(variant, operations=variant.operations.as_mean)
                for variant in alike
            )
        operations = [variant.operations for variant in alike]
        price_lists = tuple(profiles)
        prices = {
            profile.id: [prices_pj(counted.columns, profile) for counted in operations]
            for profile in price_lists
        }
        resampled = resampled_means(
            [counted.counts for counted in operations], settings
        )
        return cls(alike, price_lists, settings, resampled, prices)

    def factors(self, position: int, profile: str) -> Floats:
        """Return the factors of a variant's counts, [3, C] (`prices.factors_of`)."""
        return factors_of(self.prices[profile][position])

    def rows(
        self, position: int, profile: HardwareProfile, with_spread: bool = False
    ) -> list[EnergyRow]:
        """Return the rows of a variant under a price list, one per column.

        Args:
            position: of the variant.
            profile: the price list.
            with_spread: whether energies have a standard deviation and an interval.
        """
        variant = self.variants[position]
        columns = variant.operations.columns
        prices = self.prices[profile.id][position]
        factors = self.factors(position, profile.id)
        energies = self._by_column(position, factors, with_spread)
        # At a price of 1, the energy of a column is its count, and its low end, value
        # and high end are equal.
        counts = self._by_column(position, np.ones((3, len(columns))))
        mean, _, _, deviation, interval_low, interval_high = counts.tolist()
        return [
            EnergyRow(
                profile=profile.id,
                network=variant.network,
                method=variant.method,
                lazy=variant.lazy,
                phase=column.phase,
                term=column.term,
                layer=column.place,
                status=profile.status_of(column.term, column.phase),
                energy=None
                if np.isnan(prices[0, place])
                else Energy.of(energies[:, place]),
                count=mean[place],
                count_standard_deviation=deviation[place],
                count_interval_low=interval_low[place],
                count_interval_high=interval_high[place],
                bits=float(column.bits),
                memory_bits=float(column.memory_bits),
            )
            for place, column in enumerate(columns)
        ]

    def total_row(
        self, position: int, profile: HardwareProfile, phase: str = INFERENCE
    ) -> EnergyRow:
        """Return the row of a total; its status is unpriced if there is no energy.

        Args:
            position: of the variant.
            profile: the price list.
            phase: a phase of training; with any other, all columns are totalled.
        """
        variant = self.variants[position]
        energy: Energy | None
        if phase in PHASES:
            energy = self.total_of_phase(position, profile.id, phase)
        else:
            energy = self.total(position, profile.id)
        return EnergyRow(
            profile=profile.id,
            network=variant.network,
            method=variant.method,
            lazy=variant.lazy,
            phase=phase,
            term=TOTAL,
            layer="",
            status="unpriced" if energy is None else "priced",
            energy=energy,
            timed=self.timed(position, profile) if phase == INFERENCE else None,
        )

    def _by_column(
        self, position: int, factors: Floats, with_spread: bool = True
    ) -> Floats:
        """Return the energy of each column alone, float64 [6, C].

        The rows are the fields of `Energy`: low, value, high, standard deviation, and
        the ends of the interval.
        """
        operations = self.variants[position].operations
        spreads = np.full_like(factors, np.nan)
        if with_spread:
            of_images = factors[:, None]
            deviations = (operations.counts - operations.means) * of_images
            resampled = self.resampled[position] * of_images
            spreads = spread(deviations, resampled, self.settings.confidence)
        return np.vstack([operations.means * factors, spreads])

    def total(self, position: int, profile: str) -> Energy:
        """Return the energy of a variant."""
        return self._total(position, self.factors(position, profile))

    def _total(self, position: int, factors: Floats) -> Energy:
        """Return the energy of all columns together, with factors [3, C]."""
        operations = self.variants[position].operations
        deviations = ((operations.counts - operations.means) @ factors.T).T
        resampled = _sums(self.resampled[position], factors)
        spreads = spread(deviations, resampled, self.settings.confidence)
        return Energy.of([*_sums(operations.means, factors), *spreads])

    def total_of_phase(self, position: int, profile: str, phase: str) -> Energy | None:
        """Return the energy of a training phase; None if it has no price."""
        columns = self.variants[position].operations.columns
        outside = np.array([column.phase != phase for column in columns])
        if np.isnan(self.prices[profile][position][0, ~outside]).all():
            return None
        factors = self.factors(position, profile)
        # 0 * NaN is NaN: if another phase has only a price range, all values are NaN,
        # and this total has none either.
        factors[:, outside] *= 0.0
        return self._total(position, factors)

    def means(self, position: int, profile: str) -> Floats:
        """Return the mean energy at low end, value and high end of the prices, [3]."""
        return _sums(
            self.variants[position].operations.means, self.factors(position, profile)
        )

    def timed(self, position: int, profile: HardwareProfile) -> Timed | None:
        """Return a variant's energy with time; None if it is dynamic only.

        That is the case for a price list without time, and for a conventional network
        on a chip that runs spiking networks only. The variant must be of inference.
        """
        variant = self.variants[position]
        runs = variant.side == SPIKING or profile.eligibility.scope_compares
        if profile.time is None or not runs:
            return None
        dynamic_pj = self.means(position, profile.id)
        return in_time(variant.operations, dynamic_pj, profile.time)

    def resampled_energies(self, position: int, profile: str) -> Floats:
        """Return `means` in every resample of images, [3, B]."""
        return _sums(self.resampled[position], self.factors(position, profile))

    def by_part(self, position: int, profile: str) -> dict[str, float]:
        """Return pJ per inference of a variant by part (`terms.PARTS`).

        A price that is only a range counts at its high end; a part without a price is
        0.
        """
        _, values_pj, highs_pj = self.prices[profile][position]
        unit_pj = np.nan_to_num(np.where(np.isnan(values_pj), highs_pj, values_pj))
        operations = self.variants[position].operations
        parts_pj = dict.fromkeys(PARTS, 0.0)
        energies_pj = operations.means * unit_pj
        for column, energy_pj in zip(operations.columns, energies_pj, strict=True):
            part = TERMS[column.term].part
            if part:
                parts_pj[part] += float(energy_pj)
        return parts_pj


def _sums(counts: Floats, factors: Floats) -> Floats:
    """Return the weighted sums of counts [..., C], with factors [3, C]: [3, ...]."""
    return np.stack([counts @ row for row in factors])
