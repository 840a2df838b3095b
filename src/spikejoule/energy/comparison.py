"""The spiking network against conventional networks: ratio, verdict, and where they break even."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy import terms
from spikejoule.energy.break_even import BreakEven, OperatingPoint, solve_break_even
from spikejoule.energy.estimates import Energy, Estimate
from spikejoule.energy.operations import Column
from spikejoule.energy.pricing import PriceVector
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.statistics import CountStatistics, interval
from spikejoule.rival.counts import BaselineCounts

DENSE: Final = "dense"
ZERO_SKIPPING: Final = "zero_skipping"


@dataclass(frozen=True)
class Ratio:
    """Energy of the spiking network over that of a baseline.

    `value` is the ratio of the means (None: brackets alone); `low` and `high` are the ends of the
    interval of paired resamples, widened by the prices' brackets.
    """

    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The spiking network against one baseline under one profile, on the same images.

    Attributes:
        baseline: its name.
        method: `DENSE` (all MACs) or `ZERO_SKIPPING` (those with a non-zero activation).
        bits: width of the baseline's activations.
        accuracy_percent: of the baseline.
        macs: MACs per inference.
        ann: its energy.
        ratio: the spiking network's energy over the baseline's.
        verdict: ``snn`` or ``ann``, whichever needs less energy at both ends of the ratio, or
            ``undecided``.
        break_even: None where the prices are brackets alone, or the network has no spikes.
    """

    baseline: str
    method: str
    bits: int
    accuracy_percent: float
    macs: Estimate
    ann: Energy
    ratio: Ratio
    verdict: str
    break_even: BreakEven | None

    @property
    def name(self) -> str:
        """The baseline and the method, in words."""
        return f"{self.baseline}, {self.method.replace('_', '-')}"


def energy_of(statistics: CountStatistics, prices: PriceVector) -> Energy:
    """The energy of counted operations under prices of the same columns."""
    return Energy(
        low=statistics.estimate(prices.low_pj),
        value=None if prices.value_pj is None else statistics.estimate(prices.value_pj),
        high=statistics.estimate(prices.high_pj),
    )


def compare(
    statistics: CountStatistics,
    columns: Sequence[Column],
    prices: PriceVector,
    profile: HardwareProfile,
    baselines: Sequence[BaselineCounts],
    operation: OperatingPoint,
) -> tuple[Comparison, ...]:
    """Compare with every baseline, dense and zero-skipping; nothing if a MAC has no price.

    Args:
        statistics: of the network's C columns and then, for each baseline, of its dense and its
            non-zero MACs: C + 2 B columns of the same images.
        columns: the C columns.
        prices: of the C columns.
        profile: the prices' profile.
        baselines: the B baselines.
        operation: how the network was run.
    """
    mac = profile.prices.get(terms.MAC)
    if mac is None:
        return ()
    snn = _padded(prices, statistics.mean.size)
    comparisons = []
    for number, baseline in enumerate(baselines):
        for offset, method in enumerate((DENSE, ZERO_SKIPPING)):
            place = len(columns) + 2 * number + offset
            one = np.zeros(statistics.mean.size)
            one[place] = 1.0
            ann = PriceVector(
                priced=one > 0,
                low_pj=one * mac.low_pj,
                value_pj=None if mac.value_pj is None else one * mac.value_pj,
                high_pj=one * mac.high_pj,
            )
            ratio = _ratio(statistics, snn, ann)
            comparisons.append(
                Comparison(
                    baseline=baseline.name,
                    method=method,
                    bits=baseline.bits,
                    accuracy_percent=baseline.accuracy_percent,
                    macs=statistics.column(place),
                    ann=energy_of(statistics, ann),
                    ratio=ratio,
                    verdict=_verdict(ratio),
                    break_even=_break_even(
                        statistics, columns, prices, ann, profile, baseline.macs_dense, operation
                    ),
                )
            )
    return tuple(comparisons)


def winner(comparisons: Sequence[Comparison]) -> str | None:
    """``snn`` if it beats every baseline, ``ann`` if one beats it, else ``undecided``."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if not verdicts:
        return None
    if verdicts == {"snn"}:
        return "snn"
    return "ann" if "ann" in verdicts else "undecided"


def _padded(prices: PriceVector, size: int) -> PriceVector:
    def pad(values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values, np.zeros(size - values.size, dtype=values.dtype)])

    return PriceVector(
        priced=pad(prices.priced),
        low_pj=pad(prices.low_pj),
        value_pj=None if prices.value_pj is None else pad(prices.value_pj),
        high_pj=pad(prices.high_pj),
    )


def _ratio(statistics: CountStatistics, snn: PriceVector, ann: PriceVector) -> Ratio:
    value = None
    if snn.value_pj is not None and ann.value_pj is not None:
        value = float(statistics.mean @ snn.value_pj) / float(statistics.mean @ ann.value_pj)
    means = statistics.mean[None] if statistics.resampled is None else statistics.resampled
    low, _ = interval((means @ snn.low_pj) / (means @ ann.high_pj), statistics.confidence)
    _, high = interval((means @ snn.high_pj) / (means @ ann.low_pj), statistics.confidence)
    return Ratio(value, low, high)


def _verdict(ratio: Ratio) -> str:
    if ratio.high < 1:
        return "snn"
    return "ann" if ratio.low > 1 else "undecided"


def _break_even(
    statistics: CountStatistics,
    columns: Sequence[Column],
    prices: PriceVector,
    ann: PriceVector,
    profile: HardwareProfile,
    n_synapses: int,
    operation: OperatingPoint,
) -> BreakEven | None:
    event = profile.price_of(terms.SYNAPTIC_EVENT)
    if prices.value_pj is None or ann.value_pj is None or event is None or not event.value_pj:
        return None
    ann_pj = float(statistics.mean @ ann.value_pj)
    return solve_break_even(
        statistics.mean[: len(columns)],
        columns,
        prices.value_pj,
        ann_pj,
        ann_pj / (n_synapses * event.value_pj),
        operation,
    )
