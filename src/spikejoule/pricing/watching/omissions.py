"""What of a model was not counted: functions, and weights that no count contains."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from spikejoule.pricing.functions.watch import FunctionWatch
from spikejoule.pricing.modules.layers import WEIGHTED
from spikejoule.pricing.modules.parts import Functions, Omission, Part
from spikejoule.pricing.tensors.nested import memory_of
from spikejoule.pricing.watching.unknown_neurons import UnknownNeurons

Accepted = bool | str | Sequence[str]
"""Which omissions a user accepts: all, none, or those of some names."""


def accepted(omissions: Iterable[Omission], names: Accepted) -> list[Omission]:
    """Return the omissions that are accepted.

    Args:
        omissions: of a model.
        names: of functions, classes or modules (`Omission.is_among`); True for all.
    """
    if isinstance(names, bool):
        return [*omissions] if names else []
    chosen = (names,) if isinstance(names, str) else names
    return [omission for omission in omissions if omission.is_among(chosen)]


def omissions(
    functions: FunctionWatch,
    unknown_neurons: UnknownNeurons,
    parts: Collection[Part],
    ran: set[nn.Module],
) -> dict[str, Omission]:
    """Return what was not counted, by the names of parts and weights.

    Args:
        functions: the functions of the model.
        unknown_neurons: modules that may be neurons.
        parts: its modules.
        ran: the modules that are counted.
    """
    found = {
        part.name: part.omission(names, unknown_neurons.consequence(part))
        for part, names in functions.reported.items()
    }
    for part in parts:
        population = part.population
        if population is not None and population.uncounted and part.layer in ran:
            found.setdefault(part.name, part.omission(population.uncounted))
    # A layer that shares its weight with a layer that ran is no omission.
    used = {memory_of(layer.weight) for layer in ran if isinstance(layer, WEIGHTED)}
    for part in parts:
        for omission in _unused(part, functions, ran, used):
            found.setdefault(omission.name, omission)
    return found


def _unused(
    part: Part, functions: FunctionWatch, ran: set[nn.Module], used: set[int]
) -> Iterator[Omission]:
    """Yield a part, or its weights, that no count contains.

    `used` is the memory of the weights of the modules that `ran`.
    """
    module: Any = part.layer
    class_name = type(module).__name__
    weights = dict(module.named_parameters(recurse=False, remove_duplicate=False))
    # Those that functions outside counted modules have read.
    read = {
        name: weight
        for name, weight in weights.items()
        if weight.untyped_storage() in functions.origins.read
    }
    if part.functions is Functions.DESCRIBED:
        for name, weight in read.items():
            if weight.ndim > 1 and memory_of(weight) not in used:
                reason = "a matrix, which its Population does not name"
                yield Omission(f"{part.name}.{name}", reason=reason)
    elif not read:
        if part.functions is Functions.REPORTED and weights:
            yield Omission(part.name, class_name, reason="which has parameters")
        is_layer = isinstance(module, WEIGHTED) and module not in ran
        if is_layer and memory_of(module.weight) not in used:
            yield Omission(part.name, class_name, reason="never called")
