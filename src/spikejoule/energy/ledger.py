"""The ledger: operation counts of networks on the same images, times prices.

Each network has several variants, one for each way of running it. A spiking network
runs its whole window or exits early, and updates its neurons in every step (clocked) or
only when needed (lazy). A conventional network computes every product or skips those
with a zero. Training is a variant of its own. Every row of the energy table, and every
total, ratio and verdict, is computed from the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.core.errors import ArtifactError
from spikejoule.energy.count import count_operations
from spikejoule.energy.dataflow import DATAFLOWS, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import (
    BootstrapSettings,
    Energy,
    Floats,
    resampled_means,
    spread,
)
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile, Status, prices_pj, weights_of
from spikejoule.energy.terms import PARTS, TERMS
from spikejoule.evaluation.runs import CountedRun

SideName = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of a network, in percent.

    Attributes:
        validation_percent: accuracy on validation images, by which networks are
            compared; None if not recorded.
        test_percent: accuracy on test images.
        low_percent, high_percent: interval of the test accuracy; None if unknown.
    """

    validation_percent: float | None
    test_percent: float
    low_percent: float | None = None
    high_percent: float | None = None


@dataclass(frozen=True, eq=False)
class Variant:
    """A network, and one way of running it.

    Attributes:
        side: ``spiking`` or ``conventional``.
        network: name of the network, such as ``ReLU 784-100-10, 90 % pruned``.
        method: that of a `CountedRun`; ``zero-skipping`` or ``dense``; or ``training``.
        accuracies: None if unknown.
        weight_bits: width of the weights: 32 for floating point, fewer for integers.
        operations: counts of N images, or their mean.
        dataflow: how they were counted.
        weights_sha256: checksum of the weights; empty if unknown.
        lazy: whether a spiking network updates neurons only when needed.
        pruned: whether synapses were removed.
    """

    side: SideName
    network: str
    method: str
    accuracies: Accuracies | None
    weight_bits: int
    operations: OperationCounts
    dataflow: Dataflow = ZERO_SKIPPING
    weights_sha256: str = ""
    lazy: bool = False
    pruned: bool = False

    @property
    def way(self) -> str:
        """The method, and whether updates are lazy, in words."""
        return way_of(self.method, self.lazy)

    @property
    def name(self) -> str:
        """The network, and how it is run."""
        return f"{self.network}, {self.way}"

    @property
    def validation_percent(self) -> float | None:
        """Accuracy on validation images; None if unknown."""
        return None if self.accuracies is None else self.accuracies.validation_percent

    @property
    def test_percent(self) -> float | None:
        """Accuracy on test images; None if unknown."""
        return None if self.accuracies is None else self.accuracies.test_percent


ZERO_SKIPPING_METHOD: Final = "zero-skipping"
DENSE_METHOD: Final = "dense"
"""Methods of running a conventional network."""


def way_of(method: str, lazy: bool) -> str:
    """Name a way of running a network."""
    return f"{method}, lazy updates" if lazy else method


def spiking_variants(
    name: str,
    runs: Sequence[CountedRun],
    accuracies: Mapping[str, Accuracies | None] = MappingProxyType({}),
) -> tuple[Variant, ...]:
    """Count the operations of a spiking network in every way of running it.

    Args:
        name: the network's name.
        runs: the ways.
        accuracies: of each method, where known.
    """
    return tuple(
        Variant(
            side=SPIKING,
            network=name,
            method=run.method,
            accuracies=accuracies.get(run.method),
            weight_bits=run.activity.network.weight_bits,
            operations=count_operations(run.activity, run.encoding),
            lazy=run.lazy,
            pruned=run.activity.pruned,
        )
        for run in runs
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
        accuracies=Accuracies(
            baseline.validation_accuracy_percent, baseline.accuracy_percent
        ),
        weight_bits=baseline.network.weight_bits,
        operations=count_operations(activity, dataflow=dataflow),
        dataflow=dataflow,
        weights_sha256=baseline.weights_sha256,
        pruned=activity.pruned,
    )


