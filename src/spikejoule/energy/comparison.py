"""Two networks on the same images under one profile: ratio, verdict, and where they break even."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikejoule.energy import terms
from spikejoule.energy.break_even import BreakEven, OperatingPoint, solve_break_even
from spikejoule.energy.contenders import Contender
from spikejoule.energy.estimates import Energy, Estimate, Floats
from spikejoule.energy.operations import MeanOperations
from spikejoule.energy.prices import Price
from spikejoule.energy.pricing import SampleEnergies, price_vector, sample_energies
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.statistics import BootstrapSettings, interval, resampled_means

Winner = Literal["snn", "ann", "undecided"]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Ratio:
    """Energy of the spiking network over that of a conventional one.

    `value` is the ratio of the means (None: brackets alone); `low` and `high` are the ends of the
    interval of paired resamples, widened by the prices' brackets.
    """

    value: float | None
    low: float
    high: float

    @property
    def verdict(self) -> Winner:
        """``snn`` or ``ann``, whichever needs less energy at both ends, or ``undecided``."""
        if self.high < 1:
            return "snn"
        return "ann" if self.low > 1 else "undecided"


@dataclass(frozen=True)
class Comparison:
    """The spiking network against a conventional one under one profile, on the same images.

    Attributes:
        baseline: the conventional network, and how it is run.
        ann: its energy.
        ratio: the spiking network's energy over it.
        break_even: None where the prices are brackets alone, or the network has no spikes.
    """

    baseline: Contender
    ann: Energy
    ratio: Ratio
    break_even: BreakEven | None

    @property
    def name(self) -> str:
        """The baseline, and how it is run."""
        return self.baseline.name

    @property
    def verdict(self) -> Winner:
        """Which of the two needs less energy."""
        return self.ratio.verdict

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the baseline per inference, a mean."""
        return mean_count(self.baseline, terms.MAC)


@dataclass(frozen=True, eq=False)
class Priced:
    """A contender under a profile: its energies of N images, and the means of resamples.

    Attributes:
        energies: of each image.
        low, value, high: means of resamples under the prices' ends and values, float64 [B]; of one
            mean, that alone. `value` is None where there are brackets alone.
        confidence: level of intervals.
    """

    energies: SampleEnergies
    low: Floats
    value: Floats | None
    high: Floats
    confidence: float

    @property
    def energy(self) -> Energy:
        """Its mean per inference, with its spread."""
        value = None
        if self.energies.value_pj is not None and self.value is not None:
            value = self._estimate(self.energies.value_pj, self.value)
        return Energy(
            low=self._estimate(self.energies.low_pj, self.low),
            value=value,
            high=self._estimate(self.energies.high_pj, self.high),
        )

    def _estimate(self, energies: Floats, resampled: Floats) -> Estimate:
        if len(energies) == 1:
            return Estimate(float(energies[0]), None, None, None)
        low, high = interval(resampled, self.confidence)
        mean, deviation = float(energies.mean()), float(energies.std(ddof=1))
        # What is left where all are equal is the rounding of their sums.
        return Estimate(mean, 0.0 if deviation < _ROUNDING * mean else deviation, low, high)


def priced(
    contenders: Sequence[Contender], profile: HardwareProfile, settings: BootstrapSettings
) -> tuple[Priced, ...]:
    """Contenders of the same images under one profile; all share the draws of images.

    Where one of them is known as a mean alone, all are taken as means.
    """
    found = [sample_energies(one.operations, profile) for one in contenders]
    if any(isinstance(one.operations, MeanOperations) for one in contenders):
        found = [_mean(energies) for energies in found]
    columns = [
        values
        for one in found
        for values in (one.low_pj, one.high_pj, one.value_pj)
        if values is not None
    ]
    stacked = np.stack(columns, axis=1)
    means = stacked if len(stacked) == 1 else resampled_means(stacked, settings)
    taken, place = [], 0
    for one in found:
        low, high = means[:, place], means[:, place + 1]
        value = None if one.value_pj is None else means[:, place + 2]
        place += 2 if value is None else 3
        taken.append(Priced(one, low, value, high, settings.confidence))
    return tuple(taken)


def ratio_of(snn: Priced, ann: Priced) -> Ratio:
    """The ratio of two that were priced together."""
    value = None
    if snn.energies.value_pj is not None and ann.energies.value_pj is not None:
        value = float(snn.energies.value_pj.mean() / ann.energies.value_pj.mean())
    low, _ = interval(snn.low / ann.high, snn.confidence)
    _, high = interval(snn.high / ann.low, snn.confidence)
    return Ratio(value, low, high)


def compare(
    network: Contender,
    baselines: Sequence[Contender],
    profile: HardwareProfile,
    settings: BootstrapSettings,
    operation: OperatingPoint,
) -> tuple[Comparison, ...]:
    """Hold a spiking network against conventional ones, each of which the profile's numbers fit.

    Nothing, if they do not fit the spiking network, or the profile does not price both kinds.
    """
    fitting = [baseline for baseline in baselines if runs(baseline, profile)]
    if not profile.compares or not fitting or not runs(network, profile):
        return ()
    snn, *others = priced([network, *fitting], profile, settings)
    return tuple(
        Comparison(
            baseline=baseline,
            ann=ann.energy,
            ratio=ratio_of(snn, ann),
            break_even=break_even_of(network, baseline, ann, profile, operation),
        )
        for baseline, ann in zip(fitting, others, strict=True)
    )


def runs(contender: Contender, profile: HardwareProfile) -> bool:
    """Whether a profile's prices are of numbers as a contender was run in, and of what it does.

    One that nothing has a price of, not at the lower end either, would need no energy.
    """
    if not profile.runs(contender.weight_bits, contender.integers):
        return False
    return bool(price_vector(contender.operations.columns, profile).low_pj.any())


def mean_count(contender: Contender, term: str) -> float:
    """Operations of a term per inference, at all places, a mean."""
    operations = contender.operations
    chosen = [column.term == term for column in operations.columns]
    return float(operations.means[chosen].sum())


def break_even_of(
    network: Contender,
    baseline: Contender,
    ann: Priced,
    profile: HardwareProfile,
    operation: OperatingPoint,
) -> BreakEven | None:
    """Where the network stops winning against a baseline; None where the prices are brackets."""
    operations = network.operations
    prices = price_vector(operations.columns, profile)
    if prices.value_pj is None or ann.energies.value_pj is None:
        return None
    ann_pj = float(ann.energies.value_pj.mean())
    event, mac = (profile.price_of(term) for term in (terms.SYNAPTIC_EVENT, terms.MAC))
    compute_only = None
    if profile.scope == "arithmetic" and isinstance(event, Price) and isinstance(mac, Price):
        macs_pj = mean_count(baseline, terms.MAC) * (mac.value_pj or 0.0)
        compute_only = macs_pj / (operation.synapses * event.value_pj) if event.value_pj else None
    return solve_break_even(
        operations.means, operations.columns, prices.value_pj, ann_pj, compute_only, operation
    )


def _mean(energies: SampleEnergies) -> SampleEnergies:
    value = energies.value_pj
    return SampleEnergies(
        energies.low_pj.mean(keepdims=True),
        None if value is None else value.mean(keepdims=True),
        energies.high_pj.mean(keepdims=True),
    )


def winner(comparisons: Sequence[Comparison]) -> Winner | None:
    """``snn`` if it beats every baseline, ``ann`` if one beats it, else ``undecided``."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if not verdicts:
        return None
    if verdicts == {"snn"}:
        return "snn"
    return "ann" if "ann" in verdicts else "undecided"
