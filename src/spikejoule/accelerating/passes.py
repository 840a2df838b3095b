"""Passes of a model through the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from spikejoule.accelerating.layout import Layout
from spikejoule.accelerating.outputs import Source
from spikejoule.accelerating.stages import Stage, layer_of, products_of, values_of
from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.encoding.encode_images import EncodedImages
from spikejoule.encoding.events import EventList
from spikejoule.engine.differentiable.chain import Chain, Currents, Layer, Shape
from spikejoule.engine.differentiable.function import (
    SPIKE_TYPES,
    ChainOutputs,
    EventFunction,
    LayerValues,
)
from spikejoule.pricing.modules.cells import Cell

MOST_FUNCTIONS: Final = 4
"""Functions that are kept, for samples of different shapes."""


@dataclass(frozen=True)
class Plan:
    """A model as stages, apart from the shape of its samples.

    Attributes:
        stages: first to last.
        sources: what the last stage records.
        dtype: of all tensors.
    """

    stages: tuple[Stage, ...]
    sources: frozenset[Source]
    dtype: torch.dtype

    def chain(self, in_shape: Shape) -> Chain:
        """Return the layers of the engine for samples of a shape.

        Raises:
            ParameterError: the shape does not fit.
        """
        layers: list[Layer] = []
        shape = in_shape
        for stage in self.stages:
            layers.append(layer_of(stage, shape))
            shape = Chain(shape, (layers[-1],)).shapes[-1]
        return Chain(
            in_shape,
            tuple(layers),
            records_spikes="spikes" in self.sources,
            potentials=self.last.potentials if "potentials" in self.sources else None,
        )

    def values(self, chain: Chain) -> list[LayerValues]:
        """Return the values of all layers, as functions of the model's parameters."""
        return [
            values_of(stage, shape, self.dtype)
            for stage, shape in zip(self.stages, chain.shapes[1:], strict=True)
        ]

    def recorded(self, outputs: ChainOutputs) -> dict[Source, Tensor]:
        """Return the spikes and potentials of a pass that the model has, too."""
        recorded: dict[Source, Tensor] = {}
        if outputs.spikes is not None:
            recorded["spikes"] = outputs.spikes
        if outputs.potentials is not None:
            recorded["potentials"] = outputs.potentials + self.last.rest
        return recorded

    @property
    def last(self) -> Cell:
        """The equations of the last neurons."""
        return self.stages[-1].cell


@dataclass(frozen=True, eq=False)
class EnginePass:
    """A pass of a model through the engine, as its observers see it.

    Attributes:
        plan: the model.
        layout: of its samples.
        x: the samples, [T, B, ...].
        outputs: of the engine.
    """

    plan: Plan
    layout: Layout
    x: Tensor | EncodedImages
    outputs: ChainOutputs

    @property
    def n_steps(self) -> int:
        """T."""
        x = self.x
        return x.events.n_steps if isinstance(x, EncodedImages) else len(x)

    @property
    def n_samples(self) -> int:
        """B."""
        return len(self.x) if isinstance(self.x, EncodedImages) else self.x.shape[1]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of the input and of every stage."""
        x = self.x
        in_shape = x.shape if isinstance(x, EncodedImages) else tuple(x.shape[2:])
        return self.plan.chain(in_shape).shapes

    @property
    def values(self) -> Tensor | None:
        """The samples, where the engine did not take them as spikes."""
        if isinstance(self.x, EncodedImages) or self.outputs.events(0) is not None:
            return None
        return self.x.detach()


Observer = Callable[[EnginePass], None]


@dataclass
class Functions:
    """The engine's functions, by what they run."""

    kept: dict[tuple[Chain, torch.dtype], EventFunction] = field(default_factory=dict)

    def of(self, chain: Chain, dtype: torch.dtype) -> EventFunction:
        """Return the function for a chain; a new one replaces all if there are many."""
        key = (chain, dtype)
        if key not in self.kept:
            if len(self.kept) >= MOST_FUNCTIONS:
                self.kept.clear()
            self.kept[key] = EventFunction(chain, dtype)
        return self.kept[key]


def run(plan: Plan, x: Tensor | EncodedImages, functions: Functions) -> ChainOutputs:
    """Run all steps of samples, [T, B, ...].

    Spikes enter the engine as events. What the first neurons receive from real numbers,
    or from spikes that need a gradient, is multiplied by PyTorch.

    Raises:
        DataError, ParameterError: the samples do not fit.
    """
    if isinstance(x, EncodedImages):
        return _by_events(plan, x.events, x.shape, functions)
    if x.ndim < 3:
        raise DataError(
            f"the samples have the shape {tuple(x.shape)}; needed are axes of time, "
            "samples and units."
        )
    first = plan.stages[0]
    has_weights = first.connection is not None or first.cell.input_weight is not None
    if x.requires_grad or not has_weights:
        return _by_products(plan, x, functions)
    spikes = x if x.dtype in SPIKE_TYPES else x.to(plan.dtype)
    try:
        return _by_events(plan, spikes, tuple(x.shape[2:]), functions)
    except ArtifactError:
        # The engine found other values than 0 and 1.
        return _by_products(plan, x, functions)


def _by_events(
    plan: Plan, spikes: Tensor | EventList, in_shape: Shape, functions: Functions
) -> ChainOutputs:
    chain = plan.chain(in_shape)
    return functions.of(chain, plan.dtype)(spikes, plan.values(chain))


def _by_products(plan: Plan, x: Tensor, functions: Functions) -> ChainOutputs:
    """Let PyTorch compute what the first neurons receive, and the engine the rest."""
    whole = plan.chain(tuple(x.shape[2:]))
    received = products_of(plan.stages[0], x.to(plan.dtype))
    shape = tuple(received.shape[2:])
    first = replace(whole.layers[0], connection=Currents(), pooling=None)
    chain = replace(whole, in_shape=shape, layers=(first, *whole.layers[1:]))
    values = plan.values(whole)
    values[0] = replace(values[0], weight=None, bias=None)
    return functions.of(chain, plan.dtype)(received, values)
