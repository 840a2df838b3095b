"""Which parameters of a model learn, and how they are updated.

Parameters are found in connections by their memory: weights that a function makes of
other parameters, as a parametrisation does, have no place of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from spikejoule.counts.training import Learned, Updates
from spikejoule.network.graph import Graph
from spikejoule.network.neurons.lif import DECAY_LOGIT, LOG_THRESHOLD
from spikejoule.pricing.conventional import CALL
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.functions.product_forms import Operand
from spikejoule.pricing.modules.layers import DROPOUT, NORMS, WEIGHTED
from spikejoule.pricing.tensors.nested import memory_of
from spikejoule.tracker.steps import OptimizerSteps, rule_of

_DECAYS: Final = frozenset(
    ["alpha", "beta", "decay", "decay_logit", "tau", "tau_mem", "tau_syn", "w"]
)
_THRESHOLDS: Final = ("threshold", "log_threshold", "v_th", "v_threshold")
"""What the simulators call the constants that neurons learn."""


@dataclass
class LearnedParts:
    """What of a model learns, as it is found.

    Attributes:
        learned: for the record of the training.
        not_counted: in words.
    """

    learned: Learned
    not_counted: list[str]


@dataclass
class _Finder:
    """Finds the parameters of places."""

    updates: Mapping[int, Updates | None]
    weights: dict[str, Updates | None] = field(default_factory=dict)
    biases: dict[str, Updates | None] = field(default_factory=dict)
    n_biases: dict[str, int] = field(default_factory=dict)
    constants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    taken: set[tuple[int, int, int]] = field(default_factory=set)

    def add_connection(self, place: ModulePlace, names: list[str]) -> None:
        """Add the weights and biases of a place that runs as some connections."""
        module: Any = place.module
        for name in names:
            weight = self._take(module.weight)
            if weight is not None:
                self.weights[name] = weight.updates
            if module.bias is None:
                continue
            bias = self._take(module.bias)
            if bias is not None:
                self.n_biases[name] = module.bias.numel()
                self.biases[name] = bias.updates

    def add_constants(self, place: ModulePlace, holder: str | None) -> None:
        """Add the constants that neurons learn.

        Args:
            place: of the neurons.
            holder: the connection before them.
        """
        kinds: list[str] = []
        for name, x in place.module.named_parameters():
            last = name.rpartition(".")[2]
            kind = DECAY_LOGIT if last in _DECAYS else None
            kind = LOG_THRESHOLD if last in _THRESHOLDS else kind
            if kind is None or holder is None or not x.requires_grad:
                continue
            taken = self._take(x)
            if taken is not None:
                kinds += [kind] * x.numel()
                self.biases.setdefault(holder, taken.updates)
        if kinds:
            self.constants[place.name] = tuple(kinds)

    def _take(self, x: Tensor) -> "_Taken | None":
        """Return how a parameter is updated, once; None if it is frozen."""
        memory = memory_of(x)
        if memory not in self.updates:
            return None
        self.found.add(memory)
        # Neurons may hold two matrices in one parameter.
        part = (memory, int(x.storage_offset()), x.numel())
        is_new = part not in self.taken
        self.taken.add(part)
        return _Taken(self.updates[memory] if is_new else None)


@dataclass(frozen=True)
class _Taken:
    """A parameter that learns; updated where it was first found, if at all."""

    updates: Updates | None


def learned_parts(
    model: nn.Module,
    places: Mapping[str, ModulePlace],
    network: Graph,
    optimizers: list[OptimizerSteps],
    batches: list[int],
) -> LearnedParts:
    """Find what learns.

    Args:
        model: the model.
        places: what ran.
        network: the places as a network.
        optimizers: the optimizers, each with its steps.
        batches: backward passes in each row.
    """
    not_counted: list[str] = []
    updates = dict(_updates_of(model, optimizers, len(batches), not_counted))
    names = {memory_of(x): name for name, x in model.named_parameters()}
    finder = _Finder(updates)
    for place in places.values():
        if isinstance(place.module, Operand):
            not_counted.append(f"{place.name} (its backward pass)")
        elif isinstance(place.module, NORMS) and place.module.training:
            not_counted.append(f"{place.name} (its statistics and backward pass)")
        elif isinstance(place.module, WEIGHTED):
            finder.add_connection(place, _connections_of(place, network))
    for place in places.values():
        if place.population is not None:
            finder.add_constants(place, _holder_of(place, network))
    not_counted += _dropped(model)
    missing = [names[memory] for memory in updates if memory not in finder.found]
    not_counted += [f"{name} (its gradient and updates)" for name in missing]
    learned = Learned(
        weights=finder.weights,
        biases=finder.biases,
        n_biases=finder.n_biases,
        constants=finder.constants,
        batches=np.array(batches, np.int64),
    )
    return LearnedParts(learned, not_counted)


def _dropped(model: nn.Module) -> Iterator[str]:
    """Name modules that drop units in training."""
    for name, module in model.named_modules():
        if isinstance(module, DROPOUT) and module.p > 0:
            yield f"{name} ({type(module).__name__}: what it draws and scales)"


def _updates_of(
    model: nn.Module,
    optimizers: list[OptimizerSteps],
    n_rows: int,
    not_counted: list[str],
) -> Iterator[tuple[int, Updates | None]]:
    """Yield how each parameter that learns is updated, by its memory."""
    by_memory: dict[int, Updates | None] = {}
    for steps in optimizers:
        optimizer = steps.optimizer
        for group in optimizer.param_groups:
            rule = rule_of(optimizer, group)
            words = f"the steps of {type(optimizer).__name__}, as it is set"
            if rule is None and words not in not_counted:
                not_counted.append(words)
            decays = bool(group.get("weight_decay"))
            counted = np.array(steps.steps[:n_rows], np.int64)
            updates = None if rule is None else Updates(rule, decays, counted)
            for x in group["params"]:
                by_memory[memory_of(x)] = updates
    for name, x in model.named_parameters():
        if x.requires_grad:
            memory = memory_of(x)
            if memory not in by_memory:
                not_counted.append(f"updates of {name} (no optimizer given has it)")
            yield memory, by_memory.get(memory)


def _connections_of(place: ModulePlace, network: Graph) -> list[str]:
    """Return the names of the connections that a place is: one for each call."""
    names = network.connection_names
    return [name for name in names if name.partition(CALL)[0] == place.name]


def _holder_of(place: ModulePlace, network: Graph) -> str | None:
    """Return the connection before neurons; None without one."""
    connections = set(network.connection_names)
    for source in network.sources.get(place.name, ()):
        if source in connections:
            return source
        for before in network.sources.get(source, ()):
            if before in connections:
                return before
    return None
