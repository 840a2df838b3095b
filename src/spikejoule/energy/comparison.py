"""Comparing networks in the ledger: ratios, where they break even, and the verdict.

For an accuracy and a profile, each side sends the variant of least energy among those that reach
the accuracy on validation images. What they reach on test images, and what they take there, is
stated and chooses nothing. A side that does not reach the accuracy has lost, whatever it saves. A
profile compares networks of the width that its prices are of: one of 8-bit integers takes none that
computes in more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from spikejoule.encoding.events import Products
from spikejoule.energy.counting import Column, OperationCounts
from spikejoule.energy.estimates import Amount, BootstrapSettings, Energy, Floats, interval
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Ledger, Side, Variant, runs
from spikejoule.energy.prices import HardwareProfile, Price, price_vector
from spikejoule.energy.terms import PARTS, TERMS

LEVELS_PERCENT: Final = (97.0, 98.0, 98.5, 99.0)
"""Validation accuracies that a verdict is requested for."""

Winner = Literal["snn", "ann", "undecided"]
Outcome = Literal["snn", "ann", "undecided", "neither"]

_CURVE_POINTS = 60


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


def ratio_of(ledger: Ledger, snn: int, ann: int, profile: int) -> Ratio:
    """The ratio of two variants under a profile, by their numbers."""
    spiking, conventional = (ledger.resampled(one, profile) for one in (snn, ann))
    ratios = np.stack([spiking[0] / conventional[2], spiking[2] / conventional[0]])
    ends = interval(ratios, ledger.statistics[snn].confidence)
    value = float(ledger.image_means(snn, profile)[1] / ledger.image_means(ann, profile)[1])
    return Ratio(None if np.isnan(value) else value, float(ends[0, 0]), float(ends[1, 1]))


@dataclass(frozen=True)
class OperatingPoint:
    """What the break-even needs of how the network was run; `synapses` hold removed ones, too."""

    n_input: int
    synapses: int
    time_window: int
    max_rate_hz: float | None
    input_spikes: float


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
        compute_only_spikes_per_input: the energy of the baseline's MACs over that of one synaptic
            event at every synapse of the spiking network: the limit if hidden spikes, pruning and
            everything but MACs and synaptic events are neglected. For a dense baseline of its size
            the price of a MAC over that of a synaptic event. None where an event has more prices
            than one, as in a core with its memories.
        measured_spikes_per_input: what the network has.
        curve_spikes_per_input: where the curve is given, ascending.
        curve_snn_pj: energy per inference of the spiking network there.
        ann_pj: energy of the baseline, which does not depend on them.
    """

    spikes_per_input: float | None
    time_window: float | None
    max_rate_hz: float | None
    compute_only_spikes_per_input: float | None
    measured_spikes_per_input: float
    curve_spikes_per_input: tuple[float, ...]
    curve_snn_pj: tuple[float, ...]
    ann_pj: float


@dataclass(frozen=True)
class WindowCost:
    """What an inference costs, split into what grows with its spikes and with its steps.

    With arithmetic alone the split is exact: synaptic events are additions, leaks and biases are
    due in every step. Where a profile prices routed spikes or active updates, these are taken to be
    in proportion to the synaptic events. What watching the lead takes is not in it.

    Attributes:
        per_event: for each synaptic event.
        per_step: for each step of 1 ms.
        once: whatever the steps: reading the image, the answer, products of constant currents that
            are made once.
    """

    per_event: Amount
    per_step: Amount
    once: Amount

    def energy(self, synaptic_events: float, steps: float) -> Amount:
        """Of an inference with so many synaptic events (a mean) in so many steps (a mean)."""
        grows = self.per_event.ends * synaptic_events + self.per_step.ends * steps
        return Amount.of(self.once.ends + grows)


def window_cost(
    operations: OperationCounts,
    profile: HardwareProfile,
    products: Products | None = None,
    has_rate: bool = True,
) -> WindowCost | None:
    """Split an inference under a profile; None if the network has no synaptic events.

    Args:
        operations: of the whole window.
        profile: the prices.
        products: how often constant currents are multiplied; None for an input of spikes.
        has_rate: whether the code has a rate, so that it takes something in every step.
    """
    columns, means = operations.columns, operations.means
    events = sum(means[place] for place, one in enumerate(columns) if one.term == "synaptic_event")
    if events <= 0:
        return None
    prices = price_vector(columns, profile).weights
    spikes, steps, once = _split(columns, means, prices, has_rate, products)
    return WindowCost(
        Amount.of(spikes / events), Amount.of(steps / operations.time_window), Amount.of(once)
    )


