"""SpikingJelly: a module takes one step, or all of them, [T, B, ...], by its
`step_mode`.

`LinearRecurrentContainer` multiplies what it takes and what its neurons have given in
the step before with one matrix, `rc`: these are two connections here.
"""

from typing import Any, Final

from spikejoule.pricing.neurons import Population, Simulator, class_names


def describe(module: Any) -> Population | None:
    """Neurons whose states leak by constants; others (QIF, Izhikevich, ...) are not
    known.
    """
    names = class_names(module)
    if "LinearRecurrentContainer" in names:
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
    # Classes of one's own work as the simulator's class that they are derived from.
    name = next(
        (
            kind.__name__
            for kind in type(module).__mro__
            if kind.__module__.startswith("spikingjelly")
        ),
        "",
    )
    if name in ("IFNode", "SimpleIFNode"):
        return Population(keeps=(), time=time(module))
    if name in ("LIFNode", "SimpleLIFNode"):
        return Population(keeps=(1 - 1 / module.tau,), time=time(module))
    if name == "ParametricLIFNode":
        return Population(keeps=(1 - module.w.detach().sigmoid(),), time=time(module))
    if name == "CUBALIFNode":
        return Population(
            keeps=(module.v_decay, module.c_decay), states=2, time=time(module)
        )
    return None


def reset(module: Any) -> None:
    """As of `functional.reset_net`."""
    if "MemoryModule" in class_names(module):
        module.reset()


def time(module: Any) -> int | None:
    """The first axis in multi-step mode."""
    return 0 if getattr(module, "step_mode", "s") == "m" else None


SIMULATOR: Final = Simulator(describe, reset, time)
