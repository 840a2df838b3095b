"""snnTorch: modules take one step, and keep their states, or take and give them.

Its default reset is delayed: the potential of a neuron that has spiked is lowered in
the step after. A reset is counted with its spike.
"""

from typing import Any, Final

import torch

from spikejoule.pricing.neurons import Population, Simulator, class_names

_STATES: Final = {
    "Leaky": 1,
    "Lapicque": 1,
    "RLeaky": 1,
    "Synaptic": 2,
    "RSynaptic": 2,
    "Alpha": 3,
}


def describe(module: Any) -> Population | None:
    """The neurons that have no weights but recurrent ones."""
    names = class_names(module)
    states = next((n for name, n in _STATES.items() if name in names), None)
    if states is None or "SpikingNeuron" not in names:
        return None
    keeps = [module.beta.detach().clamp(0, 1)]
    if states > 1:
        keeps.append(module.alpha.detach().clamp(0, 1))
    recurrent = getattr(module, "recurrent", None)
    holds = () if recurrent is None else (recurrent,)
    if recurrent is not None and hasattr(
        recurrent, "V"
    ):  # one weight from a neuron to itself
        recurrent = torch.as_tensor(recurrent.V).detach().reshape(-1)
    return Population(
        keeps=keeps,
        states=states,
        resets=module.reset_mechanism != "none",
        graded=bool((module.graded_spikes_factor != 1).any()),
        recurrent=recurrent,
        lost=_lost(module, names),
        holds=holds,
    )


def _lost(module: Any, names: set[str]) -> str:
    """Resets that no graph has, and a bias that comes a step later in one."""
    delayed = getattr(module, "reset_delay", True)
    if module.reset_mechanism == "subtract":
        when = (
            "a step late, after the leak"
            if delayed
            else "once more where it stays above it"
        )
        return (
            f"its potential falls by the threshold {when}: a graph needs "
            "reset_mechanism='zero'"
        )
    if module.reset_mechanism == "zero" and delayed and "Leaky" not in names:
        return "reset_delay=True takes from it what arrives in the step after a spike"
    bias = getattr(getattr(module, "recurrent", None), "bias", None)
    if bias is not None and bias.any():
        return (
            "its recurrent weights have a bias, which in the graph counts from "
            "the second step on"
        )
    return ""


def reset(module: Any) -> None:
    """Potentials and currents are zero before the first step."""
    if "SpikingNeuron" in class_names(module) and hasattr(module, "reset_mem"):
        module.reset_mem()


SIMULATOR: Final = Simulator(describe, reset)
