"""Training: its operations as integers by epoch, phase, term and place, and their
energy.

With N samples of an epoch, T steps, layers of n_l units, E_l synaptic events from layer
l on, P parameters and U optimizer steps,

    forward     as in inference (`energy.operations`), for the spikes of the training
                samples teacher MACs              as recorded, dense; where there is a
                teacher
    backward    gradient accumulations    E_l            a delta for each synapse of a
                                                         spike; where recurrent an upper
                                                         bound, by the last step's,
                                                         which no step follows
                bias gradients            N T n_l        an addition per neuron and
                step, if any backpropagation MACs      N T n_l n_l+1  between neurons,
                dense, for each synapse of
                                                         a convolution, once a window of
                                                         pooling; T - 1 where recurrent;
                                                         none to the input
                delta multiplications     2 N T n_l      by the surrogate's derivative,
                by the decay
                                                         (not by a decay of 1)
                delta additions           N T n_l        the delta of the step after
                surrogate evaluations     N T n_l learned constants         N T n_l
                for each of a layer's, a multiplication
                                                         and an addition to its gradient
                input gradient MACs   as many as input MACs, of an input of constant
                currents
    optimizer   Adam: P U times the operations of `_ADAM`

These are the terms of the equations in `neuron` and of Adam (Kingma and Ba 2015,
arXiv:1412.6980, algorithm 1), each counted once; a clever implementation may save some.
The bias correction's scalars, the loss at the output counts, and the augmentation and
encoding of images are not counted.
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
"""All phases."""

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition; v = b2 v + (1 - b2) g g: 3 and
# 1; w -= rate m' / (sqrt(v') + e), where m' and v' are divided by their bias
# corrections: 1 and 2, 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
}
_WEIGHT_DECAY = {"optimizer_multiplication": 1, "optimizer_addition": 1}  # g + decay w
_CLIPPING = {"optimizer_multiplication": 2, "optimizer_addition": 1}  # norm, scaling


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """What is known of a training, of E epochs; of all in one where epochs are not
    recorded.

    Attributes:
        network: that was trained.
        activity: what it did with the samples of each epoch. Removed synapses keep
            their place in it.
        batches: optimizer steps of each epoch, int64 [E].
        n_epochs: how many epochs there were.
        weight_decay, clipping: whether they were on.
        best_validation_accuracy_percent: None where not recorded.
        teacher_macs: of a ReLU teacher, and those of them without a zero activation,
            int64 [E, 2]; None where its answers were not counted, or there was none.
        events_counted: whether every epoch's synaptic events were counted.
        pruned: whether synapses were removed in training.
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
        """Forward passes of all epochs."""
        return int(self.activity.samples_of_row.sum())

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        return sentences("training", record=self)


def count_training(record: TrainingRecord) -> OperationCounts:
    """Operations of each epoch, int64 [E, C]."""
    inference = count_operations(record.activity)
    forward = [inference]
    if record.teacher_macs is not None:
        forward.append(block("teacher_mac", ["teacher"], record.teacher_macs[:, :1]))
    of_phases = forward, _backward(record, inference), _optimizer(record)
    parts = [
        replace(
            part, columns=tuple(replace(column, phase=phase) for column in part.columns)
        )
        for phase, of_phase in zip(PHASES, of_phases, strict=True)
        for part in of_phase
    ]
    return joined(parts, len(record.batches), record.activity.time_window)


def _backward(
    record: TrainingRecord, inference: OperationCounts
) -> Iterator[OperationCounts]:
    network = record.network
    activity = record.activity
    updates = inference.of("threshold_comparison")  # one an update
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
                steps -= steps // activity.time_window  # none after the last
            yield block(
                "backpropagation_mac", [node.name], steps * int(node.fan_out().sum())
            )
    leaks = inference.of("leak_multiplication")
    yield block("delta_multiplication", neurons, leaks + updates * (1 + learned))
    yield block("delta_addition", neurons, (1 + learned) * updates)
    yield block("surrogate_evaluation", neurons, updates)


def _optimizer(record: TrainingRecord) -> Iterator[OperationCounts]:
    parameters = sum(map(math.prod, record.network.parameter_shapes().values()))
    extras = [_WEIGHT_DECAY] * record.weight_decay + [_CLIPPING] * record.clipping
    for term, number in _ADAM.items():
        each = parameters * (number + sum(extra.get(term, 0) for extra in extras))
        yield block(term, ["parameters"], record.batches[:, None] * each)


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """What training takes.

    Attributes:
        prices: the price list of `total`.
        phases: by id of a price list, the energy of each phase; None where it has no
            price.
        totals: by id of a price list, of all that has a price.
        total: of all phases; None where one of them has no price.
        per_point: the same over the percentage points by which the best validation
            accuracy exceeds guessing; None if it does not, or is not recorded.
        in_inferences: inferences that take as much energy, under the same prices; None
            where the prices are ranges, or an inference costs nothing.
    """

    prices: HardwareProfile
    phases: Mapping[str, Mapping[str, Energy | None]]
    totals: Mapping[str, Energy]
    total: Energy | None
    per_point: Energy | None
    in_inferences: float | None

    def priced(self, profile: str) -> dict[str, Energy]:
        """The phases with a price under a price list, and their energies."""
        phases = self.phases[profile].items()
        return {phase: energy for phase, energy in phases if energy is not None}

    def unpriced(self, profile: str) -> list[str]:
        """The phases without."""
        return [
            phase for phase, energy in self.phases[profile].items() if energy is None
        ]


def training_energy(
    ledger: Ledger, prices: HardwareProfile, record: TrainingRecord, n_classes: int
) -> TrainingEnergy:
    """The energy of training, the last variant of a ledger whose first is an inference.

    Args:
        ledger: of the network and its training.
        prices: the price list of the total.
        record: of the training, for the accuracy that it reached.
        n_classes: among which guessing is right by chance.
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
