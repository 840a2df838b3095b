"""snnTorch: modules take one step, and keep their states or take and return them.

Its default reset is delayed: the potential of a neuron that has spiked is lowered in
the next step. Here a reset is counted with its spike.
"""

from typing import Any, Final

import torch
from torch import nn

from spikejoule.pricing.neurons import Population, Simulator, class_names

_STATES: Final = {
    "Leaky": 1,
    "Lapicque": 1,
    "RLeaky": 1,
    "Synaptic": 2,
    "RSynaptic": 2,
    "Alpha": 3,
}

_SURROGATES: Final = {
    "atan": "arctangent",
    "fast_sigmoid": "fast_sigmoid",
    "sigmoid": "sigmoid",
    "straight_through_estimator": "constant",
}


def describe(module: Any) -> Population | None:
    """Describe the neurons that have no weights but recurrent ones."""
    names = class_names(module)
    states = next((n for name, n in _STATES.items() if name in names), None)
    if states is None or "SpikingNeuron" not in names:
        return None
    keeps = [module.beta.detach().clamp(0, 1)]
    if states > 1:
        keeps.append(module.alpha.detach().clamp(0, 1))
    recurrent = getattr(module, "recurrent", None)
    if isinstance(recurrent, nn.Sequential):
        # Its layers run as modules, and are counted as such.
        recurrent = None
    holds = () if recurrent is None else (recurrent,)
    if recurrent is not None and hasattr(recurrent, "V"):
        # all_to_all=False: one weight from each neuron to itself.
        recurrent = torch.as_tensor(recurrent.V).detach().reshape(-1)
    return Population(
        keeps=keeps,
        states=states,
        resets=module.reset_mechanism != "none",
        graded=bool((module.graded_spikes_factor != 1).any()),
        recurrent=recurrent,
        holds=holds,
        threshold=module.threshold,
        gain=None if names & {"Alpha", "Lapicque"} else 1.0,
        surrogate=_SURROGATES.get(_maker_of(module.spike_grad)),
    )


def _maker_of(spike_grad: Any) -> str:
    """Return the name of the function that has made a surrogate."""
    name: str = getattr(spike_grad, "__qualname__", "")
    return name.partition(".")[0]


def reset(module: Any) -> None:
    """Set potentials and currents to zero."""
    if "SpikingNeuron" in class_names(module) and hasattr(module, "reset_mem"):
        module.reset_mem()


SIMULATOR: Final = Simulator(describe, reset)
