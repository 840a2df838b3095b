"""Where the spiking network stops winning: spikes per input, window, and maximum rate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikejoule.energy import terms
from spikejoule.energy.due_once import due_once
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import Column

_CURVE_POINTS = 60


@dataclass(frozen=True)
class BreakEven:
    """Where the spiking network stops winning against one baseline under one profile.

    Spikes of all layers are taken to grow in proportion to the spikes per input (first order, at
    the weights that were trained), and what is done once per neuron and step in proportion to the
    window. The spikes of a code with a rate grow with the window, too; those of a code without one,
    such as a spike a pixel, do not. What is due once (`due_once`) stays. Each limit changes one
    quantity alone and leaves the others as measured; the network wins below it. None: it loses even
    without a single spike.

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
class OperatingPoint:
    """What the break-even needs of how the network was run; `synapses` hold removed ones, too."""

    n_input: int
    synapses: int
    time_window: int
    max_rate_hz: float | None
    input_spikes: float


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
    snn_pj = float(means @ snn_prices_pj)
    per_spike_pj = _per_spike_pj(means, columns, snn_prices_pj)
    measured = operation.input_spikes / operation.n_input
    if per_spike_pj <= 0 or measured <= 0:
        return None
    other_pj = snn_pj - per_spike_pj
    factor = (ann_pj - other_pj) / per_spike_pj
    limit = measured * factor if factor > 0 else None
    rate_hz = operation.max_rate_hz
    curve = np.geomspace(measured / 20, 3 * max(measured, limit or 0.0), _CURVE_POINTS)
    return BreakEven(
        spikes_per_input=limit,
        time_window=_window_limit(
            operation,
            ann_pj,
            snn_pj,
            per_spike_pj,
            _once_pj(means, columns, snn_prices_pj, operation),
        ),
        max_rate_hz=rate_hz * factor if factor > 0 and rate_hz is not None else None,
        compute_only_spikes_per_input=compute_only_spikes_per_input,
        measured_spikes_per_input=measured,
        curve_spikes_per_input=tuple(curve.tolist()),
        curve_snn_pj=tuple((other_pj + per_spike_pj * curve / measured).tolist()),
        ann_pj=ann_pj,
    )


def _window_limit(
    operation: OperatingPoint, ann_pj: float, snn_pj: float, per_spike_pj: float, once_pj: float
) -> float | None:
    """Steps below which the spiking network wins; None if it loses at any window, or at none."""
    fixed_pj = once_pj if operation.max_rate_hz is not None else once_pj + per_spike_pj
    left_pj, per_window_pj = ann_pj - fixed_pj, snn_pj - fixed_pj
    if min(left_pj, per_window_pj) <= 0:
        return None
    return operation.time_window * left_pj / per_window_pj


def _once_pj(
    means: Floats, columns: Sequence[Column], prices_pj: Floats, operation: OperatingPoint
) -> float:
    """The part of an inference's energy that is due once."""
    places = [(column.term, column.place) for column in columns]
    once = due_once(
        dict(zip(places, means.tolist(), strict=True)), operation.max_rate_hz is not None
    )
    return float(np.array([once[place] for place in places]) @ prices_pj)


def _per_spike_pj(means: Floats, columns: Sequence[Column], prices_pj: Floats) -> float:
    """The part of an inference's energy that grows with the spikes.

    A step in which a neuron spikes is an active update in place of an inactive one.
    """
    inactive_pj = {
        column.place: prices_pj[place]
        for place, column in enumerate(columns)
        if column.term == terms.NEURON_UPDATE_INACTIVE
    }
    energy = 0.0
    for place, column in enumerate(columns):
        if column.term in terms.PER_SPIKE:
            price_pj = prices_pj[place]
            if column.term == terms.NEURON_UPDATE_ACTIVE:
                price_pj -= inactive_pj[column.place]
            energy += float(means[place] * price_pj)
    return energy