def _split(
    columns: Sequence[Column],
    means: Floats,
    prices_pj: Floats,
    has_rate: bool,
    products: Products | None,
) -> tuple[Floats, Floats, Floats]:
    """Energy that grows with the spikes, with the steps, and that is due once, under prices [K, C].

    A step in which a neuron spikes is an active update in place of an inactive one, which is due in
    any case. A code without a rate turns the whole image into spikes at once; one with a rate
    decides anew in every step, but looks for the pixels that can fire, and computes their rates,
    once.
    """
    places = {(column.term, column.place): row for row, column in enumerate(columns)}
    currents = next((place for term, place in places if term == "input_mac"), None)
    pixels = sum(means[row] for (term, _), row in places.items() if term == "pixel_read")
    spikes, steps, once = (np.zeros(len(prices_pj)) for _ in range(3))
    for (name, place), row in places.items():
        term, count, pj = TERMS[name], means[row], prices_pj[:, row]
        fixed = 0.0
        if name == "code_comparison" and has_rate:
            fixed = min(pixels, count)
        elif (
            term.once == "inference"
            or (products == "once" and place == currents)
            or (term.side == "encoding" and (term.once == "rate" or not has_rate))
        ):
            fixed = count
        once += fixed * pj
        if not term.grows or place == currents:
            steps += (count - fixed) * pj
            continue
        idle = 0.0 * pj
        if name == "neuron_update_active":
            idle = prices_pj[:, places["neuron_update_inactive", place]]
        steps += count * idle
        spikes += (count - fixed) * pj - count * idle
    return spikes, steps, once


def solve_break_even(
    means: Floats,
    columns: Sequence[Column],
    snn_prices_pj: Floats,
    ann_pj: float,
    compute_only_spikes_per_input: float | None,
    operation: OperatingPoint,
) -> BreakEven | None:
    """Solve for the spiking network's energy to equal the baseline's.

    With the measured energy E = E_spike + E_step + E_once, of which E_spike grows with the spikes,
    a factor k on the spikes gives k E_spike + E_step + E_once, and a factor w on the window
    w (E_spike + E_step) + E_once, or, for a code without a rate, E_spike + w E_step + E_once.

    Args:
        means: operations per inference, float64 [C].
        columns: the C columns.
        snn_prices_pj: their prices, float64 [C].
        ann_pj: energy per inference of the baseline.
        compute_only_spikes_per_input: see `BreakEven`.
        operation: how the network was run.

    Returns:
        None if no energy grows with the spikes.
    """
    rate_hz = operation.max_rate_hz
    split = _split(columns, means, snn_prices_pj[None], rate_hz is not None, None)
    spike_pj, step_pj, once_pj = (float(part[0]) for part in split)
    measured = operation.input_spikes / operation.n_input
    if spike_pj <= 0 or measured <= 0:
        return None
    other_pj = step_pj + once_pj
    factor = (ann_pj - other_pj) / spike_pj
    limit = measured * factor if factor > 0 else None
    curve = np.geomspace(measured / 20, 3 * max(measured, limit or 0.0), _CURVE_POINTS)
    # Below so many steps the network wins; it may lose, or win, at any.
    fixed_pj = once_pj if rate_hz is not None else once_pj + spike_pj
    left_pj, per_window_pj = ann_pj - fixed_pj, spike_pj + other_pj - fixed_pj
    window = None
    if min(left_pj, per_window_pj) > 0:
        window = operation.time_window * left_pj / per_window_pj
    return BreakEven(
        spikes_per_input=limit,
        time_window=window,
        max_rate_hz=rate_hz * factor if factor > 0 and rate_hz is not None else None,
        compute_only_spikes_per_input=compute_only_spikes_per_input,
        measured_spikes_per_input=measured,
        curve_spikes_per_input=tuple(curve.tolist()),
        curve_snn_pj=tuple((other_pj + spike_pj * curve / measured).tolist()),
        ann_pj=ann_pj,
    )


@dataclass(frozen=True)
class Comparison:
    """The spiking network against a conventional one under one profile, on the same images.

    Attributes:
        baseline: the conventional network, and how it is run.
        ann: its energy.
        ratio: the spiking network's energy over it.
        break_even: None where the prices are brackets alone, or the network has no spikes.
    """

    baseline: Variant
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
        return _mean_macs(self.baseline)


def _mean_macs(variant: Variant) -> float:
    operations = variant.operations
    chosen = [column.term == "mac" for column in operations.columns]
    return float(operations.means[chosen].sum())


def compare(
    ledger: Ledger,
    network: int,
    baselines: Sequence[int],
    profile: int,
    operation: OperatingPoint,
) -> tuple[Comparison, ...]:
    """Compare a spiking network with conventional ones, each of which the profile's numbers fit.

    Nothing, if they do not fit the spiking network, or the profile does not price both kinds.
    """
    prices = ledger.profiles[profile]
    if not prices.compares or not runs(ledger.variants[network], prices):
        return ()
    return tuple(
        Comparison(
            baseline=ledger.variants[baseline],
            ann=ledger.compared_total(baseline, profile),
            ratio=ratio_of(ledger, network, baseline, profile),
            break_even=_break_even(ledger, network, baseline, profile, operation),
        )
        for baseline in baselines
        if runs(ledger.variants[baseline], prices)
    )


