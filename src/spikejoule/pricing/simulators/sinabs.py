"""Sinabs: modules take [B, T, ...], and those with `Squeeze` in their name [B T, ...].

By default a neuron may emit several spikes in a step, as one whole number; its reset
lowers the potential by as many thresholds.
"""

import math
from typing import Any, Final

from torch import nn

from spikejoule.pricing.cells import Cell, Surrogate, refuse
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


def cell(module: Any) -> Cell | None:
    """Read the equations of LIF, IAF and ExpLeak, and of recurrent LIF and IAF.

    Raises:
        ParameterError: a setting has no equations here.
    """
    name = type(module).__name__.removesuffix("Squeeze").removesuffix("Recurrent")
    is_sinabs = "StatefulLayer" in class_names(module)
    if not is_sinabs or name not in ("LIF", "IAF", "ExpLeak"):
        return None
    if module.min_v_mem is not None:
        raise refuse(module, "min_v_mem", "None")
    keep = module.alpha_mem_calculated
    gain = 1 - keep if module.norm_input else 1.0
    settings: dict[str, Any] = {"keep": keep, "gain": gain}
    keep_current = module.alpha_syn_calculated
    if keep_current is not None:
        # It multiplies the new input, too: v receives keep_current times this current.
        settings |= {"keep_current": keep_current, "gain": gain * keep_current}
    if hasattr(module, "rec_connect"):
        settings |= _recurrent(module)
    if module.spike_fn is None:
        return Cell(surrogate=None, reset="none", returns="potentials", **settings)
    spikes = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
    if spikes != "SingleSpike":
        raise refuse(module, f"the spike_fn {spikes}", "SingleSpike")
    return Cell(
        threshold=module.spike_threshold,
        at_threshold=True,
        surrogate=_surrogate(module),
        **_reset(module),
        **settings,
    )


def _reset(module: Any) -> dict[str, Any]:
    reset = module.reset_fn
    name = type(reset).__name__
    if name == "MembraneSubtract":
        lowers_by = reset.subtract_value
        return {"reset": "subtract", "lowers_by": lowers_by, "detaches": False}
    if name != "MembraneReset" or reset.reset_value != 0:
        raise refuse(module, f"the reset_fn {reset}", "MembraneSubtract, MembraneReset")
    return {"reset": "zero", "detaches": True}


def _recurrent(module: Any) -> dict[str, Any]:
    inner = [
        layer
        for layer in module.rec_connect.modules()
        if not isinstance(layer, nn.Sequential | nn.Flatten)
    ]
    if len(inner) == 1 and isinstance(inner[0], nn.Linear):
        return {"recurrent": inner[0].weight, "recurrent_bias": inner[0].bias}
    raise refuse(module, "other recurrent weights than one Linear", "one Linear")


def _surrogate(module: Any) -> Surrogate:
    function = module.surrogate_grad_fn
    name = type(function).__name__
    if name == "SingleExponential" and module.spike_threshold.numel() == 1:
        width = float(module.spike_threshold) * function.grad_width
        return Surrogate("exponential", function.grad_scale / width, 1 / width)
    if name == "Gaussian" and function.mu == 0:
        height = function.grad_scale / (function.sigma * math.sqrt(2 * math.pi))
        return Surrogate("gaussian", height, 1 / (function.sigma * math.sqrt(2)))
    allowed = "SingleExponential with one threshold, Gaussian around it"
    raise refuse(module, f"the surrogate {function}", allowed)


SIMULATOR: Final = Simulator(describe, reset, cell=cell)
