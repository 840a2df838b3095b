"""The module that runs and trains a user's model by events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikejoule.accelerating.known_cells import KnownCells, Own
from spikejoule.accelerating.layout import Layout, layout_of
from spikejoule.accelerating.outputs import (
    Output,
    Source,
    leaves_of,
    map_leaves,
    outputs_like,
)
from spikejoule.accelerating.parts import Part, parts_of
from spikejoule.accelerating.passes import (
    EnginePass,
    Functions,
    Observer,
    Plan,
    run,
)
from spikejoule.accelerating.stages import check_hooks, is_dropout, stages_of
from spikejoule.accelerating.tracing import traced
from spikejoule.core.errors import ParameterError
from spikejoule.encoding.encode_images import EncodedImages

TRACED_SAMPLES: Final = 4
"""Samples of a batch that a model runs on to find its order."""


@dataclass(frozen=True)
class Reading:
    """What is known of a model, apart from its values.

    Attributes:
        names: of its modules, in the order of one step.
        layout: the axes of its samples.
        outputs: the tree of its output, with an `Output` for each tensor; None for what
            its last neurons return.
    """

    names: tuple[str, ...]
    layout: Layout
    outputs: Any = None


@dataclass
class _Memory:
    """What a module can make again, and neither copies nor stores."""

    cells: KnownCells | None = None
    functions: Functions = field(default_factory=Functions)
    observers: list[Observer] = field(default_factory=list)

    def __reduce__(self) -> Any:
        return type(self), ()


class Accelerated(nn.Module):
    """A model that runs by events; `accelerate` makes it.

    Attributes:
        model: the original, which has the parameters.
        counts: the spikes of the last pass, over all steps and samples: those of the
            ``input``, and of each layer by the name of its neurons. Empty before the
            first pass.
    """

    counts: dict[str, int]

    def __init__(self, model: nn.Module, own: Own) -> None:
        super().__init__()
        self.model = model
        self.counts = {}
        self._own = own
        self._memory = _Memory()
        self._reading: Reading | None = None
        check_hooks(model)
        parts = parts_of(model, self._cells)
        if parts is not None:
            stages_of(parts, self._cells)
            names = tuple(part.name for part in parts)
            self._reading = Reading(names, layout_of(parts, self._cells))
        self.training = model.training

    def read(self, example: Tensor | EncodedImages) -> None:
        """Find the order of the model's modules by running it on samples.

        Raises:
            ParameterError: the model cannot be run by events.
        """
        check_hooks(self.model)
        x = _dense(example).to(self._dtype())
        found = traced(self.model, self._cells, x)
        names = tuple(part.name for part in found.parts)
        reading = Reading(names, found.layout, (Output("spikes"), Output("potentials")))
        if self._plan(reading).last.dynamics.surrogate is None:
            reading = replace(reading, outputs=(Output("potentials"),))
        with torch.no_grad():
            tensors = self._run(reading, reading.layout.by_step(x))
        sources = [output.source for output in reading.outputs]
        recorded = dict(zip(sources, tensors, strict=True))
        self._reading = replace(reading, outputs=outputs_like(found.output, recorded))
        self.counts = {}

    def forward(self, x: Tensor | EncodedImages) -> Any:
        """Run the model on a batch, from the state after a reset.

        Args:
            x: samples as the model takes them; a model that takes one step gets all of
                them, [T, B, ...]. Spikes may be of any type; real numbers are
                multiplied by PyTorch. Or samples from `spikejoule.encode`.

        Returns:
            what the model returns; of one that returns a step's output, that of all
            steps, [T, B, ...]. Potentials are returned where the model returns them.

        Raises:
            ParameterError: the model cannot be run by events.
            DataError: the samples do not fit.
        """
        if self._reading is None:
            self.read(x)
        assert self._reading is not None
        if not isinstance(x, EncodedImages):
            x = self._reading.layout.by_step(x)
        return self._run(self._reading, x, self._memory.observers)

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[None]:
        """Call an observer after each pass, inside the block."""
        self._memory.observers.append(observer)
        try:
            yield
        finally:
            self._memory.observers.remove(observer)

    @property
    def _cells(self) -> KnownCells:
        if self._memory.cells is None:
            self._memory.cells = KnownCells.of(self.model, self._own)
        return self._memory.cells

    def _dtype(self) -> torch.dtype:
        """Return the type of the parameters.

        Raises:
            ParameterError: it is not that of the engine, or they are on another device.
        """
        first = next(self.model.parameters(), torch.zeros(0))
        if first.dtype not in (torch.float32, torch.float64) or first.is_cuda:
            raise ParameterError(
                f"the model's parameters are {first.dtype} on {first.device}; allowed "
                "are float32 or float64 on the CPU."
            )
        return first.dtype

    def _plan(self, reading: Reading) -> Plan:
        """Return the model as layers of the engine.

        Raises:
            ParameterError: dropout would change spikes, or a module has hooks.
        """
        check_hooks(self.model)
        parts = [Part(name, self.model.get_submodule(name)) for name in reading.names]
        for name, module in parts:
            dropout: Any = module
            if is_dropout(module) and module.training and dropout.p > 0:
                raise ParameterError(
                    f"{name} drops spikes in training mode; allowed is p=0, or eval()."
                )
        stages = stages_of(parts, self._cells)
        if reading.outputs is not None:
            sources: set[Source] = {
                output.source for output in leaves_of(reading.outputs)
            }
        elif stages[-1].cell.returns == "both":
            sources = {"spikes", "potentials"}
        else:
            sources = {stages[-1].cell.returns}
        return Plan(tuple(stages), frozenset(sources), self._dtype())

    def _run(
        self,
        reading: Reading,
        x: Tensor | EncodedImages,
        observers: Sequence[Observer] = (),
    ) -> Any:
        """Run all steps of samples, [T, B, ...]; return the outputs of a reading."""
        plan = self._plan(reading)
        outputs = run(plan, x, self._memory.functions)
        names = ["input", *(stage.name for stage in plan.stages)]
        self.counts = dict(zip(names, outputs.counts, strict=True))
        for observe in observers:
            observe(EnginePass(plan, reading.layout, x, outputs))
        recorded = plan.recorded(outputs)
        if reading.outputs is not None:
            return map_leaves(reading.outputs, lambda output: output.of(recorded))
        as_given = reading.layout.as_given
        # A tuple where the last neurons return both: spikes, then potentials.
        made = tuple(as_given(tensor) for tensor in recorded.values())
        return made[0] if len(made) == 1 else made


def _dense(samples: Tensor | EncodedImages) -> Tensor:
    if isinstance(samples, EncodedImages):
        return torch.from_numpy(samples[:TRACED_SAMPLES].to_dense())
    return samples
