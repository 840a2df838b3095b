"""Training: operation counts by epoch, phase, term and place, and their energy.

An epoch has N samples of T steps; layers have n_l units and E_l synaptic events from
layer l on; P are parameters and U optimizer steps.

    forward    as inference (`energy.operations`), over the training samples
               teacher MACs             as recorded, dense; with a teacher only
    backward   gradient accumulations   E_l: a delta for each synapse of a spike; if
                                        recurrent, an upper bound by the events of the
                                        last step, which no step follows
               bias gradients           N T n_l: an addition per neuron and step
               backpropagation MACs     N T n_l n_l+1: dense, between neurons only; per
                                        synapse of a convolution, once per pooling
                                        window; T - 1 instead of T if recurrent
               delta multiplications    2 N T n_l: by the surrogate's derivative, and by
                                        the decay unless it is 1
               delta additions          N T n_l: the delta of the next step
               surrogate evaluations    N T n_l
               learned constants        N T n_l for each constant that a layer learns: a
                                        multiplication and an addition to its gradient
               input gradient MACs      as many as input MACs, for constant currents
    optimizer  P U times the operations of Adam (`_ADAM`)

These are the terms of the equations in `neuron` and of Adam (Kingma and Ba 2015,
arXiv:1412.6980, algorithm 1), each counted once; an optimized implementation may save
some. Not counted: the scalars of Adam's bias correction, the loss on the output counts,
augmentation and encoding.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import Ledger
from spikejoule.energy.operations import (
    OperationCounts,
    block,
    count_operations,
    joined,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.words import sentences
from spikejoule.network.network import Network

PHASES: Final = ("forward", "backward", "optimizer")

TRAINING: Final = "training"
"""All phases together."""

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition. v = b2 v + (1 - b2) g g: 3 and
# 1. w -= rate m' / (sqrt(v') + e), with m' and v' divided by their bias corrections: 1
# multiplication, 2 additions, 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
}
# g + decay w
_WEIGHT_DECAY = {"optimizer_multiplication": 1, "optimizer_addition": 1}
# The norm takes a multiplication and an addition, scaling a multiplication.
_CLIPPING = {"optimizer_multiplication": 2, "optimizer_addition": 1}


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """The record of a training of E epochs; one row for all if epochs are not recorded.

    Attributes:
        network: the trained network.
        activity: its counts over the samples of each epoch, with pruned synapses still
            in place.
        batches: optimizer steps of each epoch, int64 [E].
        n_epochs: number of epochs.
        weight_decay, clipping: whether they were enabled.
        best_validation_accuracy_percent: None if not recorded.
        teacher_macs: all MACs of a ReLU teacher, and those with a nonzero activation,
            int64 [E, 2]; None if not counted, or without a teacher.
        events_counted: whether the synaptic events of every epoch were counted.
        pruned: whether training removed synapses.
    """

    network: Network
    activity: Activity
    batches: NDArray[np.int64]
    n_epochs: int
    weight_decay: bool
    clipping: bool
    best_validation_accuracy_percent: float | None
    teacher_macs: NDArray[np.int64] | None = None
    events_counted: bool = False
    pruned: bool = False

    @property
    def samples(self) -> int:
        """Samples of all epochs together."""
        return int(self.activity.samples_of_row.sum())

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and assumed, in sentences."""
        return sentences("training", record=self)


def count_training(record: TrainingRecord) -> OperationCounts:
    """Count the operations of each epoch, int64 [E, C]."""
    inference = count_operations(record.activity)
    forward = [inference]
    if record.teacher_macs is not None:
        forward.append(block("teacher_mac", ["teacher"], record.teacher_macs[:, :1]))
    blocks_of_phases = (forward, _backward(record, inference), _optimizer(record))
    parts = []
    for phase, blocks in zip(PHASES, blocks_of_phases, strict=True):
        for counted in blocks:
            columns = tuple(replace(column, phase=phase) for column in counted.columns)
            parts.append(replace(counted, columns=columns))
    return joined(parts, len(record.batches), record.activity.time_window)


