"""The ledger: variants of networks, counted on the same images, priced in one long
table.

A network gives several variants: a spiking one runs its whole window or exits early,
and updates its neurons in every step or only those that have something to do; a
conventional one takes every product, or skips those with a zero; a training is one of
its own. `Ledger` has a row for each term of each variant at each place, with its count,
and its energy under each profile; every total, ratio and verdict is selected from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.counts.measurement import Measurement, clocked_updates
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.conventional import METHODS, count_baseline
from spikejoule.energy.estimates import (
    BootstrapSettings,
    Energy,
    Floats,
    resampled_means,
    spread,
)
from spikejoule.energy.operations import OperationCounts, averaging, count_operations
from spikejoule.energy.prices import HardwareProfile, Status, prices_pj, weights_of
from spikejoule.energy.terms import PARTS, TERMS
from spikejoule.evaluation.accuracy import stopped_after

Side = Literal["spiking", "conventional"]
SPIKING: Final = "spiking"
CONVENTIONAL: Final = "conventional"

WHOLE_WINDOW: Final = "whole window"
EARLY_EXIT: Final = "early exit"
LAZILY: Final = ", lazy updates"


@dataclass(frozen=True)
class Accuracies:
    """In percent, on validation images, by which a network is chosen, and on test
    images.

    Attributes:
        validation_percent: None where it is not recorded: such a network is not
            compared.
        test_percent, low_percent, high_percent: the latter the ends of its interval;
            None where they are not known.
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
        method: how it is run: ``whole window``, ``early exit``, ``dense``,
            ``zero-skipping``.
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
    """The ways of running a spiking network, the whole window with clocked updates
    first.

    Each with updates in every step, and, where that is less, of neurons that have
    something to do.

    Args:
        name: of the network.
        measured: N images in it.
        encoder: by which they became spikes.
        images: uint8 [N, height, width]; None where they are not known.
        accuracies: of the whole window; None where not known.
        early: after which step each image exits early, [N], and how well; None where
            that is not known.
    """
    ways: list[tuple[str, NDArray[np.int64] | None, Accuracies | None]]
    ways = [(WHOLE_WINDOW, None, accuracies)]
    if early is not None:
        ways.append((EARLY_EXIT, *early))
    variants: list[Variant] = []
    for method, exits, known in ways:
        run = measured if exits is None else stopped_after(measured, exits)
        encoding = None if images is None else encoder.operations(images, exits)
        steps = (
            np.full(measured.n_samples, measured.time_window)
            if exits is None
            else exits
        )
        clocked = clocked_updates(measured.network, steps)
        # Where all are updated in every step, lazy updates are counted over the whole
        # window.
        lazy = np.minimum(run.lazy_updates, clocked)
        by_method = {method: clocked}
        if (lazy < clocked).any():
            by_method[method + LAZILY] = lazy
        variants += [
            Variant(
                side=SPIKING,
                network=name,
                method=way,
                accuracies=known,
                weight_bits=measured.network.weight_bits,
                operations=count_operations(run.activity(updates, exits), encoding),
            )
            for way, updates in by_method.items()
        ]
    return tuple(variants)


def baseline_variants(
    baselines: Sequence[BaselineCounts], n_samples: int
) -> tuple[Variant, ...]:
    """The ways of running conventional networks, of the first `n_samples` test
    images.
    """
    return tuple(
        Variant(
            side=CONVENTIONAL,
            network=baseline.name,
            method=method.replace("_", "-"),
            accuracies=Accuracies(
                baseline.validation_accuracy_percent, baseline.accuracy_percent
            ),
            weight_bits=baseline.weight_bits,
            operations=count_baseline(baseline, method, n_samples),
            weights_sha256=baseline.weights_sha256,
        )
        for baseline in baselines
        for method in METHODS
    )


