"""Norse: cells take one step and their state, and return both; other modules take
[T, B, ...].

Recurrent cells hold their weights; most have none from a neuron to itself. A state
leaks by 1 - dt / tau in a step.
"""

import math
from functools import cache
from importlib import import_module
from typing import Any, Final

import torch

from spikejoule.engine.differentiable.dynamics import Dynamics, Reset, SurrogateShape
from spikejoule.pricing.modules.cells import Cell, fixed, refuse, surrogate_name
from spikejoule.pricing.modules.neurons import Population, Simulator, class_names

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
        surrogate=surrogate_name(_surrogate, module),
    )


def cell(module: Any) -> Cell | None:
    """Read the equations of LIF, LIFBox, IAF, LI and LIBox, and recurrent LIF.

    The potential is that above `v_leak`, at which it starts; for IAF, above `v_reset`.

    Raises:
        ParameterError: a setting has no equations here.
    """
    own = type(module).__name__
    name = own.removesuffix("Cell").removesuffix("Recurrent")
    is_recurrent = "Recurrent" in own
    if not hasattr(module, "p") or (is_recurrent and name != "LIF"):
        return None
    settings: dict[str, Any] = {}
    if name in ("LIF", "LIFBox", *_READOUTS):
        # In double precision, 1 - rate leaks by the rate that Norse multiplies with.
        rate = (module.dt * module.p.tau_mem_inv).double()
        settings |= {"keep": 1 - rate, "gain": rate, "rest": module.p.v_leak}
    elif name == "IAF":
        settings["rest"] = module.p.v_reset
    else:
        return None
    keep_current = 0.0
    if name in ("LIF", "LI", "LILinear"):
        rate = fixed(module.dt * module.p.tau_syn_inv, module, "tau_syn_inv")
        keep_current = 1 - rate
    if is_recurrent or name == "LILinear":
        settings["input_weight"] = module.input_weights
    if is_recurrent:
        settings["recurrent"] = module.recurrent_weights
    if name in _READOUTS:
        readout = Dynamics(None, "none", keep_current=keep_current)
        return Cell(readout, returns="potentials", **settings)
    dynamics = Dynamics(
        _surrogate(module),
        _reset(module, settings["rest"]),
        detach_reset=is_recurrent,
        fires_at_threshold=False,
        keep_current=keep_current,
    )
    return Cell(dynamics, threshold=module.p.v_th - settings["rest"], **settings)


def _reset(module: Any, rest: Any) -> Reset:
    method = getattr(module.p, "reset_method", None)
    name = getattr(method, "__name__", "reset_value")
    if name == "reset_subtract":
        if (rest != 0).any():
            raise refuse(module, "reset_subtract with a v_leak", "a v_leak of 0")
        return "subtract"
    if name != "reset_value":
        raise refuse(module, f"the reset_method {name}", "reset_value, reset_subtract")
    if (rest != module.p.v_reset).any():
        raise refuse(module, "a v_reset other than v_leak", "the same")
    return "zero"


def _surrogate(module: Any) -> SurrogateShape:
    method = module.p.method
    alpha = float(module.p.alpha)
    if method == "super":
        return SurrogateShape("fast_sigmoid", 1.0, alpha if _uses_alpha() else 1.0)
    if method == "triangle":
        return SurrogateShape("triangle", alpha)
    if method == "tanh":
        return SurrogateShape("sigmoid", 4.0, 2 * alpha)
    if method == "heavi_erfc":
        root = float(torch.tensor(math.pi).sqrt())  # in float32, as Norse has it
        return SurrogateShape("gaussian", 2 / root, alpha)
    raise refuse(module, f"the method {method}", "super, triangle, tanh, heavi_erfc")


@cache
def _uses_alpha() -> bool:
    """Whether SuperSpike divides by (1 + alpha |x|)^2; Norse 1.1 has no alpha there."""
    function = import_module("norse.torch.functional.threshold").threshold
    x = torch.ones((), requires_grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(x, "super", 3.0), x)
    return bool(slope < 1 / 8)  # 1 / 16, else 1 / 4


SIMULATOR: Final = Simulator(describe, carries_state=True, cell=cell)