def _break_even(
    ledger: Ledger, network: int, baseline: int, profile: int, operation: OperatingPoint
) -> BreakEven | None:
    """Where the network stops winning against a baseline; None where the prices are brackets."""
    snn, ann = (ledger.prices(one, profile) for one in (network, baseline))
    if not (snn.has_value and ann.has_value):
        return None
    prices = ledger.profiles[profile]
    event, mac = (prices.price_of(term) for term in ("synaptic_event", "mac"))
    compute_only = None
    if prices.scope == "arithmetic" and isinstance(event, Price) and isinstance(mac, Price):
        macs_pj = _mean_macs(ledger.variants[baseline]) * (mac.value_pj or 0.0)
        compute_only = macs_pj / (operation.synapses * event.value_pj) if event.value_pj else None
    return solve_break_even(
        ledger.statistics[network].mean,
        ledger.columns_of(network),
        snn.weights[1],
        float(ledger.image_means(baseline, profile)[1]),
        compute_only,
        operation,
    )


def winner(comparisons: Sequence[Comparison]) -> Winner | None:
    """``snn`` if it beats every baseline, ``ann`` if one beats it, else ``undecided``."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if not verdicts:
        return None
    if verdicts == {"snn"}:
        return "snn"
    return "ann" if "ann" in verdicts else "undecided"


@dataclass(frozen=True)
class Choice:
    """The variant that a side sends, and its energy per inference."""

    variant: Variant
    energy: Energy


@dataclass(frozen=True)
class Verdict:
    """Both sides at one accuracy under one profile.

    Attributes:
        profile: the prices.
        level_percent: validation accuracy that both must reach.
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
            return self.ratio.verdict
        if self.spiking is not None:
            return "snn"
        return "neither" if self.conventional is None else "ann"


def verdicts(
    variants: Sequence[Variant],
    profiles: Mapping[str, HardwareProfile],
    levels_percent: Sequence[float],
    settings: BootstrapSettings,
) -> tuple[Verdict, ...]:
    """Every profile that compares, at every accuracy.

    A side that does not reach an accuracy has lost. A profile in whose numbers one side was not run
    at all is left out.

    Args:
        variants: of both sides, all of the same images.
        profiles: by id.
        levels_percent: validation accuracies.
        settings: how to draw intervals.
    """
    known = [one for one in variants if one.accuracies is not None]
    comparing = {key: one for key, one in profiles.items() if one.compares}
    if not known:
        return ()
    ledger = Ledger.of(known, comparing, settings)
    return verdicts_in(ledger, range(len(known)), levels_percent)


def verdicts_in(
    ledger: Ledger, members: Sequence[int], levels_percent: Sequence[float]
) -> tuple[Verdict, ...]:
    """The same of some variants of a ledger, by their numbers."""
    found = []
    for place, profile in enumerate(ledger.profiles):
        able = [one for one in members if profile.compares and runs(ledger.variants[one], profile)]
        if {ledger.variants[one].side for one in able} != {SPIKING, CONVENTIONAL}:
            # Of its width, one side was not run at all: nobody has won.
            continue
        for level in levels_percent:
            snn, ann = (
                _cheapest(ledger, able, side, level, place) for side in (SPIKING, CONVENTIONAL)
            )
            ratio = None if snn is None or ann is None else ratio_of(ledger, snn, ann, place)
            snn_choice, ann_choice = (_choice(ledger, one, place) for one in (snn, ann))
            found.append(Verdict(profile, level, snn_choice, ann_choice, ratio))
    return tuple(found)


def _cheapest(
    ledger: Ledger, able: Sequence[int], side: Side, level_percent: float, profile: int
) -> int | None:
    reaching = []
    for one in able:
        variant = ledger.variants[one]
        known = variant.accuracies
        if variant.side == side and known and known.validation_percent >= level_percent:
            reaching.append(one)
    return min(reaching, key=lambda one: ledger.middle_pj(one, profile), default=None)


def _choice(ledger: Ledger, variant: int | None, profile: int) -> Choice | None:
    if variant is None:
        return None
    return Choice(ledger.variants[variant], ledger.compared_total(variant, profile))


def won(found: Sequence[Verdict]) -> tuple[int, int]:
    """Under how many profiles the spiking side wins, and of how many."""
    return sum(one.outcome == "snn" for one in found), len(found)


def energy_by_part(variant: Variant, profile: HardwareProfile) -> dict[str, float]:
    """pJ per inference of each of `terms.PARTS`, means under the prices' values; of brackets, the
    upper ends.

    A part without a price is 0.
    """
    operations = variant.operations
    prices = price_vector(operations.columns, profile)
    energies = operations.means * prices.weights[1 if prices.has_value else 2]
    sums = dict.fromkeys(PARTS, 0.0)
    for column, energy in zip(operations.columns, energies, strict=True):
        part = TERMS[column.term].part
        if part:
            sums[part] += float(energy)
    return sums
