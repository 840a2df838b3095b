"""Track the energy of a training in your own loop.

    with spikejoule.track(model, optimizer, time_axis=0) as tracker:
        for epoch in range(10):
            ...
            tracker.end_epoch()
    print(tracker)

The loop stays as it is: hooks on the model, its parameters and its optimizers count.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, InstanceOf
from torch import nn
from torch.nn.parameter import is_lazy

from spikejoule.accelerating.accelerated import Accelerated
from spikejoule.core.errors import ParameterError
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.pricing.arguments import checked
from spikejoule.pricing.modules.neurons import Describe, Known, Population
from spikejoule.pricing.running.samples import TimeAxis
from spikejoule.tracker.engine_passes import EnginePassCounter
from spikejoule.tracker.passes import PassCounter, Steps
from spikejoule.tracker.tracker import Tracker


@checked
def track(
    model: nn.Module,
    optimizer: Any,
    *,
    time_axis: TimeAxis,
    loop_steps: Annotated[int, Field(ge=1)] = 1,
    neurons: Mapping[type, InstanceOf[Population] | Describe] | None = None,
    profile: str | None = None,
) -> Tracker:
    """Count a training, and price what it does.

    Passes in training mode with gradients are counted forward and backward, and each
    step of an optimizer. All other passes, such as validation, are counted apart.

    Args:
        model: spiking or conventional, of snnTorch, SpikingJelly, Norse, Sinabs or
            plain PyTorch, as for `spikejoule.price`; or accelerated
            (`spikejoule.accelerate`), with the counts of the model itself.
        optimizer: of its parameters (Adam, AdamW, RMSprop, SGD), or a list of several.
        time_axis: the time axis of the model's input: 0 for [T, B, ...], 1 for
            [B, T, ...], ``none`` for input without time.
        loop_steps: how often your loop calls the model for a batch, if it calls it for
            each time step; the input then has no time axis.
        neurons: your own classes of neurons:
            ``{MyNeuron: Population(surrogate="arctangent")}``.
        profile: id of the price list; None for the first that includes memory.

    Returns:
        the tracker, a context manager: run the loop in its block, then print it.

    Raises:
        ParameterError: an argument is not allowed. Inside the block also, where a
            training cannot be counted: mixed precision (``torch.autocast``), several
            backward passes for a forward pass, or parameters that are frozen meanwhile.
        ArtifactError: at the end of the block, if nothing was trained, or no weights
            can be counted.
    """
    if any(is_lazy(x) for x in model.parameters()):
        raise ParameterError(
            "the model has lazy layers without a shape: run it on a batch first."
        )
    if loop_steps > 1 and time_axis != "none":
        raise ParameterError(
            f"loop_steps is {loop_steps}, so the model takes single steps: set "
            "time_axis='none'."
        )
    prices = headline_profile(load_profiles(None), profile, "profile")
    if not isinstance(model, Accelerated):
        known = Known.of(model, neurons)
        passes = PassCounter(model, known, Steps(time_axis, loop_steps))
        return Tracker(model, optimizer, passes, prices)
    if loop_steps > 1:
        raise ParameterError(
            f"loop_steps is {loop_steps}, but an accelerated model takes all steps in "
            "one call: leave loop_steps out."
        )
    known = Known.of(model.model, neurons)
    by_engine = EnginePassCounter(model, known, time_axis)
    return Tracker(model.model, optimizer, by_engine, prices)
