"""Places: a module called with one input shape, and everything counted there.

A module that runs with several shapes has several places. Whole numbers are spikes. A
place that ever receives any other number, or is fed by neurons with graded spikes,
receives values: each product there is a multiply-accumulate.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.network.nodes import Shape
from spikejoule.pricing.functions.product_forms import Operand
from spikejoule.pricing.modules.layers import NORMS, POOLING, WEIGHTED, Scale, fan_out
from spikejoule.pricing.modules.neurons import Population
from spikejoule.pricing.modules.parts import Omission
from spikejoule.pricing.tensors.amounts import Amounts, Counts, SampleSums
from spikejoule.pricing.tensors.contents import (
    MAX_EXACT_FLOAT32,
    TensorContents,
    counts_of,
    nonzero_marks,
)


@dataclass(eq=False)
class ModulePlace:
    """A module called with one input shape, and its counts.

    Attributes:
        name: in the model; numbered if the module runs with several shapes.
        module: the PyTorch module; for weights held by neurons, a layer made of them.
        in_shape, out_shape: of one sample and step.
        fan_out: synapses, or pooling windows, reached by each input unit, int64 [n_in];
            None for modules that have neither.
        population: how its neurons are counted; None without neurons.
        sizes: samples of each batch.
        has_bias: whether a constant is added to each output.
        steps: time steps it took.
        sources: what each source sends here, by the source's name, in the order in
            which the sources first appeared.
        reached: synapses or windows that its input reached.
        emitted: what its own units emit.
        receives_values: whether it ever received a number that is no spike.
        emits_values: whether it ever emitted one.
        emits_nearly_whole: whether its neurons emit almost whole numbers.
        rescales_sums: whether it is a norm that may become a part of the layer before:
            like the layer's sums, its output is only counted where weights read it.
        peak: the largest number that a unit sent here.
        whole_inputs: how often it took all steps of the samples from the input, in the
            last batch.
        sides: of a product without weights, by ``left`` and ``right``: the same place
            where only this side sends.
        fired: 1 where a unit has sent something in a sample of this batch, else 0,
            [B, n_in]; None before any has.
        nonzero_products: of two sides, those whose factors are both not zero; None for
            weights.
        touched: synapses that a unit reached at least once in a sample.
    """

    name: str
    module: nn.Module
    in_shape: Shape
    out_shape: Shape
    fan_out: NDArray[np.int64] | None
    population: Population | None
    sizes: list[int]
    sources: dict[str, Amounts] = field(default_factory=dict)
    receives_values: bool = False
    emits_values: bool = False
    emits_nearly_whole: bool = False
    rescales_sums: bool = False
    peak: float = 0.0
    whole_inputs: int = 0
    sides: dict[str, "ModulePlace"] = field(default_factory=dict)
    fired: Tensor | None = None
    nonzero_products: SampleSums | None = None

    def __post_init__(self) -> None:
        self.steps = SampleSums(self.sizes)
        self.reached = Amounts(self.sizes)
        self.emitted = Amounts(self.sizes)
        self.touched = SampleSums(self.sizes)
        self.has_bias = (
            isinstance(self.module, WEIGHTED) and self.module.bias is not None
        )
        # In a fully connected layer every unit has the same fan-out: one product of
        # the total is enough, and no vector is needed. 0 where fan-outs differ.
        self._common_fan_out = 0
        if self.fan_out is not None:
            if np.ptp(self.fan_out) == 0:
                self._common_fan_out = int(self.fan_out[0])
            # In a convolution, the channels: what is left are positions of its kernel.
            self._fan_out_unit = max(int(np.gcd.reduce(self.fan_out)), 1)
            self._most_units = int(self.fan_out.max()) // self._fan_out_unit
        self._fan_out_units: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @property
    def n_out(self) -> int:
        """Number of output units."""
        return int(np.prod(self.out_shape))

    @property
    def unit_steps(self) -> Counts:
        """Output units times the steps of each sample, [N]."""
        return self.n_out * self.steps.per_sample

    @property
    def n_reached(self) -> Counts:
        """Synapses or windows that spikes, or else values, reached here, [N]."""
        reached = self.reached.nonzero if self.receives_values else self.reached.spikes
        return reached.per_sample

    @property
    def fires(self) -> bool:
        """Whether it holds spiking neurons."""
        return self.population is not None and self.population.fires

    @property
    def took_one_step(self) -> bool:
        """Whether it took only one step in the last batch."""
        return bool((self.steps.of_batch(len(self.sizes) - 1) == 1).any())

    def units_of(self, batch: int) -> NDArray[np.int64]:
        """Return steps, and units that received and emitted, of samples: [3, B]."""
        received = sum(
            source.nonzero.of_batch(batch) for source in self.sources.values()
        )
        steps = self.steps.of_batch(batch)
        emitted = self.emitted.nonzero.of_batch(batch)
        return np.stack([steps, received + 0 * steps, emitted])

    @property
    def sums(self) -> Iterator[SampleSums]:
        """Every count."""
        yield from (self.steps, self.touched, *self.reached.sums, *self.emitted.sums)
        if self.nonzero_products is not None:
            yield self.nonzero_products
        for source in self.sources.values():
            yield from source.sums
        for side in self.sides.values():
            yield from side.reached.sums
            for source in side.sources.values():
                yield from source.sums

    def note_fired(self, by_step: Tensor | Sequence[Tensor], are_spikes: bool) -> None:
        """Note which units of an input [T, B, units...] send something.

        Args:
            by_step: the input, or its steps.
            are_spikes: whether all of its numbers are 0 or 1.
        """
        for step in by_step:
            flat = step.flatten(1)
            # The first marks are kept, and the model may change its own tensor.
            needs_marks = self.fired is None or not are_spikes
            self.note_marks(nonzero_marks(flat) if needs_marks else flat)

    def note_marks(self, marks: Tensor) -> None:
        """Note marks of units that send, [B, n_in]; the first ones are kept."""
        if self.fired is None:
            self.fired = marks
        else:
            torch.maximum(self.fired, marks, out=self.fired)

    def count_touched(self) -> NDArray[np.bool_] | None:
        """Count the synapses that have been reached, at the end of a batch.

        Returns:
            whether each unit has sent something in any sample, [n_in].
        """
        if self.fired is None:
            return None
        n_units = counts_of(self.fired.sum(dim=1))
        self.touched.add(self._times_fan_out([self.fired], n_units))
        # A sum takes PyTorch half as long as `any`.
        has_sent: NDArray[np.bool_] = self.fired.sum(dim=0).cpu().numpy() > 0
        self.fired = None
        return has_sent

    def source(self, name: str) -> Amounts:
        """Return what a source sends here, from now on."""
        return self.sources.setdefault(name, Amounts(self.sizes))

    def side(self, name: str) -> "ModulePlace":
        """Return the place where only one side sends; the steps are the same."""
        if name not in self.sides:
            self.sides[name] = replace(self, sources={}, sides={})
            self.sides[name].steps = self.steps
        return self.sides[name]

    @property
    def chosen(self) -> "ModulePlace":
        """The place where only spikes send, if there are any.

        Both sides send where both only ever held spikes.
        """
        if not any(side.receives_values for side in self.sides.values()):
            return self
        return self.sides["left" if self.sides["right"].receives_values else "right"]

    def count_reached(
        self, contents: TensorContents, by_step: Tensor | Sequence[Tensor]
    ) -> None:
        """Count the synapses or windows that an input reaches.

        Args:
            contents: of the input.
            by_step: the input, [T, B, units...], or its steps.
        """
        if self._common_fan_out:
            self.reached.add(
                self._common_fan_out * contents.spikes,
                self._common_fan_out * contents.nonzero,
            )
            return
        steps = [step.flatten(1) for step in by_step]
        marks = steps if contents.is_binary else map(nonzero_marks, steps)
        nonzero = self._times_fan_out(marks, contents.nonzero)
        spikes = nonzero
        if contents.is_whole and not contents.is_binary:
            spikes = self._times_fan_out(map(torch.abs, steps), contents.spikes)
        self.reached.add(spikes, nonzero)

    def count_events(self, by_unit: Counts, by_sample: Counts) -> None:
        """Count the synapses that spikes reach.

        Args:
            by_unit: the spikes of each unit in each sample, [B, n_in].
            by_sample: their sums, [B].
        """
        assert self.fan_out is not None
        if self._common_fan_out:
            reached = self._common_fan_out * by_sample
        else:
            # NumPy's product is fast for floats only; these are whole and exact.
            reached = (by_unit.astype(np.float64) @ self.fan_out).astype(np.int64)
        self.reached.add(reached, reached)
        marks = np.not_equal(by_unit, 0, out=np.empty(by_unit.shape, np.float32))
        self.note_marks(torch.from_numpy(marks))

    def _times_fan_out(self, steps: Iterable[Tensor], by_sample: Counts) -> Counts:
        """Sum whole numbers [B, n_in] times their fan-outs, exactly: int64 [B].

        Args:
            steps: the numbers of each step.
            by_sample: their sums, [B].
        """
        # float32 is exact up to 2**24, and faster than float64.
        is_small = self._most_units * by_sample.max() < MAX_EXACT_FLOAT32
        dtype = torch.float32 if is_small else torch.float64
        sums = [step.to(dtype) @ self._units_on(step.device, dtype) for step in steps]
        return self._fan_out_unit * counts_of(torch.stack(sums).sum(dim=0))

    def _units_on(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return the fan-outs in units of their greatest common divisor, [n_in]."""
        key = (device, dtype)
        if key not in self._fan_out_units:
            units = torch.from_numpy(self.fan_out) // self._fan_out_unit
            self._fan_out_units[key] = units.to(device, dtype)
        return self._fan_out_units[key]


