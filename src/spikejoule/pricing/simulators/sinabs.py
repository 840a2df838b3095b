"""Sinabs: modules take [B, T, ...], and those with `Squeeze` in their name [B T, ...].

By default a neuron may emit several spikes in a step, as one whole number; its reset
lowers the potential by as many thresholds.
"""

from typing import Any, Final

from spikejoule.pricing.neurons import FLAT, Population, Simulator, class_names

_KNOWN: Final = {"LIF", "ALIF"}
_FACTORS: Final = (
    "alpha_mem_calculated",
    "alpha_syn_calculated",
    "alpha_adapt_calculated",
)


def describe(module: Any) -> Population | None:
    """Describe LIF, ALIF and their subclasses: IAF, ExpLeak, recurrent ones.

    Recurrent weights are a module that runs in every step, and is counted as one.
    """
    names = class_names(module)
    if "StatefulLayer" not in names or not names & _KNOWN:
        return None
    factors = [getattr(module, name, None) for name in _FACTORS]
    keeps = [factor for factor in factors if factor is not None]
    return Population(
        keeps=keeps,
        states=len(keeps),
        fires=module.spike_fn is not None,
        time=FLAT if "SqueezeMixin" in names else 1,
        # That of ALIF changes.
        threshold=None if "ALIF" in names else module.spike_threshold,
    )


def reset(module: Any) -> None:
    """Set all states to zero."""
    if "StatefulLayer" in class_names(module) and module.is_state_initialised():
        module.reset_states()


SIMULATOR: Final = Simulator(describe, reset)
