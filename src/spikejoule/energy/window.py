"""The energy of an answer before the end of the window, from what its events and its steps cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.encoding.events import Products
from spikejoule.energy import terms
from spikejoule.energy.analysis import CountSummary, ProfileInference, TermEnergy
from spikejoule.energy.due_once import due_once
from spikejoule.energy.estimates import Amount
from spikejoule.energy.operations import Column

_NOTHING = Amount(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class WindowCost:
    """What an inference costs, split into what grows with its spikes and with its steps.

    With arithmetic alone the split is exact: synaptic events are additions, leaks and biases are
    due in every step. Where a profile prices routed spikes or active updates, these are taken to be
    in proportion to the synaptic events. What watching the lead takes is not in it.

    Attributes:
        per_event: for each synaptic event.
        per_step: for each step of 1 ms.
        once: whatever the steps (`due_once`): reading the image, the answer, products of constant
            currents that are made once.
    """

    per_event: Amount
    per_step: Amount
    once: Amount = _NOTHING

    def energy(self, synaptic_events: float, steps: float) -> Amount:
        """Of an inference with so many synaptic events (a mean) in so many steps (a mean)."""
        grows = self.per_event.times(synaptic_events) + self.per_step.times(steps)
        return self.once + grows


def window_cost(
    entry: ProfileInference,
    counts: Sequence[CountSummary],
    time_window: int,
    products: Products | None = None,
    has_rate: bool = True,
) -> WindowCost | None:
    """Split an inference under one profile; None if the network has no synaptic events.

    Args:
        entry: inference under the profile.
        counts: operations per inference of every term at every place.
        time_window: steps of a whole inference.
        products: how often constant currents are multiplied; None for an input of spikes.
        has_rate: whether the code has a rate, so that it takes something in every step.
    """
    events = sum(item.count.mean for item in counts if item.term == terms.SYNAPTIC_EVENT)
    if events <= 0:
        return None
    operations = {(item.term, item.place): item.count.mean for item in counts}
    currents = next((item.place for item in counts if item.term == terms.INPUT_MAC), None)
    fixed = due_once(operations, has_rate, products)
    per_spike = per_step = once = _NOTHING
    for item in entry.by_term:
        energy, key = _amount(item), (item.term, item.place)
        if fixed[key] > 0:
            share = fixed[key] / operations[key]
            once += energy.times(share)
            energy = energy.times(1 - share)
        if item.place == currents or item.term not in terms.PER_SPIKE:
            per_step += energy
            continue
        if item.term == terms.NEURON_UPDATE_ACTIVE:
            # Of an active update, what an inactive one would have cost is due in any case.
            idle = _of_inactive(entry, operations, item)
            per_step += idle
            energy += idle.times(-1.0)
        per_spike += energy
    return WindowCost(per_spike.over(events), per_step.over(time_window), once)


def _of_inactive(
    entry: ProfileInference, operations: dict[tuple[str, str], float], active: TermEnergy
) -> Amount:
    """What the active updates of a layer would cost as inactive ones."""
    price = entry.profile.price_at(Column(terms.NEURON_UPDATE_INACTIVE, active.place))
    if price is None:
        return _NOTHING
    one = Amount(price.low_pj, price.value_pj, price.high_pj)
    return one.times(operations[active.term, active.place])


def _amount(item: TermEnergy) -> Amount:
    value = None if item.energy.value is None else item.energy.value.mean
    return Amount(item.energy.low.mean, value, item.energy.high.mean)
