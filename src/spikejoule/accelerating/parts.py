"""The modules of a model, in the order in which spikes pass them.

Containers run their modules one after another, so that their order is known. The order
of any other model is found by running it (`tracing`).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from torch import nn

from spikejoule.accelerating.known_cells import KnownCells
from spikejoule.pricing.modules.neurons import PACKAGES

CONTAINERS: Final = (
    "torch.nn.modules.container.Sequential",
    "norse.torch.module.sequential.SequentialState",
    "norse.torch.module.lift.Lift",
    "sinabs.layers.reshape.Repeat",
    "spikingjelly.activation_based.layer.container.MultiStepContainer",
    "spikingjelly.activation_based.layer.container.SeqToANNContainer",
    "spikingjelly.activation_based.layer.container.StepModeContainer",
)
"""Classes whose `forward` does no more than run their modules in order."""


class Part(NamedTuple):
    """A module of a model, by its name there."""

    name: str
    module: nn.Module


def parts_of(model: nn.Module, cells: KnownCells) -> list[Part] | None:
    """Return the modules of a model in their order; None if it is no container."""
    if not _is_container(model):
        return None
    parts: list[Part] = []
    for name, module in model.named_children():
        inner = [Part("", module)]
        if not _is_leaf(module, cells):
            found = parts_of(module, cells)
            if found is None:
                return None
            inner = found
        parts += [
            Part(f"{name}.{part.name}".rstrip("."), part.module) for part in inner
        ]
    return parts


def leaves(model: nn.Module, cells: KnownCells, name: str = "") -> Iterator[Part]:
    """Yield the modules that compute something: neurons, and those without parts."""
    if _is_leaf(model, cells):
        yield Part(name, model)
        return
    for child, module in model.named_children():
        yield from leaves(module, cells, f"{name}.{child}".lstrip("."))


def _is_leaf(module: nn.Module, cells: KnownCells) -> bool:
    """Whether a module is neurons, has no parts, or is a simulator's own."""
    package = type(module).__module__.partition(".")[0]
    is_own = package in PACKAGES and not _is_container(module)
    return is_own or cells.read(module) is not None or not any(module.children())


def _is_container(module: nn.Module) -> bool:
    kind = type(module)
    forward = getattr(kind.forward, "__qualname__", "").rpartition(".")[0]
    module_name = getattr(kind.forward, "__module__", "")
    return f"{module_name}.{forward}" in CONTAINERS
