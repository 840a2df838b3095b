"""All that the next step of an engine depends on, as named arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.model.architecture import Architecture, State

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a network and its optimizer between two batches.

    Attributes:
        learned: the parameters that the optimizer keeps, by name.
        first, second: Adam's moments of each.
        steps_taken: steps of the optimizer so far, at least one.
        masks: False where a synapse is removed, by the name of a weight matrix; empty where nothing
            is pruned.
        exponents: of the grids of a quantised network; empty for another.
        threads: of the CPU, where sums are rounded by their number; 0 where they are not.
    """

    learned: State
    first: State
    second: State
    steps_taken: int
    masks: Mapping[str, NDArray[np.bool_]]
    exponents: tuple[int, ...]
    threads: int = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of `of_arrays`."""
        parts = (self.learned, self.first, self.second, self.masks)
        named = zip(("learned", "first", "second", "mask"), parts, strict=True)
        return {
            **{f"{part}.{name}": array for part, of in named for name, array in of.items()},
            "steps_taken": np.array(self.steps_taken, dtype=np.int64),
            "exponents": np.array(self.exponents, dtype=np.int64),
            "threads": np.array(self.threads, dtype=np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Arrays, architecture: Architecture) -> Self:
        """The snapshot of `arrays`; ArtifactError if it is of another network."""
        by_part: dict[str, dict[str, NDArray[Any]]] = {}
        for full_name, array in arrays.items():
            part, _, name = full_name.partition(".")
            by_part.setdefault(part, {})[name] = array
        shapes = architecture.parameter_shapes()
        for part in ("learned", "first", "second"):
            found = {name: array.shape for name, array in by_part.get(part, {}).items()}
            if found != shapes:
                raise ArtifactError(f"the state holds the {part} of another network")
        masks = by_part.get("mask", {})
        layers = 0 if architecture.quantisation is None else len(architecture.fan_outs)
        exponents = arrays.get("exponents", np.zeros(0))
        if (
            exponents.shape != (layers,)
            or not {"steps_taken", "threads"} <= arrays.keys()
            or any(
                shapes.get(name) != mask.shape or mask.dtype != np.bool_
                for name, mask in masks.items()
            )
        ):
            raise ArtifactError("the state holds grids or masks of another network")
        return cls(
            by_part["learned"],
            by_part["first"],
            by_part["second"],
            int(arrays["steps_taken"]),
            masks,
            tuple(int(exponent) for exponent in exponents),
            int(arrays["threads"]),
        )


def exponents_of(architecture: Architecture) -> tuple[int, ...]:
    """Of the grids of a quantised network; of another, none."""
    return () if architecture.quantisation is None else architecture.quantisation.exponents


def with_exponents(architecture: Architecture, exponents: tuple[int, ...]) -> Architecture:
    """A quantised network with other grids; another as it is."""
    if architecture.quantisation is None:
        return architecture
    return replace(
        architecture, quantisation=replace(architecture.quantisation, exponents=exponents)
    )