def _backward(
    record: TrainingRecord, inference: OperationCounts
) -> Iterator[OperationCounts]:
    network = record.network
    activity = record.activity
    # Every update compares a potential with the threshold.
    updates = inference.of("threshold_comparison")
    neurons = network.layer_names[1:]
    connections = network.connection_names
    learned = len(network.neuron.learned_names)
    yield block("gradient_accumulation", connections, inference.of("synaptic_event"))
    if activity.products is not None:
        yield block("input_gradient_mac", connections[:1], inference.of("input_mac"))
    yield block("bias_gradient_accumulation", neurons, inference.of("bias_addition"))
    for node, sender in zip(network.connections, network.senders, strict=True):
        if sender > 0:
            steps = updates[:, [sender - 1]] // network.layer_sizes[sender]
            if node not in network.forward_connections:
                # A recurrent synapse carries no delta back into the last step.
                steps -= steps // activity.time_window
            synapses = int(node.fan_out().sum())
            yield block("backpropagation_mac", [node.name], steps * synapses)
    leaks = inference.of("leak_multiplication")
    yield block("delta_multiplication", neurons, leaks + updates * (1 + learned))
    yield block("delta_addition", neurons, (1 + learned) * updates)
    yield block("surrogate_evaluation", neurons, updates)


def _optimizer(record: TrainingRecord) -> Iterator[OperationCounts]:
    shapes = record.network.parameter_shapes().values()
    parameters = sum(math.prod(shape) for shape in shapes)
    for term, per_parameter in _ADAM.items():
        operations = per_parameter
        if record.weight_decay:
            operations += _WEIGHT_DECAY.get(term, 0)
        if record.clipping:
            operations += _CLIPPING.get(term, 0)
        counts = record.batches[:, None] * (parameters * operations)
        yield block(term, ["parameters"], counts)


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """The energy of a training.

    Attributes:
        prices: the price list of `total`.
        phases: by price list, the energy of each phase; None if it has no price.
        totals: by price list, the energy of everything that has a price.
        total: energy of all phases; None if one has no price.
        per_point: `total` per percentage point by which the best validation accuracy
            exceeds guessing; None if it does not, or is not recorded.
        in_inferences: number of inferences with the same energy, at the same prices;
            None if prices are ranges, or an inference costs nothing.
    """

    prices: HardwareProfile
    phases: Mapping[str, Mapping[str, Energy | None]]
    totals: Mapping[str, Energy]
    total: Energy | None
    per_point: Energy | None
    in_inferences: float | None

    def priced(self, profile: str) -> dict[str, Energy]:
        """Return the energies of the phases that a price list prices."""
        phases = self.phases[profile].items()
        return {phase: energy for phase, energy in phases if energy is not None}

    def unpriced(self, profile: str) -> list[str]:
        """Return the phases that a price list does not price."""
        return [
            phase for phase, energy in self.phases[profile].items() if energy is None
        ]


def training_energy(
    ledger: Ledger, prices: HardwareProfile, record: TrainingRecord, n_classes: int
) -> TrainingEnergy:
    """Price a training, which is the last variant of a ledger; the first is inference.

    Args:
        ledger: the network and its training.
        prices: the price list of the total.
        record: the training, for its best accuracy.
        n_classes: number of classes, for the accuracy of guessing.
    """
    number = len(ledger.variants) - 1
    phases = {
        profile.id: {
            phase: ledger.total_of_phase(number, profile.id, phase) for phase in PHASES
        }
        for profile in ledger.profiles
    }
    totals = {
        profile.id: ledger.total(number, profile.id) for profile in ledger.profiles
    }
    total = None if None in phases[prices.id].values() else totals[prices.id]
    best_percent = record.best_validation_accuracy_percent
    gained = 0.0 if best_percent is None else best_percent - 100 / n_classes
    per_point = None
    if total is not None and gained > 0:
        per_point = Energy.of(np.array(total.numbers) / gained)
    inference_pj = ledger.total(0, prices.id).value_pj
    in_inferences = None
    if total is not None and total.value_pj is not None and inference_pj:
        in_inferences = total.value_pj / inference_pj
    return TrainingEnergy(prices, phases, totals, total, per_point, in_inferences)
