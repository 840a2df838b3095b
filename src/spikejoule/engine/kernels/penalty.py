"""What spikes cost beside the error that they make (the formula is in model/learning.py)."""

import numpy as np

from spikejoule.core.compiling import compiled_inline
from spikejoule.engine.kernels.structures import layer_at


@compiled_inline
def spike_costs(spikes, n_steps, number, network, batch_size, penalties, costs):
    """The penalty of one layer's spikes in one sample, and its derivative by each spike.

    Args:
        spikes: the layer's, ``Spikes`` of T rows.
        n_steps: T.
        number: of the layer, from 0 for the first after the input.
        network: ``Network``; of a spike's synapses, it knows how many are left.
        batch_size: samples that the mean goes over.
        penalties: of each layer, see ``Learning``.
        costs: receives what a spike of each unit adds to the batch's mean loss, real [stride].

    Returns:
        the sample's penalty.
    """
    by_spike, by_event = penalties[number, 0], penalties[number, 2]
    sources, offsets, fan_outs = spikes.sources, spikes.offsets, network.fan_outs
    spikes_above = offsets[n_steps] - offsets[0] - penalties[number, 1]
    # The output's spikes reach no synapse.
    has_synapses = number + 1 < network.layers.shape[0]
    first_row = layer_at(network.layers, number + 1).first_row if has_synapses else np.int64(0)
    n_events = np.int64(0)
    if has_synapses:
        for event in range(offsets[0], offsets[n_steps]):
            n_events += fan_outs[first_row + sources[event]]
    events_above = n_events - penalties[number, 3]
    if spikes_above <= 0.0:
        by_spike = 0.0
    if events_above <= 0.0:
        by_event = 0.0
    for unit in range(layer_at(network.layers, number).n_units):
        cost = by_spike
        if has_synapses:
            cost += by_event * fan_outs[first_row + unit]
        costs[unit] = cost / batch_size
    return by_spike * spikes_above + by_event * events_above
