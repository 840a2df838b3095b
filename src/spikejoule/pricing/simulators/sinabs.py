"""Sinabs: modules take [B, T, ...], and those with `Squeeze` in their name [B T, ...].

By default a neuron may give several spikes in a step, which is a whole number; its one
reset lowers the potential by as many thresholds.
"""

from typing import Any, Final

from spikejoule.pricing.neurons import FLAT, Population, Simulator, class_names

_KNOWN: Final = {"LIF", "ALIF"}


def describe(module: Any) -> Population | None:
    """LIF, ALIF, and what is derived from them: IAF, ExpLeak, recurrent ones. The
    weights of these are a module that runs in every step, and is counted as one."""
    names = class_names(module)
    if "StatefulLayer" not in names or not names & _KNOWN:
        return None
    fields = ("alpha_mem_calculated", "alpha_syn_calculated", "alpha_adapt_calculated")
    factors = [getattr(module, field, None) for field in fields]
    keeps = [factor for factor in factors if factor is not None]
    return Population(
        keeps=keeps,
        states=len(keeps),
        fires=module.spike_fn is not None,
        time=FLAT if "SqueezeMixin" in names else 1,
        lost=_lost(module, names),
    )


def _lost(module: Any, names: set[str]) -> str:
    """What its exporter drops; an IAF neuron has no time constant to divide by."""
    if module.norm_input or "IAF" in names:
        return ""
    return (
        "norm_input=False: what arrives is not divided by tau, as it is in an "
        "exported graph"
    )


def reset(module: Any) -> None:
    """All states are zero before the first step."""
    if "StatefulLayer" in class_names(module) and module.is_state_initialised():
        module.reset_states()


SIMULATOR: Final = Simulator(describe, reset)
