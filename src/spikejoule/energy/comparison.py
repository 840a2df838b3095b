"""Comparing networks in the ledger: ratios, where they break even, and the verdict.

For an accuracy and a profile, each side sends the variant of least energy among those that reach
the accuracy on validation images. What they reach on test images, and what they take there, is
stated and chooses nothing. A side that does not reach the accuracy has lost, whatever it saves. A
profile compares networks of the width that its prices are of: one of 8-bit integers takes none that
computes in more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from spikejoule.encoding.events import Products
from spikejoule.energy.counting import OperationCounts
from spikejoule.energy.estimates import Energy, Floats
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Accuracies, Ledger, judges
from spikejoule.energy.prices import HardwareProfile, prices_pj, weights_of
from spikejoule.energy.terms import TERMS, UPDATES

LEVELS_PERCENT: Final = (97.0, 98.0, 98.5, 99.0)
"""Validation accuracies that a verdict is requested for."""

Outcome = Literal["snn", "ann", "undecided", "neither"]


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
    def outcome(self) -> Outcome:
        """``snn`` or ``ann``, whichever needs less energy at both ends, or ``undecided``."""
        if self.high < 1:
            return "snn"
        return "ann" if self.low > 1 else "undecided"


def ratio_of(ledger: Ledger, snn: int, ann: int, profile: int) -> Ratio:
    """The ratio of two variants under a profile, by their numbers."""
    spiking, conventional = (ledger.resampled(one, profile) for one in (snn, ann))
    ratios = np.stack([spiking[0] / conventional[2], spiking[2] / conventional[0]])
    confidence = ledger.statistics[snn].confidence
    low, high = (
        float(np.quantile(ratio, end))
        for ratio, end in zip(ratios, ((1 - confidence) / 2, (1 + confidence) / 2), strict=True)
    )
    value = float(ledger.means(snn, profile)[1] / ledger.means(ann, profile)[1])
    return Ratio(None if np.isnan(value) else value, low, high)


@dataclass(frozen=True, eq=False)
class WindowCost:
    """What an inference costs, split into what grows with its spikes and with its steps.

    With arithmetic alone the split is exact: synaptic events are additions, leaks and biases are
    due in every step. Where a profile prices routed spikes or active updates, these are taken to be
    in proportion to the synaptic events. What watching the lead takes is not in it.

    Attributes:
        spikes, steps, once: under lower ends, values and upper ends, float64 [3]. Due once are
            reading the image, the answer, products of constant currents that are made once.
        synaptic_events: that it was measured with, a mean.
        time_window: steps that it was measured with.
    """

    spikes: Floats
    steps: Floats
    once: Floats
    synaptic_events: float
    time_window: int

    def energy(self, synaptic_events: float, steps: float) -> Energy:
        """Of an inference with so many synaptic events (a mean) in so many steps (a mean)."""
        grows = self.spikes * (synaptic_events / self.synaptic_events)
        return Energy.of(self.once + grows + self.steps * (steps / self.time_window))


def window_cost(
    operations: OperationCounts,
    profile: HardwareProfile,
    has_rate: bool,
    products: Products | None = None,
) -> WindowCost | None:
    """Split an inference under a profile; None if the network has no synaptic events.

    A step in which a neuron spikes is an active update in place of an inactive one, which is due in
    any case. A code without a rate turns the whole image into spikes at once; one with a rate
    decides anew in every step, but looks for the pixels that can fire, and computes their rates,
    once.

    Args:
        operations: of the whole window.
        profile: the prices.
        has_rate: whether the code has one.
        products: how often constant currents are multiplied; None for an input of spikes.
    """
    rows = pd.DataFrame([vars(one) | vars(TERMS[one.term]) for one in operations.columns])
    term, means = rows["term"], operations.means
    events, pixels = (means[term == name].sum() for name in ("synaptic_event", "pixel_read"))
    if events <= 0:
        return None
    of_currents = rows["place"].isin(rows["place"][term == "input_mac"])
    is_once = (rows["once"] == "inference") | (of_currents & (products == "once"))
    is_once |= (rows["side"] == "encoding") & ((rows["once"] == "rate") | (not has_rate))
    counts_once = np.where(is_once, means, 0.0)
    if has_rate:
        counts_once = np.where(term == "code_comparison", np.minimum(pixels, means), counts_once)
    # Of what is due in every step anyway, an active update has an inactive one's price.
    prices = weights_of(prices_pj(operations.columns, profile))
    instead = prices_pj([replace(one, term=UPDATES[1]) for one in operations.columns], profile)
    idle = np.where(term == UPDATES[0], weights_of(instead), 0.0) @ means
    grows = np.where(rows["grows"] & ~of_currents, means - counts_once, 0.0)
    spikes = prices @ grows - idle
    once = prices @ counts_once
    steps = prices @ (means - counts_once - grows) + idle
    return WindowCost(spikes, steps, once, events, operations.time_window)


@dataclass(frozen=True)
class BreakEven:
    """Where the spiking network stops winning against one baseline under one profile.

    Spikes of all layers are taken to grow in proportion to the spikes per input (first order, at
    the weights that were trained), and what is done once per neuron and step in proportion to the
    window. The spikes of a code with a rate grow with the window, too; those of a code without one,
    such as a spike a pixel, do not. What is due once stays. Each limit changes one quantity alone
    and leaves the others as measured; the network wins below it. None: it loses even without a
    single spike.

    Attributes:
        spikes_per_input: spikes of an input unit over the window.
        time_window: steps of 1 ms, at the measured rate; None too where the window costs nothing.
        max_rate_hz: rate of a white pixel, at the measured window; above 1000 Hz no rate loses;
            None too for a code without a rate.
    """

    spikes_per_input: float | None
    time_window: float | None
    max_rate_hz: float | None


def solve_break_even(
    cost: WindowCost | None, ann_pj: float | None, spikes_per_input: float, rate_hz: float | None
) -> BreakEven | None:
    """Solve for the spiking network's energy, under the values of prices, to equal the baseline's.

    With the measured energy E = E_spike + E_step + E_once, of which E_spike grows with the spikes,
    a factor k on the spikes gives k E_spike + E_step + E_once, and a factor w on the window
    w (E_spike + E_step) + E_once, or, for a code without a rate, E_spike + w E_step + E_once.

    Args:
        cost: of an inference; None if it has no synaptic events.
        ann_pj: energy per inference of the baseline; None if prices are brackets alone.
        spikes_per_input: of an input unit over the window, a mean.
        rate_hz: of a white pixel; None for a code without a rate.

    Returns:
        None if no energy grows with the spikes, or prices are brackets alone.
    """
    if cost is None or ann_pj is None or spikes_per_input <= 0 or not cost.spikes[1] > 0:
        return None
    spike_pj, step_pj, once_pj = (float(each[1]) for each in (cost.spikes, cost.steps, cost.once))
    factor = (ann_pj - step_pj - once_pj) / spike_pj
    # Below so many steps the network wins; it may lose, or win, at any.
    fixed_pj, per_window_pj = once_pj, spike_pj + step_pj
    if rate_hz is None:
        fixed_pj, per_window_pj = once_pj + spike_pj, step_pj
    window = None
    if min(ann_pj - fixed_pj, per_window_pj) > 0:
        window = cost.time_window * (ann_pj - fixed_pj) / per_window_pj
    return BreakEven(
        spikes_per_input=spikes_per_input * factor if factor > 0 else None,
        time_window=window,
        max_rate_hz=rate_hz * factor if factor > 0 and rate_hz is not None else None,
    )


@dataclass(frozen=True)
class Choice:
    """A network, how it is run, and its energy per inference.

    Attributes:
        name: of the variant.
        accuracies: None where they are not known.
        energy: a mean over images.
        is_recorded: whether it is of an earlier run.
    """

    name: str
    accuracies: Accuracies | None
    energy: Energy
    is_recorded: bool = False


@dataclass(frozen=True)
class Verdict:
    """Both sides under one profile.

    Attributes:
        profile: the prices.
        level_percent: validation accuracy that both must reach; 0 where sizes are equal, and
            accuracies are not asked for.
        spiking, conventional: what each side sends; None if it does not reach the accuracy.
        ratio: the spiking side's energy over the other's; None unless both reach it.
    """

    profile: HardwareProfile
    level_percent: float
    spiking: Choice | None
    conventional: Choice | None
    ratio: Ratio | None

    @property
    def outcome(self) -> Outcome:
        """``snn`` or ``ann``, whichever wins; ``undecided``; ``neither`` reaches the accuracy."""
        if self.ratio is not None:
            return self.ratio.outcome
        if self.spiking is not None:
            return "snn"
        return "neither" if self.conventional is None else "ann"


def compare(ledger: Ledger, network: int, baselines: Sequence[int]) -> tuple[Verdict, ...]:
    """A spiking network against conventional ones, whatever their accuracy, each by itself.

    Under every profile that prices both kinds, and whose numbers are those of both.
    """
    return tuple(
        _verdict(ledger, network, baseline, place, 0.0)
        for place, profile in enumerate(ledger.profiles)
        for baseline in baselines
        if all(judges(profile, ledger.variants[one]) for one in (network, baseline))
    )


def verdicts(
    ledger: Ledger, levels_percent: Sequence[float], members: Sequence[int] | None = None
) -> tuple[Verdict, ...]:
    """Every profile that compares, at every accuracy on validation images.

    A side that does not reach an accuracy has lost. A profile in whose numbers one side was not run
    at all is left out.

    Args:
        ledger: variants of both sides.
        levels_percent: validation accuracies.
        members: numbers of the variants that take part; None for all.
    """
    variants, found = ledger.variants, list[Verdict]()
    percents = {
        one: known.validation_percent
        for one in (range(len(variants)) if members is None else members)
        if (known := variants[one].accuracies) is not None
    }
    for place, profile in enumerate(ledger.profiles):
        able = [one for one in percents if judges(profile, variants[one])]
        spent = {one: Energy.of(ledger.means(one, place)).middle_pj for one in able}
        sides = [
            [one for one in able if variants[one].side == side] for side in (SPIKING, CONVENTIONAL)
        ]
        # Where one side was not run at all in a profile's width, nobody has won.
        for level in levels_percent if all(sides) else ():
            snn, ann = (
                min((one for one in side if percents[one] >= level),
                    key=spent.__getitem__, default=None)
                for side in sides
            )  # fmt: skip
            found.append(_verdict(ledger, snn, ann, place, level))
    return tuple(found)


def _verdict(
    ledger: Ledger, snn: int | None, ann: int | None, place: int, level_percent: float
) -> Verdict:
    """What two variants are to each other, by their numbers."""
    spiking, conventional = (
        None
        if one is None
        else Choice(
            ledger.variants[one].name, ledger.variants[one].accuracies, ledger.compared(one, place)
        )
        for one in (snn, ann)
    )
    ratio = None if snn is None or ann is None else ratio_of(ledger, snn, ann, place)
    return Verdict(ledger.profiles[place], level_percent, spiking, conventional, ratio)
