"""Break-even: where a spiking network stops winning against a conventional one.

The energy of an inference is split into E = E_spike + E_step + E_once by the columns
``grows`` and ``once`` of the table of terms. For price lists of arithmetic the split is
exact: synaptic events are additions; leaks and biases are due in every step. An active
neuron update replaces an inactive one, which is due in any case.

An encoding without a rate turns the whole image into spikes at once. One with a rate
draws in every step, but selects the pixels that can fire, and computes their rates,
once per image. Scaling the spikes by k gives k E_spike + E_step + E_once. Scaling the
window by w gives w (E_spike + E_step) + E_once, or, for an encoding without a rate,
E_spike + w E_step + E_once.
"""

from dataclasses import dataclass

import numpy as np

from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.terms import TERMS, UPDATES


@dataclass(frozen=True)
class BreakEven:
    """Limits below which a spiking network wins against one conventional network.

    To first order, at the trained weights, spikes of all layers grow in proportion to
    the spikes per input, and work per neuron and step in proportion to the window. With
    a rate encoding, a longer window also brings more spikes. Each limit changes one
    quantity alone. None: the network loses even with zero spikes.

    Attributes:
        spikes_per_input: spikes of an input unit over the window.
        time_window: steps of 1 ms at the measured rate; also None if steps cost
            nothing.
        max_rate_hz: rate of a white pixel at the measured window; above 1000 Hz the
            network wins at any rate. Also None for an encoding without a rate.
    """

    spikes_per_input: float | None
    time_window: float | None
    max_rate_hz: float | None


@dataclass(frozen=True)
class EnergySplit:
    """pJ of an inference that grow with the spikes, are due each step, or once."""

    spike_pj: float
    step_pj: float
    once_pj: float


def split_energy(
    operations: OperationCounts, prices_pj: Floats, has_rate: bool
) -> EnergySplit:
    """Split the energy of an inference.

    Args:
        operations: counts in C columns.
        prices_pj: price of one operation of each column, [C].
        has_rate: whether the encoding has a rate, and draws in every step.
    """
    columns = operations.columns
    counts = operations.means
    active, inactive = UPDATES
    inactive_pj = {
        column.place: price_pj
        for column, price_pj in zip(columns, prices_pj, strict=True)
        if column.term == inactive
    }
    pixels = sum(counts[[column.term == "pixel_read" for column in columns]])
    spike_pj = 0.0
    step_pj = 0.0
    once_pj = 0.0
    for column, count, price_pj in zip(columns, counts, prices_pj, strict=True):
        term = TERMS[column.term]
        encodes_once = term.once == "rate" or not has_rate
        once = 0.0
        if term.once == "inference" or (term.side == "encoding" and encodes_once):
            once = count
        elif term.name == "code_comparison":
            once = min(pixels, count)
        by_spikes = count - once if term.grows else 0.0
        idle_pj = 0.0
        if term.name == active:
            # The cost of an inactive update is due in every step anyway.
            idle_pj = count * inactive_pj.get(column.place, np.nan)
        spike_pj += price_pj * by_spikes - idle_pj
        step_pj += price_pj * (count - once - by_spikes) + idle_pj
        once_pj += price_pj * once
    return EnergySplit(float(spike_pj), float(step_pj), float(once_pj))


def break_even(
    operations: OperationCounts,
    prices_pj: Floats,
    baseline_pj: float | None,
    spikes_per_input: float,
    rate_hz: float | None,
) -> BreakEven | None:
    """Solve for where the spiking network takes as much energy as the baseline.

    Args:
        operations: counts of the spiking network over its whole window, C columns.
        prices_pj: price of one operation of each column, [C].
        baseline_pj: energy per inference of the baseline; None if prices are ranges.
        spikes_per_input: mean spikes of an input unit over the window.
        rate_hz: rate of a white pixel; None for an encoding without a rate.

    Returns:
        None if no energy grows with the spikes, the input emits none, or prices are
        ranges.
    """
    split = split_energy(operations, prices_pj, has_rate=rate_hz is not None)
    if baseline_pj is None or spikes_per_input <= 0 or not split.spike_pj > 0:
        return None
    factor = (baseline_pj - split.step_pj - split.once_pj) / split.spike_pj

    if rate_hz is None:
        fixed_pj = split.once_pj + split.spike_pj
        per_window_pj = split.step_pj
    else:
        fixed_pj = split.once_pj
        per_window_pj = split.spike_pj + split.step_pj
    left_pj = baseline_pj - fixed_pj
    window = None
    if left_pj > 0 and per_window_pj > 0:
        window = operations.time_window * left_pj / per_window_pj

    spikes_limit = None
    rate_limit = None
    if factor > 0:
        spikes_limit = spikes_per_input * factor
        rate_limit = None if rate_hz is None else rate_hz * factor
    return BreakEven(spikes_limit, window, rate_limit)
