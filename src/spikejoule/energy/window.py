"""The energy of an answer before the end of the window, from what its events and its steps cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.energy import terms
from spikejoule.energy.analysis import CountSummary, ProfileInference, TermEnergy
from spikejoule.energy.estimates import Amount


@dataclass(frozen=True)
class WindowCost:
    """What an inference costs, split into what grows with its spikes and with its steps.

    With arithmetic alone the split is exact: synaptic events are additions, leaks and biases are
    due in every step. Where a profile prices routed spikes or active updates, these are taken to be
    in proportion to the synaptic events.

    Attributes:
        per_event: for each synaptic event.
        per_step: for each step of 1 ms.
    """

    per_event: Amount
    per_step: Amount

    def energy(self, synaptic_events: float, steps: float) -> Amount:
        """Of an inference with so many synaptic events (a mean) in so many steps (a mean)."""
        return self.per_event.times(synaptic_events) + self.per_step.times(steps)


def window_cost(
    entry: ProfileInference, counts: Sequence[CountSummary], time_window: int
) -> WindowCost | None:
    """Split an inference under one profile; None if the network has no synaptic events.

    Args:
        entry: inference under the profile.
        counts: operations per inference of every term at every place.
        time_window: steps of a whole inference.
    """
    events = sum(item.count.mean for item in counts if item.term == terms.SYNAPTIC_EVENT)
    if events <= 0:
        return None
    operations = {(item.term, item.place): item.count.mean for item in counts}
    per_spike = per_step = Amount(0.0, 0.0, 0.0)
    for item in entry.by_term:
        energy = _amount(item)
        if item.term not in terms.PER_SPIKE:
            per_step += energy
            continue
        if item.term == terms.NEURON_UPDATE_ACTIVE:
            # Of an active update, what an inactive one would have cost is due in any case.
            idle = _of_inactive(entry, operations, item)
            per_step += idle
            energy += idle.times(-1.0)
        per_spike += energy
    return WindowCost(per_spike.over(events), per_step.over(time_window))


def _of_inactive(
    entry: ProfileInference, operations: dict[tuple[str, str], float], active: TermEnergy
) -> Amount:
    """What the active updates of a layer would cost as inactive ones."""
    inactive = next(
        (
            item
            for item in entry.by_term
            if (item.term, item.place) == (terms.NEURON_UPDATE_INACTIVE, active.place)
        ),
        None,
    )
    times = operations[active.term, active.place]
    if inactive is None or times == 0:
        return Amount(0.0, 0.0, 0.0)
    return _amount(inactive).over(operations[inactive.term, inactive.place] / times)


def _amount(item: TermEnergy) -> Amount:
    value = None if item.energy.value is None else item.energy.value.mean
    return Amount(item.energy.low.mean, value, item.energy.high.mean)
