"""Norse: cells take one step and their state, and return both; other modules take
[T, B, ...].

Recurrent cells hold their weights; most have none from a neuron to itself. A state
leaks by 1 - dt / tau in a step.
"""

from typing import Any, Final

from spikejoule.pricing.neurons import Population, Simulator, class_names

_FIRING: Final = ("LIF", "LIFBox", "LIFRefrac", "LSNN", "IAF")
_READOUTS: Final = ("LI", "LIBox", "LILinear")
_RATES: Final = ("tau_mem_inv", "tau_syn_inv", "tau_adapt_inv")


def describe(module: Any) -> Population | None:
    """Describe neurons with constant leaks; those with exponentials are not known."""
    name = type(module).__name__.removesuffix("Cell").removesuffix("Recurrent")
    if name not in (*_FIRING, *_READOUTS) or not hasattr(module, "p"):
        return None
    constants = getattr(module.p, "lif", module.p)
    rates = [getattr(constants, rate) for rate in _RATES if hasattr(constants, rate)]
    keeps = [1 - module.dt * rate for rate in rates]
    states = max(1, len(keeps))
    rate = getattr(constants, "tau_mem_inv", None)
    if name == "LIFRefrac":
        states += 1  # the steps left of the refractory period
    return Population(
        keeps=keeps,
        states=states,
        fires=name in _FIRING,
        time=0 if class_names(module) & {"SNN", "SNNRecurrent"} else None,
        input=getattr(module, "input_weights", None),
        recurrent=getattr(module, "recurrent_weights", None),
        without_autapses=not getattr(module, "autapses", True),
        threshold=getattr(constants, "v_th", None),
        gain=None if rate is None else module.dt * rate,
    )


SIMULATOR: Final = Simulator(describe, carries_state=True)
