"""SpikingJelly: a module takes one step, or all of them, [T, B, ...], by its
`step_mode`.

`LinearRecurrentContainer` multiplies its input and its neurons' last spikes with one
matrix, `rc`: these are two connections here.
"""

import math
from dataclasses import replace
from typing import Any, Final

from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
from spikejoule.pricing.modules.cells import Cell, fixed, refuse, surrogate_name
from spikejoule.pricing.modules.layers import OverTime
from spikejoule.pricing.modules.neurons import (
    Factor,
    Population,
    Simulator,
    class_names,
)


def describe(module: Any) -> Population | None:
    """Describe neurons with constant leaks; QIF and Izhikevich are not known."""
    if "LinearRecurrentContainer" in class_names(module):
        weight = module.rc.weight.detach()
        n_in = weight.shape[1] - module.sub_module_out_features
        return Population(
            is_wiring=True,
            input=weight[:, :n_in],
            recurrent=weight[:, n_in:],
            holds=(module.rc,),
            bias=module.rc.bias,
            time=time(module),
        )
    other = _OTHERS.get(_simulator_class(module))
    if other is not None:
        return other(module)
    constants = _constants(module)
    if constants is None:
        return None
    keeps, gain = constants
    return Population(
        keeps=keeps,
        states=max(1, len(keeps)),
        time=time(module),
        threshold=module.v_threshold,
        gain=gain,
        surrogate=surrogate_name(_surrogate, module),
    )


def _constants(module: Any) -> tuple[tuple[Factor, ...], Factor] | None:
    """Return the leaks and the input gain of known neurons."""
    name = _simulator_class(module)
    if name in ("IFNode", "SimpleIFNode"):
        return (), 1.0
    if name == "CUBALIFNode":
        return (module.v_decay, module.c_decay), 1.0
    if name in ("LIFNode", "SimpleLIFNode", "SLTTLIFNode", "OTTTLIFNode"):
        rate = 1 / module.tau
    elif name == "ParametricLIFNode":
        rate = module.w.detach().sigmoid()
    else:
        return None
    # In training, the trace of OTTT's spikes leaks, too.
    n_states = 2 if name == "OTTTLIFNode" and module.training else 1
    return (1 - rate,) * n_states, rate if module.decay_input else 1.0


def _psn(module: Any) -> Population:
    """Describe parallel spiking neurons, which sum their input over time.

    H = W X, and spikes where H + B >= 0: a weight for each pair of steps (PSN), for the
    last k steps (MaskedPSN), or the same k weights in each step (SlidingPSN). Fang et
    al., NeurIPS 2023, arXiv:2304.12760. One step after another, they keep their last
    inputs in a queue; then their products are not counted.
    """
    name = _simulator_class(module)
    over_time = None
    if name == "PSN":
        over_time = OverTime.of(module.weight)
    elif name == "SlidingPSN":
        over_time = OverTime.of(module.weight, module.k)
    else:
        is_masked = bool(module.lambda_ >= 1)
        over_time = OverTime.of(
            module.masked_weight().detach(), module.k if is_masked else None
        )
    is_whole = name == "PSN" or module.step_mode == "m"
    return Population(
        keeps=(),
        resets=False,
        time=0 if is_whole else None,
        over_time=over_time if is_whole else None,
        surrogate=surrogate_name(_surrogate, module),
        uncounted=() if is_whole else ("products with its last inputs",),
    )


def _complementary(module: Any) -> Population:
    """Describe CLIF: Huang et al., ICML 2024, arXiv:2402.04663.

    In a step the potential leaks, H = (1 - 1 / tau) V + X, and so does the second one,
    M = M sigmoid(H / tau) + S. A spike lowers V by the threshold and by sigmoid(M).
    """
    return Population(
        keeps=(1 - 1 / module.tau,),
        states=2,
        multiplications=2,
        resets=2,
        time=time(module),
        threshold=module.v_threshold,
        gain=1.0,
        surrogate=surrogate_name(_surrogate, module),
        uncounted=("sigmoid",),
    )


def _gated(module: Any) -> Population:
    """Describe GLIF: Yao et al., NeurIPS 2022, arXiv:2210.13768.

    In a step the potential leaks, the input has a factor that differs between steps,
    and a constant is subtracted. A spike lowers the potential by a fraction of itself
    and by a constant.
    """
    alpha, tau = (x.detach().sigmoid() for x in (module.alpha, module.tau))
    return Population(
        keeps=(1 - alpha * (1 - tau),),
        multiplications=1,
        constants=1,
        resets=2,
        reset_multiplications=1,
        time=0,
        threshold=module.v_threshold.detach().sigmoid(),
        surrogate=surrogate_name(_surrogate, module),
    )


