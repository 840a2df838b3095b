"""Training: its operations as integers by epoch, phase, term and place.

With N samples of an epoch, T steps, layers of n_l units, E_l synaptic events from layer l on, P
parameters and U optimizer steps,

    forward     as in inference (`counting`), for the spikes of the training samples
                teacher MACs              as recorded, dense; where there is a teacher
    backward    gradient accumulations    E_l            a delta for each synapse of a spike; where
                                                         recurrent an upper bound, by the last
                                                         step's, which no step follows
                bias gradients            N T n_l        an addition per neuron and step, if any
                backpropagation MACs      N T n_l n_l+1  between neurons, dense, for each synapse of
                                                         a convolution, once a window of pooling;
                                                         T - 1 where recurrent; none to the input
                delta multiplications     2 N T n_l      by the surrogate's derivative, by the decay
                                                         (not by a decay of 1)
                delta additions           N T n_l        the delta of the step after
                surrogate evaluations     N T n_l
                learned constants         N T n_l        for each of a layer's, a multiplication
                                                         and an addition to its gradient
                input gradient MACs   as many as input MACs, of an input of constant currents
    optimizer   Adam: P U times the operations of `_ADAM`

These are the terms of the equations in `neuron` and of Adam (Kingma and Ba 2015, arXiv:1412.6980,
algorithm 1), each counted once; a clever implementation may save some. The bias correction's
scalars, the loss at the output counts, and the augmentation and encoding of images are not counted.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from spikejoule.encoding.events import Products
from spikejoule.energy.counting import OperationCounts, block, count_spiking, joined
from spikejoule.energy.words import sentences
from spikejoule.evaluation.measurement import Activity
from spikejoule.model.network import Network

if TYPE_CHECKING:  # PyTorch comes with it
    from spikejoule.model.checkpoint import EpochRecord

PHASES: Final = ("forward", "backward", "optimizer")
TRAINING: Final = "training"
"""All phases."""

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition; v = b2 v + (1 - b2) g g: 3 and 1;
# w -= rate m' / (sqrt(v') + e), where m' and v' are divided by their bias corrections: 1 and 2,
# 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
}
_WEIGHT_DECAY = {"optimizer_multiplication": 1, "optimizer_addition": 1}  # g + decay w
_CLIPPING = {"optimizer_multiplication": 2, "optimizer_addition": 1}  # norm, scaling


@dataclass(frozen=True)
class TrainingRecord:
    """What is known of a training.

    Attributes:
        epochs: each epoch; empty where spikes are known for the whole of training alone.
        samples: forward passes of all epochs.
        spikes: of each layer over them.
        n_epochs: passes over the training set.
        time_window: T.
        batch_size: samples an optimizer step.
        weight_decay, clipping: whether they were on.
        best_validation_accuracy_percent: None where not recorded.
        pruned: whether synapses were removed in training.
        input_products: how often hardware multiplies constant currents; None for an encoding of
            spikes.
    """

    epochs: "tuple[EpochRecord, ...]"
    samples: int
    spikes: tuple[int, ...]
    n_epochs: int
    time_window: int
    batch_size: int
    weight_decay: bool
    clipping: bool
    best_validation_accuracy_percent: float | None
    pruned: bool = False
    input_products: Products | None = None

    @property
    def events_counted(self) -> bool:
        """Whether every epoch's synaptic events were counted."""
        return bool(self.epochs) and all(epoch.synaptic_events for epoch in self.epochs)

    @property
    def has_teacher(self) -> bool:
        """Whether every epoch's answers of a teacher were counted."""
        return bool(self.epochs) and all(epoch.teacher_macs is not None for epoch in self.epochs)

    @property
    def optimizer_steps(self) -> int:
        """Updates of all parameters: batches of an epoch, the last one smaller, times epochs."""
        return self.n_epochs * _batches(self.samples // self.n_epochs, self.batch_size)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        return sentences("training", record=self)


def count_training(record: TrainingRecord, network: Network) -> OperationCounts:
    """Operations of each epoch, int64 [epochs, C]; of all in one where epochs are not recorded."""
    rows = [(epoch.samples, epoch.spikes) for epoch in record.epochs]
    n_samples = np.array([samples for samples, _ in rows] or [record.samples], dtype=np.int64)
    spikes = np.array([layers for _, layers in rows] or [record.spikes], dtype=np.int64)
    events = macs = None
    if record.events_counted:
        events = np.array([epoch.synaptic_events for epoch in record.epochs], dtype=np.int64)
    if record.input_products is not None:
        macs = np.array([epoch.input_macs or 0 for epoch in record.epochs], dtype=np.int64)
    activity = Activity.of_layers(
        network, record.time_window, spikes, events, macs=macs,
        products=record.input_products, samples=n_samples,
    )  # fmt: skip
    inference = count_spiking(activity)
    forward = [inference]
    if record.has_teacher:
        of_teacher = [[epoch.teacher_macs or 0] for epoch in record.epochs]
        forward.append(block("teacher_mac", ["teacher"], of_teacher))
    phases = {
        "forward": forward,
        "backward": _backward(activity, inference),
        "optimizer": _optimizer(record, network),
    }
    parts = [
        replace(part, columns=tuple(replace(column, phase=phase) for column in part.columns))
        for phase, parts_of_it in phases.items()
        for part in parts_of_it
    ]
    return joined(parts, len(spikes), record.time_window)


def _backward(activity: Activity, inference: OperationCounts) -> Iterator[OperationCounts]:
    network = activity.network
    updates = np.stack([*activity.counts["updates"].values()], axis=1)
    neurons, connections = network.layer_names[1:], network.connection_names
    learned = len(network.neuron.learned_names)
    yield block("gradient_accumulation", connections, inference.of("synaptic_event"))
    if activity.products is not None:
        yield block("input_gradient_mac", connections[:1], inference.of("input_mac"))
    yield block("bias_gradient_accumulation", neurons, inference.of("bias_addition"))
    inner = [one for one in zip(connections, network.connections, network.senders, strict=True)
             if one[2] > 0]  # fmt: skip
    synapses = [int(one.fan_out().sum()) for _, one, _ in inner]
    senders = [sender for *_, sender in inner]
    steps = updates[:, [sender - 1 for sender in senders]] // [
        network.layer_sizes[sender] for sender in senders
    ]
    followed = [one in network.forward_connections for _, one, _ in inner]
    steps -= np.where(followed, 0, steps // activity.time_window)  # none after the last
    yield block("backpropagation_mac", [name for name, *_ in inner], steps * synapses)
    leaks = inference.of("leak_multiplication")
    yield block("delta_multiplication", neurons, leaks + updates * (1 + learned))
    yield block("delta_addition", neurons, (1 + learned) * updates)
    yield block("surrogate_evaluation", neurons, updates)


def _optimizer(record: TrainingRecord, network: Network) -> Iterator[OperationCounts]:
    parameters = sum(math.prod(shape) for shape in network.parameter_shapes().values())
    extras = [_WEIGHT_DECAY] * record.weight_decay + [_CLIPPING] * record.clipping
    steps = [[_batches(epoch.samples, record.batch_size)] for epoch in record.epochs]
    made = np.array(steps or [[record.optimizer_steps]], dtype=np.int64)
    for term, number in _ADAM.items():
        each = parameters * (number + sum(extra.get(term, 0) for extra in extras))
        yield block(term, ["parameters"], made * each)


def _batches(samples: int, batch_size: int) -> int:
    return -(-samples // batch_size)
