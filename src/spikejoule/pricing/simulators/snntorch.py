"""snnTorch: modules take one step, and keep their states or take and return them.

Its default reset is delayed: the potential of a neuron that has spiked is lowered in
the next step. For prices a reset is counted with its spike.
"""

import math
from typing import Any, Final

import torch
from torch import nn

from spikejoule.engine.differentiable.dynamics import Dynamics, Reset, SurrogateShape
from spikejoule.pricing.modules.cells import Cell, refuse, surrogate_name
from spikejoule.pricing.modules.layers import OverTime
from spikejoule.pricing.modules.neurons import Population, Simulator, class_names

_STATES: Final = {
    "Leaky": 1,
    "Lapicque": 1,
    "RLeaky": 1,
    "Synaptic": 2,
    "RSynaptic": 2,
    "Alpha": 3,
}


def describe(module: Any) -> Population | None:
    """Describe the neurons that have no weights but recurrent ones, and StateLeaky."""
    names = class_names(module)
    if "StateLeaky" in names:
        return _state_leaky(module)
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
        surrogate=surrogate_name(_surrogate, module),
    )


def _state_leaky(module: Any) -> Population:
    """Describe StateLeaky, and LinearLeaky, which has a layer of its own before it.

    Its potential is the sum of all inputs, each times exp(-age / tau), computed as a
    convolution. That is a leaky potential without a reset. A truncated sum is not: it
    multiplies each input in as many steps as it has weights.
    """
    keep = torch.exp(-1 / module.tau.detach())
    n_weights = module.kernel_truncation_steps
    over_time = None
    if n_weights is not None:
        ages = torch.arange(n_weights - 1, -1, -1)
        # Learned for each channel or not, all channels have as many.
        over_time = OverTime.of(keep.reshape(-1)[0] ** ages, n_weights)
    return Population(
        keeps=() if over_time else (keep,),
        resets=False,
        fires=module.output,
        graded=bool((module.graded_spikes_factor != 1).any()),
        time=0,
        input=getattr(module, "linear", None),
        over_time=over_time,
        threshold=module.threshold,
        gain=1.0,
        surrogate=surrogate_name(_surrogate, module),
    )


def reset(module: Any) -> None:
    """Set potentials and currents to zero."""
    if "SpikingNeuron" in class_names(module) and hasattr(module, "reset_mem"):
        module.reset_mem()


def cell(module: Any) -> Cell | None:
    """Read the equations of Leaky, RLeaky and Lapicque.

    Raises:
        ParameterError: a setting has no equations here.
    """
    kind = type(module).__name__
    if kind not in ("Leaky", "RLeaky", "Lapicque"):
        return None
    if "SpikingNeuron" not in class_names(module):
        return None
    if module.inhibition:
        raise refuse(module, "inhibition=True", "False")
    if module.state_quant:
        raise refuse(module, "state_quant", "False")
    if (module.graded_spikes_factor != 1).any():
        raise refuse(module, "a graded_spikes_factor other than 1", "1")
    settings: dict[str, Any] = {"keep": module.beta.clamp(0, 1)}
    if kind == "Lapicque":
        settings = _lapicque(module)
    if kind == "RLeaky":
        settings |= _recurrent(module)
    is_delayed = getattr(module, "reset_delay", True)
    dynamics = Dynamics(
        _surrogate(module),
        _reset(module, is_delayed),
        detach_reset=is_delayed,
        fires_at_threshold=False,
    )
    returns_both = module.output or not module.init_hidden
    return Cell(
        dynamics,
        threshold=module.threshold,
        returns="both" if returns_both else "spikes",
        potentials="before_reset" if is_delayed else "after_reset",
        **settings,
    )


def _reset(module: Any, is_delayed: bool) -> Reset:
    """Return the reset; a delayed one acts when the next input has arrived.

    Leaky zeroes the potential before it adds that input, which is the same as zeroing
    it at once; the others zero the sum.
    """
    function = module.state_function.__name__
    if function == "_base_int":
        return "none"
    if function == "_base_zero":
        is_leaky = type(module).__name__ == "Leaky"
        return "zero" if is_leaky or not is_delayed else "zero_next"
    if is_delayed:
        return "subtract_next"
    # Where the lowered potential is still above the threshold, snnTorch lowers it
    # again in the next step, and takes that back if there is no spike.
    raise refuse(
        module,
        "reset_mechanism='subtract' with reset_delay=False",
        "reset_delay=True, or 'zero'",
    )


def _lapicque(module: Any) -> dict[str, Any]:
    rate = module.time_step / (module.R * module.C)
    if rate.requires_grad:
        raise refuse(module, "learn_beta=True", "False")
    return {"keep": 1 - rate, "gain": module.R * rate}


def _recurrent(module: Any) -> dict[str, Any]:
    weights = module.recurrent
    if isinstance(weights, nn.Linear):
        return {"recurrent": weights.weight, "recurrent_bias": weights.bias}
    if hasattr(weights, "V"):
        return {"recurrent": torch.as_tensor(weights.V)}
    raise refuse(
        module, f"recurrent weights in {type(weights).__name__}", "Linear, or V"
    )


def _surrogate(module: Any) -> SurrogateShape:
    """Read the surrogate, a function whose closure has its constants."""
    function = module.spike_grad
    name = getattr(function, "__qualname__", type(function).__name__).partition(".")[0]
    if getattr(function, "__module__", "") != "snntorch.surrogate":
        name = f"{name}, which is not snnTorch's own"
    elif name == "atan":
        alpha = _constant(function, "alpha")
        return SurrogateShape("arctangent", alpha / 2, math.pi / 2 * alpha)
    elif name == "fast_sigmoid":
        return SurrogateShape("fast_sigmoid", 1.0, _constant(function, "slope"))
    elif name == "sigmoid":
        slope = _constant(function, "slope")
        return SurrogateShape("sigmoid", slope, slope)
    elif name == "straight_through_estimator":
        return SurrogateShape("constant")
    elif name == "heaviside":
        return SurrogateShape("sides")
    allowed = "atan, fast_sigmoid, sigmoid, straight_through_estimator, heaviside"
    raise refuse(module, f"the surrogate {name}", allowed)


def _constant(function: Any, name: str) -> float:
    # What `inspect.getclosurevars` looks up, without its analysis of the code, which
    # would take a tenth of a pass through the engine.
    place = function.__code__.co_freevars.index(name)
    return float(function.__closure__[place].cell_contents)


SIMULATOR: Final = Simulator(describe, reset, cell=cell)