TOTAL: Final = "total"
"""The term of a row that sums other rows."""

_NO_ENERGY = Energy.of([np.nan] * 6)


@dataclass(frozen=True, eq=False)
class EnergyRow:
    """A row of the table: one operation in one layer, or a total.

    Attributes:
        profile: id of the price list.
        network: name of the network in the table, such as ``snn``.
        way: another way of running the analysed network than the first; empty for the
            first, and for other networks.
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
    """

    profile: str
    network: str
    way: str
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

    @property
    def is_total(self) -> bool:
        """Whether the row sums other rows."""
        return self.term == TOTAL

    @property
    def cells(self) -> dict[str, Any]:
        """The row as numbers and strings; NaN where unknown."""
        energy = self.energy or _NO_ENERGY
        low, value, high, deviation, interval_low, interval_high = energy.numbers
        return {
            "profile": self.profile,
            "network": f"{self.network}, {self.way}" if self.way else self.network,
            "phase": self.phase,
            "term": self.term,
            "layer": self.layer,
            "class": np.nan if self.label is None else float(self.label),
            "count": self.count,
            "pj_low": low,
            "pj": value,
            "pj_high": high,
            "pj_standard_deviation": deviation,
            "pj_interval_low": interval_low,
            "pj_interval_high": interval_high,
            "status": self.status,
            "count_standard_deviation": self.count_standard_deviation,
            "count_interval_low": self.count_interval_low,
            "count_interval_high": self.count_interval_high,
            "bits": self.bits,
            "memory_bits": self.memory_bits,
        }


def total_row(
    profile: str,
    network: str,
    phase: str,
    energy: Energy | None,
    label: int | None = None,
) -> EnergyRow:
    """Build the row of a total; its status is unpriced if there is no energy."""
    status: Status = "unpriced" if energy is None else "priced"
    return EnergyRow(profile, network, "", phase, TOTAL, "", status, energy, label)


