"""Sinabs: modules take [B, T, ...], and those with `Squeeze` in their name [B T, ...].

By default a neuron may emit several spikes in a step, as one whole number; its reset
lowers the potential by as many thresholds.
"""

import math
from typing import Any, Final

import torch
from torch import nn

from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
from spikejoule.pricing.modules.cells import Cell, fixed, refuse, surrogate_name
from spikejoule.pricing.modules.neurons import FLAT, Population, Simulator, class_names

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
        surrogate=surrogate_name(_surrogate, module),
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
    keep_current = 0.0
    if module.alpha_syn_calculated is not None:
        keep_current = fixed(module.alpha_syn_calculated, module, "tau_syn")
        # It multiplies the new input, too: v receives keep_current times the current.
        settings["gain"] = gain * keep_current
    if hasattr(module, "rec_connect"):
        settings |= _recurrent(module)
    if module.spike_fn is None:
        readout = Dynamics(None, "none", keep_current=keep_current)
        return Cell(readout, returns="potentials", **settings)
    spikes = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
    if spikes != "SingleSpike":
        raise refuse(module, f"the spike_fn {spikes}", "SingleSpike")
    subtracts = _subtracts(module)
    dynamics = Dynamics(
        _surrogate(module),
        reset="subtract" if subtracts else "zero",
        detach_reset=not subtracts,
        keep_current=keep_current,
    )
    return Cell(dynamics, threshold=module.spike_threshold, **settings)


def _subtracts(module: Any) -> bool:
    """Whether the reset subtracts the threshold; else it sets the potential to 0."""
    reset = module.reset_fn
    name = type(reset).__name__
    if name == "MembraneSubtract" and reset.subtract_value is None:
        return True
    if name == "MembraneReset" and reset.reset_value == 0:
        return False
    allowed = "MembraneSubtract(), MembraneReset()"
    raise refuse(module, f"the reset_fn {reset}", allowed)


def _recurrent(module: Any) -> dict[str, Any]:
    inner = [
        layer
        for layer in module.rec_connect.modules()
        if not isinstance(layer, nn.Sequential | nn.Flatten)
    ]
    weights: Any = inner[0] if len(inner) == 1 else None
    if not isinstance(weights, nn.Linear):
        raise refuse(module, "other recurrent weights than one Linear", "one Linear")
    # Sinabs adds a bias in all steps but the first.
    if getattr(weights, "bias", None) is not None:
        raise refuse(module, "a bias of its recurrent weights", "bias=False")
    return {"recurrent": weights.weight}


def _surrogate(module: Any) -> SurrogateShape:
    function = module.surrogate_grad_fn
    name = type(function).__name__
    if name == "SingleExponential" and module.spike_threshold.numel() == 1:
        width = float(module.spike_threshold) * function.grad_width
        return SurrogateShape("exponential", function.grad_scale / width, 1 / width)
    if name == "Gaussian" and function.mu == 0:
        # In float32, as Sinabs has it.
        area = float(function.sigma * torch.sqrt(2 * torch.tensor(math.pi)))
        height = function.grad_scale / area
        return SurrogateShape("gaussian", height, 1 / (function.sigma * math.sqrt(2)))
    allowed = "SingleExponential with one threshold, Gaussian around it"
    raise refuse(module, f"the surrogate {function}", allowed)


SIMULATOR: Final = Simulator(describe, reset, cell=cell)