_OTHERS: Final = {
    **dict.fromkeys(("PSN", "MaskedPSN", "SlidingPSN"), _psn),
    "ComplementaryLIFNode": _complementary,
    "GatedLIFNode": _gated,
}
"""Neurons with equations of their own, by class."""


def _simulator_class(module: Any) -> str:
    """Return the name of the SpikingJelly class that a user's class is derived from."""
    for base in type(module).__mro__:
        if base.__module__.startswith("spikingjelly"):
            return base.__name__
    return ""


def reset(module: Any) -> None:
    """Do for a module what `functional.reset_net` does."""
    if "MemoryModule" in class_names(module):
        module.reset()


def time(module: Any) -> int | None:
    """Return the first axis in multi-step mode, None in single-step mode."""
    return 0 if getattr(module, "step_mode", "s") == "m" else None


def cell(module: Any) -> Cell | None:
    """Read the equations of IF, LIF, ParametricLIF and CUBALIF nodes.

    The potential is that above `v_reset`, at which it starts and to which it leaks.

    Raises:
        ParameterError: a setting has no equations here.
    """
    if "LinearRecurrentContainer" in class_names(module):
        return _recurrent(module)
    name = _simulator_class(module)
    if type(module).__name__ != name:
        return None
    rest = module.v_reset or 0.0 if hasattr(module, "v_reset") else 0.0
    settings: dict[str, Any] = {}
    keep_current = 0.0
    if name in ("IFNode", "SimpleIFNode"):
        settings["keep"] = 1.0
    elif name in ("LIFNode", "SimpleLIFNode", "ParametricLIFNode"):
        is_learned = name == "ParametricLIFNode"
        rate = module.w.sigmoid() if is_learned else 1 / module.tau
        settings["keep"] = 1 - rate
        settings["gain"] = rate if module.decay_input else 1.0
    elif name == "CUBALIFNode":
        settings["keep"] = module.v_decay
        keep_current = fixed(module.c_decay, module, "c_decay")
    else:
        return None
    if rest and name in ("SimpleIFNode", "SimpleLIFNode", "CUBALIFNode"):
        raise refuse(module, f"v_reset={rest:g}", "0 or None")
    dynamics = Dynamics(
        _surrogate(module),
        reset="subtract" if module.v_reset is None else "zero",
        detach_reset=module.detach_reset,
        keep_current=keep_current,
    )
    return Cell(dynamics, threshold=module.v_threshold - rest, rest=rest, **settings)


def _recurrent(module: Any) -> Cell:
    """Read the equations of neurons with one matrix for the input and their spikes."""
    neurons = cell(module.sub_module)
    weight = module.rc.weight
    n_in = weight.shape[1] - module.sub_module_out_features
    if neurons is None or n_in != module.sub_module_out_features:
        inner = type(module.sub_module).__name__
        raise refuse(module, f"the submodule {inner}", "IFNode, LIFNode and their like")
    return replace(
        neurons,
        input_weight=weight[:, :n_in],
        input_bias=module.rc.bias,
        recurrent=weight[:, n_in:],
    )


def _surrogate(module: Any) -> SurrogateShape:
    function = module.surrogate_function
    name = type(function).__name__
    alpha = getattr(function, "alpha", 0.0)
    known = {
        "ATan": lambda: SurrogateShape("arctangent", alpha / 2, math.pi / 2 * alpha),
        "DeterministicPass": lambda: SurrogateShape("constant"),
        "Erf": lambda: SurrogateShape("gaussian", alpha / math.sqrt(math.pi), alpha),
        "LeakyKReLU": lambda: _of_two_values("sides", function.k, 1.0, function.leak),
        "PiecewiseExp": lambda: SurrogateShape("exponential", alpha / 2, alpha),
        "PiecewiseLeakyReLU": lambda: _of_two_values(
            "boxcar", 1 / (2 * function.w), 1 / function.w, function.c
        ),
        "PiecewiseQuadratic": lambda: SurrogateShape("triangle", alpha, alpha),
        "Sigmoid": lambda: SurrogateShape("sigmoid", alpha, alpha),
        "SoftSign": lambda: SurrogateShape("fast_sigmoid", alpha / 2, alpha),
        "SuperSpike": lambda: SurrogateShape("fast_sigmoid", alpha, 1.0),
    }
    is_own = type(function).__module__.startswith("spikingjelly")
    if name not in known or not is_own or not function.spiking:
        raise refuse(module, f"the surrogate {name}", ", ".join(known))
    return known[name]()


def _of_two_values(
    shape: Any, height: float, slope: float, other: float
) -> SurrogateShape:
    """Return a surrogate that is `height` on one side and `other` elsewhere."""
    return SurrogateShape(shape, height, slope, floor=other / height)


SIMULATOR: Final = Simulator(describe, reset, time, cell=cell)