def averaged(
    variants: Sequence[Variant], side: int, n_pixels: int
) -> tuple[Variant, ...]:
    """The same with what making the pixels takes that they read
    (`counting.averaging`).
    """
    return tuple(
        replace(one, operations=averaging(one.operations, side, n_pixels))
        for one in variants
    )


TOTAL: Final = "total"
"""The term of a row that sums others."""

_NO_ENERGY = Energy.of([np.nan] * 6)


@dataclass(frozen=True, eq=False)
class EnergyRow:
    """A row of the long table: an operation of a network at one place, or a total.

    Attributes:
        profile: id of the price list.
        network: as the table names it, such as ``snn``.
        phase: ``inference``, or a phase of training.
        term: an operation (`terms.TERMS`), or ``total``.
        layer: the place; empty for a total.
        status: whether its energy is in the total.
        energy: None where it has no price.
        label: the class whose images a total is over; None for all.
        count, count_standard_deviation, count_interval_low, count_interval_high:
            operations per inference, their spread over images and the bootstrap
            interval of their mean; of training all operations, without spread; NaN for
            a total.
        bits, memory_bits: width of a word, and size of its memory; NaN for a total.
    """

    profile: str
    network: str
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
        """Whether it sums other rows."""
        return self.term == TOTAL

    @property
    def cells(self) -> dict[str, Any]:
        """The row of a table of numbers and texts, NaN for what is not known."""
        energy = self.energy or _NO_ENERGY
        low, value, high, deviation, interval_low, interval_high = energy.numbers
        return {
            "profile": self.profile,
            "network": self.network,
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
    """The row of a total; None for an energy of which nothing has a price."""
    status: Status = "unpriced" if energy is None else "priced"
    return EnergyRow(profile, network, phase, TOTAL, "", status, energy, label)


@dataclass(frozen=True, eq=False)
class Ledger:
    """The long table: the rows of V variants, a term at a place each, under some
    profiles.

    A variant is named by its number, a profile by its id.

    Attributes:
        variants: of both sides; a training, where it is known, is the last.
        profiles: in their order.
        settings: how intervals are drawn.
        resampled: means of the counts of each variant in B resamples, [B, C], which
            share the draws of images.
        prices: by profile, of each variant low, value and high of one operation of each
            of its rows (`HardwareProfile.price_at`).
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
        """Price variants of the same images; where one is known as a mean alone, all
        are means.
        """
        networks = tuple(variants)
        if any(network.operations.n_images is None for network in networks):
            networks = tuple(
                replace(network, operations=network.operations.as_mean)
                for network in networks
            )
        operations = [network.operations for network in networks]
        priced = tuple(profiles)
        prices = {
            profile.id: [prices_pj(counted.columns, profile) for counted in operations]
            for profile in priced
        }
        resampled = resampled_means(
            [counted.counts for counted in operations], settings
        )
        return cls(networks, priced, settings, resampled, prices)

    def weights(self, variant: int, profile: str) -> Floats:
        """What the counts of a variant are multiplied with (`prices.weights_of`),
        [3, C].
        """
        return weights_of(self.prices[profile][variant])

    def rows(
        self,
        variant: int,
        profile: HardwareProfile,
        network: str,
        with_spread: bool = False,
    ) -> list[EnergyRow]:
        """The rows of a variant under a profile, a term at a place each.

        Args:
            variant: its number.
            profile: the price list.
            network: how the table names it.
            with_spread: whether energies have a spread; that of a mean is not known.
        """
        columns = self.variants[variant].operations.columns
        prices = self.prices[profile.id][variant]
        energies = self._by_column(
            variant, self.weights(variant, profile.id), with_spread
        )
        counts = self._by_column(variant, np.ones((3, len(columns)))).tolist()
        return [
            EnergyRow(
                profile=profile.id,
                network=network,
                phase=column.phase,
                term=column.term,
                layer=column.place,
                status=profile.status_of(column.term),
                energy=None
                if np.isnan(prices[0, place])
                else Energy.of(energies[:, place]),
                count=counts[0][place],
                count_standard_deviation=counts[3][place],
                count_interval_low=counts[4][place],
                count_interval_high=counts[5][place],
                bits=float(column.bits),
                memory_bits=float(column.memory_bits),
            )
            for place, column in enumerate(columns)
        ]

    def _by_column(
        self, variant: int, weights: Floats, with_spread: bool = True
    ) -> Floats:
        """The fields of `Energy` of each column by itself, float64 [6, C]."""
        operations = self.variants[variant].operations
        spreads = np.full_like(weights, np.nan)
        if with_spread:
            each = weights[:, None]
            deviations = (operations.counts - operations.means) * each
            resampled = self.resampled[variant] * each
            spreads = spread(deviations, resampled, self.settings.confidence)
        return np.vstack([operations.means * weights, spreads])

    def total(self, variant: int, profile: str) -> Energy:
        """The energy of a variant."""
        return self._total(variant, self.weights(variant, profile))

    def _total(self, variant: int, weights: Floats) -> Energy:
        """The energy of all columns together, under prices [3, C] with NaN values for
        brackets.
        """
        operations = self.variants[variant].operations
        deviations = ((operations.counts - operations.means) @ weights.T).T
        resampled = _sums(self.resampled[variant], weights)
        spreads = spread(deviations, resampled, self.settings.confidence)
        return Energy.of([*_sums(operations.means, weights), *spreads])

    def total_of_phase(self, variant: int, profile: str, phase: str) -> Energy | None:
        """The energy of a phase of a training; None where none of its rows has a
        price.
        """
        columns = self.variants[variant].operations.columns
        outside = np.array([column.phase != phase for column in columns])
        if np.isnan(self.prices[profile][variant][0, ~outside]).all():
            return None
        weights = self.weights(variant, profile)
        weights[:, outside] *= 0.0  # a NaN stays: a bracket elsewhere leaves no value
        return self._total(variant, weights)

    def means(self, variant: int, profile: str) -> Floats:
        """The energy of an inference under lower ends, values and upper ends of prices,
        [3].
        """
        return _sums(
            self.variants[variant].operations.means, self.weights(variant, profile)
        )

    def resampled_energies(self, variant: int, profile: str) -> Floats:
        """The same in every resample of images, [3, B]."""
        return _sums(self.resampled[variant], self.weights(variant, profile))

    def by_part(self, name: str, profile: str) -> dict[str, float]:
        """pJ per inference of each of `terms.PARTS`, by a variant's name and a
        profile's id; of brackets, the upper ends. A part without a price is 0."""
        number = [variant.name for variant in self.variants].index(name)
        _, values_pj, highs_pj = self.prices[profile][number]
        prices_pj = np.where(np.isnan(values_pj), highs_pj, values_pj)
        prices_pj = np.nan_to_num(prices_pj)
        operations = self.variants[number].operations
        spent = dict.fromkeys(PARTS, 0.0)
        for column, pj in zip(
            operations.columns, operations.means * prices_pj, strict=True
        ):
            part = TERMS[column.term].part
            if part:
                spent[part] += float(pj)
        return spent


def _sums(counts: Floats, weights: Floats) -> Floats:
    """Sums over the columns of counts [..., C] under prices [3, C], [3, ...]."""
    return np.stack([counts @ each for each in weights])


def may_judge(profile: HardwareProfile, variant: Variant) -> bool:
    """Whether a verdict under a profile may take a network: it is judged, and of its
    width.
    """
    return judges(profile, variant) and profile.judges_width(variant.weight_bits)


def judges(profile: HardwareProfile, variant: Variant) -> bool:
    """Whether a profile compares networks, has prices of numbers as a variant was run
    in, and of what it does.

    One that nothing has a price of, not at the lower end either, would need no energy.
    """
    if not (profile.compares and profile.runs(variant.weight_bits)):
        return False
    return bool(weights_of(prices_pj(variant.operations.columns, profile))[0].any())