@dataclass(frozen=True, eq=False)
class Ledger:
    """Variants counted on the same images, and the price of each of their operations.

    A variant has C columns, one for each term in each layer (`operations.Column`).
    Methods take the position of a variant in `variants`, and the id of a price list.
    The weights here are not a network's: they are prices with 0 for a missing one, and
    an energy is the sum of counts times weights.

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

    def weights(self, variant: int, profile: str) -> Floats:
        """Return the weights of a variant's counts, [3, C] (`prices.weights_of`)."""
        return weights_of(self.prices[profile][variant])

    def rows(
        self,
        variant: int,
        profile: HardwareProfile,
        network: str,
        way: str = "",
        with_spread: bool = False,
    ) -> list[EnergyRow]:
        """Return the rows of a variant under a price list, one per column.

        Args:
            variant: position of the variant.
            profile: the price list.
            network: name of the network in the table.
            way: as in `EnergyRow`.
            with_spread: whether energies have a standard deviation and an interval.
        """
        columns = self.variants[variant].operations.columns
        prices = self.prices[profile.id][variant]
        weights = self.weights(variant, profile.id)
        energies = self._by_column(variant, weights, with_spread)
        # At a price of 1, the energy of a column is its count.
        counts = self._by_column(variant, np.ones((3, len(columns))))
        mean, _, _, deviation, interval_low, interval_high = counts.tolist()
        return [
            EnergyRow(
                profile=profile.id,
                network=network,
                way=way,
                phase=column.phase,
                term=column.term,
                layer=column.place,
                status=profile.status_of(column.term, column.phase),
                energy=None
                if np.isnan(prices[0, number])
                else Energy.of(energies[:, number]),
                count=mean[number],
                count_standard_deviation=deviation[number],
                count_interval_low=interval_low[number],
                count_interval_high=interval_high[number],
                bits=float(column.bits),
                memory_bits=float(column.memory_bits),
            )
            for number, column in enumerate(columns)
        ]

    def _by_column(
        self, variant: int, weights: Floats, with_spread: bool = True
    ) -> Floats:
        """Return the fields of `Energy` for each column alone, float64 [6, C]."""
        operations = self.variants[variant].operations
        spreads = np.full_like(weights, np.nan)
        if with_spread:
            factors = weights[:, None]
            deviations = (operations.counts - operations.means) * factors
            resampled = self.resampled[variant] * factors
            spreads = spread(deviations, resampled, self.settings.confidence)
        return np.vstack([operations.means * weights, spreads])

    def total(self, variant: int, profile: str) -> Energy:
        """Return the energy of a variant."""
        return self._total(variant, self.weights(variant, profile))

    def _total(self, variant: int, weights: Floats) -> Energy:
        """Return the energy of all columns together, with weights [3, C]."""
        operations = self.variants[variant].operations
        deviations = ((operations.counts - operations.means) @ weights.T).T
        resampled = _sums(self.resampled[variant], weights)
        spreads = spread(deviations, resampled, self.settings.confidence)
        return Energy.of([*_sums(operations.means, weights), *spreads])

    def total_of_phase(self, variant: int, profile: str, phase: str) -> Energy | None:
        """Return the energy of a training phase; None if it has no price."""
        columns = self.variants[variant].operations.columns
        outside = np.array([column.phase != phase for column in columns])
        if np.isnan(self.prices[profile][variant][0, ~outside]).all():
            return None
        weights = self.weights(variant, profile)
        # 0 * NaN is NaN: if another phase has only a price range, all values are NaN,
        # and this total has none either.
        weights[:, outside] *= 0.0
        return self._total(variant, weights)

    def means(self, variant: int, profile: str) -> Floats:
        """Return the mean energy at low end, value and high end of the prices, [3]."""
        return _sums(
            self.variants[variant].operations.means, self.weights(variant, profile)
        )

    def resampled_energies(self, variant: int, profile: str) -> Floats:
        """Return `means` in every resample of images, [3, B]."""
        return _sums(self.resampled[variant], self.weights(variant, profile))

    def by_part(self, number: int, profile: str) -> dict[str, float]:
        """Return pJ per inference of a variant by part (`terms.PARTS`).

        A price that is only a range counts at its high end; a part without a price is
        0.
        """
        _, values_pj, highs_pj = self.prices[profile][number]
        unit_pj = np.nan_to_num(np.where(np.isnan(values_pj), highs_pj, values_pj))
        operations = self.variants[number].operations
        parts_pj = dict.fromkeys(PARTS, 0.0)
        energies_pj = operations.means * unit_pj
        for column, energy_pj in zip(operations.columns, energies_pj, strict=True):
            part = TERMS[column.term].part
            if part:
                parts_pj[part] += float(energy_pj)
        return parts_pj


def _sums(counts: Floats, weights: Floats) -> Floats:
    """Return the weighted sums of counts [..., C], with weights [3, C]: [3, ...]."""
    return np.stack([counts @ row for row in weights])


def is_comparable(profile: HardwareProfile, variant: Variant) -> bool:
    """Whether a network can be compared with others under a price list.

    The list must price both kinds of networks, in this network's number format, and
    price at least one of its operations: without any, the network would seem to need no
    energy. A verdict also needs a width that the list judges (`Eligibility.judges`).
    """
    eligibility = profile.eligibility
    if not (eligibility.compares and eligibility.runs(variant.weight_bits)):
        return False
    weights = weights_of(prices_pj(variant.operations.columns, profile))
    return bool(weights[0].any())


def may_judge(profile: HardwareProfile, variant: Variant) -> bool:
    """Whether a verdict under a price list may include a network."""
    is_judged = profile.eligibility.judges(variant.weight_bits)
    return is_judged and is_comparable(profile, variant)
