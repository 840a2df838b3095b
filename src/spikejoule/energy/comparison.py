"""Comparing networks in the ledger: ratios, where they break even, and the verdict.

The verdict compares a spiking network with the Pareto front of conventional networks (`front`)
at its own validation accuracy. Test accuracy is stated and decides nothing. A price list
compares networks of the width that its prices are for: one of 8-bit integers takes no network
that computes in more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from spikejoule.core.schema import Count, MaybeNotNegative, MaybePercent, Percent, Row, Text
from spikejoule.energy.estimates import Energy, interval, rounded
from spikejoule.energy.front import Bound, FrontPoint, FrontReading, read_front
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Ledger, Side, judges
from spikejoule.energy.terms import TERMS, UPDATES

Outcome = Literal["snn", "ann", "undecided", "neither"]


class Verdict(Row):
    """A spiking and a conventional network at one accuracy under one price list.

    Accuracies are in percent, energies in pJ per inference, both means over test images. A side
    that does not reach the accuracy has an empty name and no figures.

    Attributes:
        profile: its id.
        level_percent: validation accuracy that both sides must reach; 0 where sizes are equal, and
            accuracies are not asked for.
        outcome: ``snn`` or ``ann``, whichever needs less energy at both ends of the ratio, or alone
            reaches the accuracy; ``undecided``; ``neither`` reaches it.
        ratio: the spiking side's energy over the other's; None where the profile has brackets
            alone. `ratio_low` and `ratio_high` are the ends of the interval of paired resamples,
            widened by the prices' brackets.
        spiking, conventional: names of the variants; of each, `_pj` is None where the profile has
            brackets alone, and `_pj_low` and `_pj_high` are the least and the most that the mean
            can be, by the prices' bracket and by the interval.
    """

    profile: Text
    level_percent: Percent
    outcome: Outcome
    ratio: MaybeNotNegative
    ratio_low: MaybeNotNegative
    ratio_high: MaybeNotNegative
    spiking: str
    spiking_validation_percent: MaybePercent
    spiking_test_percent: MaybePercent
    spiking_pj_low: MaybeNotNegative
    spiking_pj: MaybeNotNegative
    spiking_pj_high: MaybeNotNegative
    conventional: str
    conventional_validation_percent: MaybePercent
    conventional_test_percent: MaybePercent
    conventional_pj_low: MaybeNotNegative
    conventional_pj: MaybeNotNegative
    conventional_pj_high: MaybeNotNegative

    def energy(self, side: Side) -> Energy:
        """The energy of a side that reaches the accuracy."""
        return Energy(*(getattr(self, f"{side}_pj{end}") for end in ("_low", "", "_high")))

    @property
    def rounded(self) -> Self:
        """The same with the digits of ratios and energies in which machines agree."""
        cells = {name: rounded(cell, 8) for name, cell in self if "pj" in name or "ratio" in name}
        return self.model_copy(update=cells)


class RunVerdict(Verdict):
    """A spiking network against the front of conventional networks at its accuracy.

    `conventional`, its accuracies and its seeds are those of the cheapest network on the front
    that is at least so accurate; `conventional_pj` and its ends are the energy of the front at
    the accuracy, between that network and its lower neighbour.

    Attributes:
        ratio_bound: empty where the front has the accuracy; ``at least`` or ``at most`` where it
            begins above or ends below, so that the ratio to its end is a bound.
        conventional_below: the lower neighbour; empty at an end of the front.
        conventional_n_seeds: networks behind the means of `conventional`.
    """

    ratio_bound: Bound = ""
    conventional_below: str = ""
    conventional_n_seeds: Count = 1


def outcome_of(low: float | None, high: float | None, bound: Bound = "") -> Outcome:
    """Who wins, from the ends of a ratio; one that rounds to 1 decides nothing.

    Of a lower bound only the lower end counts, of an upper bound only the upper end.
    """
    if high is not None and bound != "at least" and rounded(high, 8) < 1:
        return "snn"
    if low is not None and bound != "at most" and rounded(low, 8) > 1:
        return "ann"
    return "undecided"


@dataclass(frozen=True)
class BreakEven:
    """Where the spiking network stops winning against one baseline under one profile.

    Spikes of all layers are taken to grow in proportion to the spikes per input (first order, at
    the weights that were trained), and what is done once per neuron and step in proportion to the
    window. The spikes of an encoding with a rate grow with the window, too; those of one without,
    such as a spike a pixel, do not. What is due once stays. Each limit changes one quantity alone
    and leaves the others as measured; the network wins below it. None: it loses even without a
    single spike.

    Attributes:
        spikes_per_input: spikes of an input unit over the window.
        time_window: steps of 1 ms, at the measured rate; None too where the window costs nothing.
        max_rate_hz: rate of a white pixel, at the measured window; above 1000 Hz no rate loses;
            None too for an encoding without a rate.
    """

    spikes_per_input: float | None
    time_window: float | None
    max_rate_hz: float | None


def break_even(
    ledger: Ledger,
    variant: int,
    profile: str,
    baseline_pj: float | None,
    spikes_per_input: float,
    rate_hz: float | None,
) -> BreakEven | None:
    """Solve for the spiking network's energy, under the values of prices, to equal the baseline's.

    An inference is split into E = E_spike + E_step + E_once by the columns ``grows`` and ``once``
    of the table of terms. With arithmetic alone the split is exact: synaptic events are additions,
    leaks and biases are due in every step. A step in which a neuron spikes is an active update in
    place of an inactive one, which is due in any case. An encoding without a rate turns the whole
    image into spikes at once; one with a rate decides anew in every step, but looks for the pixels
    that can fire, and computes their rates, once. A factor k on the spikes gives k E_spike + E_step
    + E_once, and a factor w on the window w (E_spike + E_step) + E_once, or, for an encoding
    without a rate, E_spike + w E_step + E_once.

    Args:
        ledger: prices and counts.
        variant: number of the network over its whole window.
        profile: id of the profile.
        baseline_pj: energy per inference of the baseline; None if prices are brackets alone.
        spikes_per_input: of an input unit over the window, a mean.
        rate_hz: of a white pixel; None for an encoding without a rate.

    Returns:
        None if no energy grows with the spikes, the input has none, or prices are brackets alone.
    """
    operations, prices = ledger.variants[variant].operations, ledger.weights(variant, profile)[1]
    counts, has_rate = operations.means, rate_hz is not None
    places = [one.place for one in operations.columns]
    terms = [TERMS[one.term] for one in operations.columns]
    term, side, due = np.array([(one.name, one.side, one.once) for one in terms]).T
    of_encoding = (side == "encoding") & ((due == "rate") | (not has_rate))
    once = np.where(of_encoding | (due == "inference"), counts, 0.0)
    if has_rate:
        pixels = counts[term == "pixel_read"].sum()
        once = np.where(term == "code_comparison", np.minimum(pixels, counts), once)
    grows = np.where([one.grows for one in terms], counts - once, 0.0)
    # Of an active update, what an inactive one costs is due in every step.
    inactive = {at: pj for of, at, pj in zip(term, places, prices, strict=True) if of == UPDATES[1]}
    idle = np.where(term == UPDATES[0], [inactive.get(at, np.nan) for at in places], 0.0) @ counts
    spike_pj, once_pj = float(prices @ grows - idle), float(prices @ once)
    step_pj = float(prices @ (counts - once - grows) + idle)
    if baseline_pj is None or spikes_per_input <= 0 or not spike_pj > 0:
        return None
    factor = (baseline_pj - step_pj - once_pj) / spike_pj
    # Below so many steps the network wins; it may lose, or win, at any.
    fixed_pj, per_window_pj = once_pj, spike_pj + step_pj
    if rate_hz is None:
        fixed_pj, per_window_pj = once_pj + spike_pj, step_pj
    window = None
    if min(baseline_pj - fixed_pj, per_window_pj) > 0:
        window = operations.time_window * (baseline_pj - fixed_pj) / per_window_pj
    return BreakEven(
        spikes_per_input=spikes_per_input * factor if factor > 0 else None,
        time_window=window,
        max_rate_hz=rate_hz * factor if factor > 0 and rate_hz is not None else None,
    )


Reader = Callable[[Sequence[FrontPoint], float], FrontReading | None]


def variant_point(ledger: Ledger, number: int, profile: str) -> FrontPoint:
    """A conventional network of the ledger under a price list, with its resamples."""
    variant = ledger.variants[number]
    return FrontPoint(
        name=variant.name,
        validation_percent=variant.validation_percent or 0.0,
        test_percent=variant.test_percent or 0.0,
        n_seeds=1,
        mean_pj=ledger.means(number, profile),
        drawn_pj=ledger.resampled(number, profile),
    )


def own_points(ledger: Ledger, profile: str) -> list[FrontPoint]:
    """The conventional networks of the ledger that a price list may judge, of known accuracy."""
    (prices,) = (one for one in ledger.profiles if one.id == profile)
    numbers = [
        number
        for number, variant in enumerate(ledger.variants)
        if variant.side == CONVENTIONAL
        and variant.validation_percent is not None
        and judges(prices, variant)
        and prices.judges_width(variant.weight_bits)
    ]
    return [variant_point(ledger, number, profile) for number in numbers]


def front_verdicts(
    ledger: Ledger,
    spiking: int,
    level_percent: float,
    published: Mapping[str, Sequence[FrontPoint]],
    read: Reader = read_front,
) -> Iterator[RunVerdict]:
    """A spiking network against conventional ones, under every price list that compares.

    Args:
        ledger: networks of both sides.
        spiking: number of the spiking network.
        level_percent: validation accuracy at which the front is read.
        published: conventional networks by the id of a price list; without any under a price
            list, those of the ledger are compared with.
        read: what to compare with among them: their front at the accuracy, or the cheapest.
    """
    for profile in ledger.profiles:
        network = ledger.variants[spiking]
        if not (judges(profile, network) and profile.judges_width(network.weight_bits)):
            continue
        points = published.get(profile.id) or own_points(ledger, profile.id)
        reading = read(points, level_percent)
        if reading is not None:
            yield compare(ledger, spiking, profile.id, reading, level_percent)


def pair_verdicts(ledger: Ledger, spiking: int, conventional: int) -> Iterator[RunVerdict]:
    """Two networks whatever their accuracies, under every price list that compares them both."""
    pair = ledger.variants[spiking], ledger.variants[conventional]
    for profile in ledger.profiles:
        if all(judges(profile, variant) for variant in pair):
            reading = FrontReading(variant_point(ledger, conventional, profile.id))
            yield compare(ledger, spiking, profile.id, reading, level_percent=0.0)


# The bound of a ratio is the opposite of that of its denominator.
_RATIO_BOUND: Mapping[Bound, Bound] = {"": "", "at least": "at most", "at most": "at least"}


def compare(
    ledger: Ledger, spiking: int, profile: str, reading: FrontReading, level_percent: float
) -> RunVerdict:
    """A spiking network of the ledger against a reading of the conventional front."""
    network, above = ledger.variants[spiking], reading.above
    confidence = ledger.statistics[spiking].confidence
    spiking_pj, conventional_pj = ledger.resampled(spiking, profile), reading.drawn_pj
    low, high = interval(
        spiking_pj[0] / conventional_pj[2], spiking_pj[2] / conventional_pj[0], confidence
    )
    ratio = float(ledger.means(spiking, profile)[1] / reading.mean_pj[1])
    bound = _RATIO_BOUND[reading.bound]
    ends = interval(conventional_pj[0], conventional_pj[2], confidence)
    conventional = Energy.of([*reading.mean_pj, np.nan, *ends])
    return RunVerdict(
        profile=profile,
        level_percent=level_percent,
        outcome=outcome_of(float(low), float(high), bound),
        ratio=None if np.isnan(ratio) else ratio,
        ratio_low=float(low),
        ratio_high=float(high),
        ratio_bound=bound,
        conventional_below="" if reading.below is None else reading.below.name,
        conventional_n_seeds=above.n_seeds,
        **sent(SPIKING, network, ledger.total(spiking, profile)),
        **sent(CONVENTIONAL, above, conventional),
    )


def sent(side: Side, network: Any, energy: Energy) -> dict[str, Any]:
    """The cells of a side of a verdict.

    Args:
        side: spiking or conventional.
        network: a variant or a point of a front, by its name and accuracies.
        energy: what an inference takes.
    """
    return {
        side: network.name,
        f"{side}_validation_percent": network.validation_percent,
        f"{side}_test_percent": network.test_percent,
        f"{side}_pj_low": energy.lowest_pj,
        f"{side}_pj": energy.value_pj,
        f"{side}_pj_high": energy.highest_pj,
    }
