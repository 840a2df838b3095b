"""SpikingJelly: a module takes one step, or all of them, [T, B, ...], by its
`step_mode`.

`LinearRecurrentContainer` multiplies its input and its neurons' last spikes with one
matrix, `rc`: these are two connections here.
"""

from typing import Any, Final

from spikejoule.pricing.neurons import Factor, Population, Simulator, class_names

_SURROGATES: Final = {
    "ATan": "arctangent",
    "Sigmoid": "sigmoid",
    "PiecewiseQuadratic": "triangle",
    "SuperSpike": "fast_sigmoid",
    "Rect": "boxcar",
}


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
        surrogate=_SURROGATES.get(type(module.surrogate_function).__name__),
    )


def _constants(module: Any) -> tuple[tuple[Factor, ...], Factor] | None:
    """Return the leaks and the input gain of known neurons."""
    name = _simulator_class(module)
    if name in ("IFNode", "SimpleIFNode"):
        return (), 1.0
    if name == "CUBALIFNode":
        return (module.v_decay, module.c_decay), 1.0
    if name in ("LIFNode", "SimpleLIFNode"):
        rate = 1 / module.tau
    elif name == "ParametricLIFNode":
        rate = module.w.detach().sigmoid()
    else:
        return None
    return (1 - rate,), rate if module.decay_input else 1.0


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


SIMULATOR: Final = Simulator(describe, reset, time)