class Places:
    """All places of a model.

    Attributes:
        by_name: in the order in which they first ran.
        sizes: samples of each batch, the running one last.
        notes_fired: whether `ModulePlace.fired` is wanted.
        pruned: whether a weight of 0 is no synapse.
    """

    notes_fired = False

    def __init__(self, pruned: bool, unknown: dict[str, Omission]) -> None:
        """Start without places.

        Args:
            pruned: whether a weight of 0 is no synapse.
            unknown: receives pooling that cannot be counted with its settings.
        """
        self.by_name: dict[str, ModulePlace] = {}
        self.sizes: list[int] = []
        self.pruned = pruned
        self._unknown = unknown
        self._by_shapes: dict[tuple[str, Shape, Shape], ModulePlace] = {}

    def enter(
        self,
        name: str,
        module: nn.Module,
        received: Tensor,
        out_shape: Shape,
        population: Population | None = None,
    ) -> ModulePlace:
        """Return the place of a module that takes steps, and count them.

        It is made when the module first runs with these input and output shapes.

        Args:
            name: of the module in the model.
            module: the module.
            received: its input, [T, B, units...].
            out_shape: of its output, of one sample and step.
            population: how its neurons are counted; None without neurons.
        """
        in_shape = received.shape[2:]
        key = (name, in_shape, out_shape)
        if key not in self._by_shapes:
            n_earlier = sum(other == name for other, _, _ in self._by_shapes)
            unique = name if n_earlier == 0 else f"{name} ({n_earlier + 1})"
            fan_outs = fan_out(module, in_shape, out_shape, self.pruned)
            if fan_outs is None and isinstance(module, POOLING):
                self._unknown[name] = Omission(
                    name, type(module).__name__, reason="as it is set"
                )
            place = ModulePlace(
                unique, module, in_shape, out_shape, fan_outs, population, self.sizes
            )
            self._by_shapes[key] = place
            self.by_name[unique] = place
        place = self._by_shapes[key]
        place.steps.add(np.full(received.shape[1], len(received)))
        return place

    def open_row(self) -> None:
        """Begin a row for the counts of many batches, which are then merged into it."""
        self.sizes.append(1)

    def merge_batch(self) -> None:
        """Add the running batch to the row before it."""
        for place in self.by_name.values():
            for sums in place.sums:
                sums.merge()
        self.sizes.pop()

    def forget_batch(self) -> None:
        """Forget the running batch."""
        for place in self.by_name.values():
            place.fired = None
            for sums in place.sums:
                sums.forget()
        self.sizes.pop()

    def choose_sides(self) -> None:
        """Choose which sides of products without weights send, after the last batch."""
        self.by_name = {name: place.chosen for name, place in self.by_name.items()}

    def fold_norms(self, read_by_functions: set[str]) -> None:
        """Fold each norm or scale that only rescales a layer's sums into its weights.

        A norm leaves a bias there. It must be the sums' only reader, in every
        call, and its statistics fixed.

        Args:
            read_by_functions: places whose sums functions have read or changed.
        """
        for norm in [*self.by_name.values()]:
            layer = self.layer_before(norm)
            if layer is None or layer.name in read_by_functions:
                continue
            readers = [
                place for place in self.by_name.values() if layer.name in place.sources
            ]
            same_steps = norm.steps.per_sample == layer.steps.per_sample
            if readers != [norm] or not same_steps.all():
                continue
            layer.has_bias |= not isinstance(norm.module, Scale)
            del self.by_name[norm.name]
            for place in self.by_name.values():
                place.sources = {
                    layer.name if source == norm.name else source: amounts
                    for source, amounts in place.sources.items()
                }

    def layer_before(self, norm: ModulePlace) -> ModulePlace | None:
        """Return the layer before a scale or a norm with fixed statistics, if any."""
        module: Any = norm.module
        is_fixed = isinstance(module, Scale)
        if isinstance(module, NORMS):
            is_fixed = not module.training and module.running_mean is not None
        if not is_fixed or len(norm.sources) != 1:
            return None
        (source,) = norm.sources
        layer = self.by_name.get(source)
        if layer is None:
            return None
        # A product of two tensors of the samples has no weights to fold into.
        has_weights = not isinstance(layer.module, Operand)
        return layer if has_weights and isinstance(layer.module, WEIGHTED) else None
