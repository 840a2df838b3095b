"""Comparing networks in the ledger: ratios, where they break even, and the verdict.

For an accuracy and a profile, each side is its variant of least energy among those that reach
the accuracy on validation images. What they reach on test images, and what they take there, is
stated and chooses nothing. A side that does not reach the accuracy has lost, whatever it saves. A
profile compares networks of the width that its prices are of: one of 8-bit integers takes none that
computes in more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from spikejoule.core.schema import MaybeNotNegative, MaybePercent, Percent, Row, Text
from spikejoule.energy.estimates import Energy, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Ledger, Side, judges
from spikejoule.energy.terms import TERMS, UPDATES

Outcome = Literal["snn", "ann", "undecided", "neither"]


class Verdict(Row):
    """Two networks of the same images, of one run, at one accuracy under one profile.

    Accuracies are in percent, energies pJ per inference, both means over test images; a side that
    does not reach the accuracy has an empty name and no figures.

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

    is_recorded: ClassVar[bool] = False
    """Whether the conventional network is of an earlier run."""

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


def outcome_of(sides: Sequence[bool], low: float | None, high: float | None) -> Outcome:
    """Who wins, from whether the spiking and the conventional side reach an accuracy, and the ends
    of their ratio; one that rounds to 1 decides nothing."""
    if low is None or high is None:
        return "snn" if sides[0] else "ann" if sides[1] else "neither"
    if rounded(high, 8) < 1:
        return "snn"
    return "ann" if rounded(low, 8) > 1 else "undecided"


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


def verdicts(
    ledger: Ledger, levels_percent: Sequence[float], members: Sequence[int] | None = None
) -> tuple[Verdict, ...]:
    """Every profile that compares, at every accuracy on validation images.

    A side that does not reach an accuracy has lost. A profile in whose numbers one side was not run
    at all is left out. Of a variant whose accuracy is not known nothing is compared but its size,
    at a level of 0.

    Args:
        ledger: variants of both sides.
        levels_percent: validation accuracies.
        members: numbers of the variants that take part; None for all.
    """
    variants, found = ledger.variants, list[Verdict]()
    chosen = range(len(variants)) if members is None else members
    percents = {one: variants[one].validation_percent or 0.0 for one in chosen}
    for profile in ledger.profiles:
        by_cost = sorted(
            (one for one in percents if judges(profile, variants[one])),
            key=lambda one: Energy.of(ledger.means(one, profile.id)).middle_pj,
        )
        sides = [[one for one in by_cost if variants[one].side == side] for side in get_args(Side)]
        # Where one side was not run at all in a profile's width, nobody has won.
        for level in levels_percent if all(sides) else ():
            pair = [next((one for one in side if percents[one] >= level), None) for side in sides]
            found.append(_verdict(ledger, profile.id, level, *pair))
    return tuple(found)


def _verdict(
    ledger: Ledger, profile: str, level_percent: float, snn: int | None, ann: int | None
) -> Verdict:
    """What two variants are to each other, by their numbers."""
    cells: dict[str, Any] = {}
    for side, number in ((SPIKING, snn), (CONVENTIONAL, ann)):
        variant = None if number is None else ledger.variants[number]
        cells |= sent(side, variant, None if number is None else ledger.total(number, profile))
    ratio = low = high = None
    if snn is not None and ann is not None:
        spiking, conventional = (ledger.resampled(one, profile) for one in (snn, ann))
        ends = spiking[0] / conventional[2], spiking[2] / conventional[0]
        low, high = map(float, interval(*ends, ledger.statistics[snn].confidence))
        value = float(ledger.means(snn, profile)[1] / ledger.means(ann, profile)[1])
        ratio = None if np.isnan(value) else value
    return Verdict(
        profile=profile,
        level_percent=level_percent,
        outcome=outcome_of([snn is not None, ann is not None], low, high),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        **cells,
    )


def sent(side: str, network: Any, energy: Energy | None) -> dict[str, Any]:
    """The cells of a side of a verdict: the network that it sends, a variant or a recorded one, and
    what that needs; None, if none reaches the accuracy."""
    return {
        side: "" if network is None else network.name,
        f"{side}_validation_percent": network and network.validation_percent,
        f"{side}_test_percent": network and network.test_percent,
        f"{side}_pj_low": energy and energy.lowest_pj,
        f"{side}_pj": energy and energy.value_pj,
        f"{side}_pj_high": energy and energy.highest_pj,
    }
