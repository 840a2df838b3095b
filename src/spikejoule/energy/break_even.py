"""Break-even: where a spiking network stops winning against a conventional one.

An inference is split into E = E_spike + E_step + E_once by the columns ``grows`` and
``once`` of the table of terms. With arithmetic alone the split is exact: synaptic
events are additions, leaks and biases are due in every step. A step in which a neuron
spikes is an active update in place of an inactive one, which is due in any case. An
encoding without a rate turns the whole image into spikes at once; one with a rate
decides anew in every step, but looks for the pixels that can fire, and computes their
rates, once. A factor k on the spikes gives k E_spike + E_step + E_once, and a factor w
on the window w (E_spike + E_step) + E_once, or, for an encoding without a rate, E_spike
+ w E_step + E_once.
"""

from dataclasses import dataclass

import numpy as np

from spikejoule.energy.estimates import Floats
from spikejoule.energy.ledger import Ledger
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.terms import TERMS, UPDATES


@dataclass(frozen=True)
class BreakEven:
    """Where the spiking network stops winning against one baseline under one profile.

    Spikes of all layers are taken to grow in proportion to the spikes per input (first
    order, at the weights that were trained), and what is done once per neuron and step
    in proportion to the window. The spikes of an encoding with a rate grow with the
    window, too; those of one without, such as a spike a pixel, do not. What is due once
    stays. Each limit changes one quantity alone and leaves the others as measured; the
    network wins below it. None: it loses even without a single spike.

    Attributes:
        spikes_per_input: spikes of an input unit over the window.
        time_window: steps of 1 ms, at the measured rate; None too where the window
            costs nothing.
        max_rate_hz: rate of a white pixel, at the measured window; above 1000 Hz no
            rate loses; None too for an encoding without a rate.
    """

    spikes_per_input: float | None
    time_window: float | None
    max_rate_hz: float | None


@dataclass(frozen=True)
class EnergySplit:
    """An inference's energy, in pJ: what grows with the spikes, is due every step, or
    once.
    """

    spike_pj: float
    step_pj: float
    once_pj: float


def split_energy(
    operations: OperationCounts, prices_pj: Floats, has_rate: bool
) -> EnergySplit:
    """Split the energy of an inference.

    Args:
        operations: of C columns.
        prices_pj: of one operation of each, [C].
        has_rate: whether the encoding has a rate, and decides in every step.
    """
    columns = operations.columns
    counts = operations.means
    inactive_pj = {
        column.place: price_pj
        for column, price_pj in zip(columns, prices_pj, strict=True)
        if column.term == UPDATES[1]
    }
    pixels = sum(counts[[column.term == "pixel_read" for column in columns]])
    spike_pj = step_pj = once_pj = 0.0
    for column, count, price_pj in zip(columns, counts, prices_pj, strict=True):
        term = TERMS[column.term]
        of_image = term.side == "encoding" and (term.once == "rate" or not has_rate)
        once = 0.0
        if term.once == "inference" or of_image:
            once = count
        elif term.name == "code_comparison":
            once = min(pixels, count)
        by_spikes = count - once if term.grows else 0.0
        idle_pj = 0.0
        if term.name == UPDATES[0]:
            # Of an active update, what an inactive one costs is due in every step.
            idle_pj = count * inactive_pj.get(column.place, np.nan)
        spike_pj += price_pj * by_spikes - idle_pj
        step_pj += price_pj * (count - once - by_spikes) + idle_pj
        once_pj += price_pj * once
    return EnergySplit(float(spike_pj), float(step_pj), float(once_pj))


def break_even(
    ledger: Ledger,
    variant: int,
    profile: str,
    baseline_pj: float | None,
    spikes_per_input: float,
    rate_hz: float | None,
) -> BreakEven | None:
    """Solve for the spiking network's energy, under the values of prices, to equal the
    baseline's.

    Args:
        ledger: prices and counts.
        variant: number of the network over its whole window.
        profile: id of the profile.
        baseline_pj: energy per inference of the baseline; None if prices are brackets
            alone.
        spikes_per_input: of an input unit over the window, a mean.
        rate_hz: of a white pixel; None for an encoding without a rate.

    Returns:
        None if no energy grows with the spikes, the input has none, or prices are
        brackets alone.
    """
    operations = ledger.variants[variant].operations
    prices_pj = ledger.weights(variant, profile)[1]
    split = split_energy(operations, prices_pj, has_rate=rate_hz is not None)
    if baseline_pj is None or spikes_per_input <= 0 or not split.spike_pj > 0:
        return None
    factor = (baseline_pj - split.step_pj - split.once_pj) / split.spike_pj

    fixed_pj = split.once_pj
    per_window_pj = split.spike_pj + split.step_pj
    if rate_hz is None:
        fixed_pj = split.once_pj + split.spike_pj
        per_window_pj = split.step_pj
    left_pj = baseline_pj - fixed_pj
    window = None
    if left_pj > 0 and per_window_pj > 0:
        # Below so many steps the network wins; it may lose, or win, at any.
        window = operations.time_window * left_pj / per_window_pj
    return BreakEven(
        spikes_per_input=spikes_per_input * factor if factor > 0 else None,
        time_window=window,
        max_rate_hz=rate_hz * factor if factor > 0 and rate_hz is not None else None,
    )
