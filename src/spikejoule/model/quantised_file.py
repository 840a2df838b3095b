"""What the files of a quantised network hold besides its weights: widths, grids and integers.

The weights stand under their usual names too, as the float32 numbers that the integers stand for.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import Record
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.integers import floats_of, integers_of, layer_constants, quantisation_of
from spikejoule.model.quantisation import LEAK_ONE, Quantisation

SECTION = "quantisation"
"""The key under which it stands; absent from the files of other networks."""

Exponent = Annotated[int, Field(ge=-150, le=150)]


class QuantisationEntry(Record):
    """A network of integers; the lists have one number for each layer after the input.

    Attributes:
        weight_bits, state_bits: widths of the weights and of the membrane potentials.
        exponents: k of the grid 2^-k.
        thresholds: on the grid.
        leak_factors: m of the leak floor(m u / 256).
        integers: weights int8 [target, source] and biases int32 [target], by name.
    """

    weight_bits: int = Field(ge=2, le=8)
    state_bits: int = Field(ge=16, le=32, multiple_of=16)
    exponents: list[Exponent]
    thresholds: list[Annotated[int, Field(ge=1)]]
    leak_factors: list[Annotated[int, Field(ge=0, le=LEAK_ONE)]]
    integers: dict[str, Any]


def quantisation_section(architecture: Architecture, state: State) -> dict[str, Any]:
    """What files say of a quantised network, under its key; of another, nothing.

    Raises ValueError if the weights do not lie on the grids.
    """
    if architecture.quantisation is None:
        return {}
    quantisation, layers = quantisation_of(architecture), layer_constants(architecture)
    integers = integers_of(architecture, state)
    problem = _integers_problem(architecture, integers, state)
    if problem:
        raise ValueError(problem)
    entry = {
        "weight_bits": quantisation.weight_bits,
        "state_bits": quantisation.state_bits,
        "exponents": list(quantisation.exponents),
        "thresholds": [layer.threshold for layer in layers],
        "leak_factors": [layer.leak for layer in layers],
        "integers": integers,
    }
    return {SECTION: entry}


def quantised_architecture(
    path: str | os.PathLike[str],
    content: Mapping[str, Any],
    architecture: Architecture,
    state: State,
) -> Architecture:
    """The architecture with the widths and grids that a file's content states, if any.

    Raises:
        ArtifactError: they are impossible, or the integers are not those of the weights.
    """
    if SECTION not in content:
        return architecture
    if not isinstance(content[SECTION], Mapping):
        raise ArtifactError(f"{path} must hold a dictionary under {SECTION!r}: write it again.")
    entry = QuantisationEntry.from_content(path, content[SECTION])
    quantisation = Quantisation(entry.weight_bits, entry.state_bits, tuple(entry.exponents))
    try:
        quantised = replace(architecture, quantisation=quantisation)
    except ParameterError as error:
        raise ArtifactError(f"{path} states an impossible architecture: {error}") from error
    if len(entry.exponents) != len(architecture.fan_outs):
        raise ArtifactError(
            f"{path} has grids of {len(entry.exponents)} layers, but {len(architecture.fan_outs)} "
            "layers after the input: write it again."
        )
    layers = layer_constants(quantised)
    stated = [entry.thresholds, entry.leak_factors]
    if stated != [[one.threshold for one in layers], [one.leak for one in layers]]:
        raise ArtifactError(
            f"{path} states thresholds or leaks that are not those of its neurons on their grids: "
            "write it again."
        )
    problem = _integers_problem(quantised, entry.integers, state)
    if problem:
        raise ArtifactError(f"{path} does not fit its own integers: {problem}: write it again.")
    return quantised


def _integers_problem(architecture: Architecture, integers: Mapping[str, Any], state: State) -> str:
    """What keeps integers from being those of a state, in words; empty if nothing."""
    found = {
        name: values.numpy() if isinstance(values, torch.Tensor) else values
        for name, values in integers.items()
    }
    expected = integers_of(architecture, state)
    for name in sorted(found.keys() ^ expected.keys()):
        return f"{name} is {'missing' if name in expected else 'unknown'}"
    values = floats_of(architecture, expected)
    for name, integer in expected.items():
        same = isinstance(found[name], np.ndarray) and found[name].dtype == integer.dtype
        if not (same and np.array_equal(found[name], integer)):
            return f"{name} is not of the integers that the weights stand for"
        if not np.array_equal(values[name], state[name]):
            return f"the weights of {name} do not lie on their grid"
    return ""
