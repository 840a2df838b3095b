"""Gradients of the neurons' own parameters: one leak and one threshold a layer.

The equations are in spikejoule/model/neurons/lif.py. Both gradients come from dL/dv and v, which
the backward pass leaves behind: ``dL/ds[t] * f(v[t] - threshold)`` is what dL/dv[t] has beyond
``k[t] * dL/dv[t+1]``.
"""

from spikejoule.core.compiling import compiled
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, layer_at, neuron_at

DECAY_PLACE = 0
THRESHOLD_PLACE = 1
"""Where the logit of the decay and the logarithm of the threshold lie in a layer's row."""


@compiled
def learned_gradients(place, n_steps, network, kept, scratch):
    """The gradients of all leaks and thresholds from the sample at a place of its group.

    With ``decay = 1 / (1 + exp(-logit))`` and ``threshold = exp(log)``,

        dL/dlogit = decay * (1 - decay) * sum of dL/dv[t] * u[t-1]
        dL/dlog   = -threshold * sum of dL/ds[t] * f(v[t] - threshold)

    Args:
        place: of the sample in its group, from 0.
        n_steps: T.
        network: see structures.py.
        kept: ``Kept`` of the group, with the deltas of the sample; its ``learned`` receives.
        scratch: ``Scratch``, with the potentials of the sample.
    """
    for number in range(network.layers.shape[0]):
        layer, neuron = layer_at(network.layers, number), neuron_at(network, number)
        deltas, potentials = kept.deltas[number], scratch.potentials[number]
        threshold, decay = float(neuron.threshold), float(neuron.decay)
        subtracts = neuron.reset == RESET_BY_SUBTRACTION
        by_decay, by_threshold = 0.0, 0.0
        for step in range(n_steps):
            row = (place * n_steps + step) * layer.stride
            for unit in range(layer.n_units):
                delta = float(deltas[row + unit])
                by_threshold += delta
                if step == 0:
                    continue
                before = float(potentials[(step - 1) * layer.stride + unit])
                left = decay
                if before >= threshold:
                    left = decay if subtracts else 0.0
                    before = before - threshold if subtracts else 0.0
                by_decay += delta * before
                by_threshold -= left * delta
        kept.learned[place, number, DECAY_PLACE] = decay * (1.0 - decay) * by_decay
        kept.learned[place, number, THRESHOLD_PLACE] = -threshold * by_threshold
