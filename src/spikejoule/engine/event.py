"""The event-driven engine: parameters, their layout, compiled kernels, and the
optimizer.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros, even_parts
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.engine.chain import ChainKernels
from spikejoule.engine.fully_connected import FullyConnectedKernels
from spikejoule.engine.interface import (
    BatchOutcome,
    Labels,
    Snapshot,
    Teacher,
    adam_state,
    check_input,
    exponents_of,
    with_exponents,
)
from spikejoule.engine.kernel_set import KernelSet, constant_inputs
from spikejoule.engine.kernels.optimizer import gather_gradient, round_parameters
from spikejoule.engine.kernels.structures import (
    BatchGradient,
    Grids,
    LabelledBatch,
    Learning,
    Moments,
)
from spikejoule.engine.kernels.through_time import SURROGATE_CODES
from spikejoule.engine.layout import ParameterLayout
from spikejoule.engine.optimizer import Adam
from spikejoule.engine.quantised import neuron_table, row_grids, run_integers
from spikejoule.network.integers import with_grids
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network, State

GRADIENT_LANES = 2
"""Parts in which the gradient of a batch is summed. The last bits of a result depend on
it; it does not depend on the machine, and more threads than these share the parts out
(sharing.py)."""

MANY_LANES = 8
"""The same for convolution and recurrence where the gradient is small: a lane is a
thread's.
"""

SMALL_GRADIENT = 1 << 17
"""Parameters of a network whose gradient is small."""

TABLE_CLASSES = 1000
"""Classes up to which the targets of all are computed once; of more, a batch computes
its own.
"""


def gradient_lanes(network: Network) -> int:
    """Parts in which the gradient is summed: they follow from the network, not the
    machine.
    """
    n_parameters = sum(map(np.prod, network.parameter_shapes().values()))
    is_small = n_parameters <= SMALL_GRADIENT
    return MANY_LANES if is_small and not network.is_plain else GRADIENT_LANES


def event_engine(
    network: Network,
    state: State,
    settings: LearningSettings | None = None,
    dtype: DTypeLike = np.float32,
) -> "EventEngine":
    """An engine with the kernels for a network.

    Two kernel sets: those of fully connected layers keep a block of potentials in
    registers over all steps, which patches at several positions do not allow.

    Args:
        network: a chain of LIF neurons; a quantised one has its grids.
        state: initial parameters.
        settings: how to learn; not needed to run.
        dtype: float32, or float64 for exact comparisons.
    """
    layout = ParameterLayout.of(network)
    learned = layout.pack(state, dtype)
    # What runs is what the optimizer keeps, or its copy on the grids.
    running = (
        learned if network.quantisation is None else aligned_zeros(learned.shape, dtype)
    )
    make_kernels: Callable[[ParameterLayout, NDArray[Any], int], KernelSet] = (
        FullyConnectedKernels if network.is_plain else ChainKernels
    )
    lanes = gradient_lanes(network)
    kernels = make_kernels(layout, running, lanes)
    return EventEngine(
        layout, kernels, learned, running, settings or LearningSettings(), lanes
    )


class EventEngine:
    """Trains and runs the network on event lists; see
    :class:`spikejoule.engine.interface.Engine`.

    Args:
        layout: where the parameters are.
        kernels: for the network, reading `running`.
        learned: the parameters that the optimizer keeps, flat.
        running: the parameters that run: the same array, or for a quantised network a
            copy that is kept on the grids.
        settings: how to learn.
        lanes: parts in which the gradient of a batch is summed.
    """

    name = "event"
    device = "cpu"

    def __init__(
        self,
        layout: ParameterLayout,
        kernels: KernelSet,
        learned: NDArray[Any],
        running: NDArray[Any],
        settings: LearningSettings,
        lanes: int,
    ) -> None:
        dtype = learned.dtype
        self._layout = layout
        self._kernels = kernels
        self._learned = learned
        self._running = running
        self._settings = settings
        self._lanes = lanes
        self._adam = Adam(settings, layout.rows, layout.size, dtype)
        surrogate = settings.chosen_surrogate
        a, b = surrogate.constants()
        self._learning = Learning(
            logit_scale=settings.logit_scale,
            penalised=settings.has_penalty,
            penalties=settings.penalties(len(layout.forward)),
            surrogate=SURROGATE_CODES[surrogate.name],
            a=dtype.type(a),
            b=dtype.type(b),
        )
        self._targets_by_class: NDArray[np.float64] | None = None
        self._grids: Grids | None = None
        # Receives the weights of each row that do not round to zero.
        self._not_zero = np.zeros(layout.rows.starts.size, dtype=np.int64)
        self._use_grids(layout.network)

    @property
    def network(self) -> Network:
        """The network, with its present grids if it is quantised."""
        return self._network

    def _use_grids(self, network: Network) -> None:
        """Take over the constants of the neurons, and the grids of a quantised
        network.
        """
        self._network = network
        self._use_learned_constants()
        if network.quantisation is not None:
            self._grids = row_grids(network, self._layout, self._learned.dtype)
            self._round()

    def _round(self) -> None:
        """Bring what runs up to date with what the optimizer keeps."""
        if self._grids is not None:
            rows = self._layout.rows
            chunks = rows.chunks.size - 1
            round_parameters(
                chunks, self._learned, self._running, rows, self._grids, self._not_zero
            )

    def choose_grids(self) -> None:
        """Fit the grid of each layer to its weights; nothing without quantisation."""
        if self._grids is not None:
            self._use_grids(with_grids(self._network, self.learned_state()))

    def _use_learned_constants(self) -> None:
        """Take over the constants of the neurons as they are learned by now."""
        network = self._network.learned_from(self._layout.unpack_learned(self._learned))
        self._kernels.arrays.constants[:] = neuron_table(network, self._learned.dtype)

    def _accumulate(
        self, events: EventList, labels: Labels, teacher: Teacher
    ) -> tuple[BatchOutcome, BatchGradient]:
        """The gradient of a batch, in lane 0, and its squares by chunk."""
        check_input(events, self._network)
        classes = np.asarray(labels, dtype=np.int64)
        self._check_labels(classes, events.n_samples)
        targets, target_rows = self._targets(classes, teacher)
        batch = LabelledBatch(
            sources=events.sources,
            offsets=events.offsets,
            labels=classes,
            targets=targets,
            target_rows=target_rows,
            bounds=even_parts(events.n_samples, self._lanes),
        )
        currents = constant_inputs(events, self._learned.dtype)
        threads = numba.get_num_threads()
        gradient = self._kernels.add_gradients(batch, currents, self._learning, threads)
        gather_gradient(gradient.squares.size, gradient, self._layout.rows)
        correct, *counts = map(sum, zip(*gradient.counts.tolist(), strict=True))
        n_layers = len(self._layout.forward) + 1
        outcome = BatchOutcome(
            mean_loss=sum(gradient.losses.tolist()) / events.n_samples,
            correct=correct,
            spikes=tuple(counts[:n_layers]),
            synaptic_events=tuple(counts[n_layers:]),
            input_macs=None if events.currents is None else self._input_macs(events),
        )
        return outcome, gradient

    def _check_labels(self, classes: NDArray[np.int64], n_samples: int) -> None:
        """Raise ArtifactError unless there is a label a sample, and an output for
        each.
        """
        if classes.shape != (n_samples,) or n_samples == 0:
            raise ArtifactError(
                f"there are {classes.size} labels for {n_samples} samples; a batch "
                "needs "
                "one label a sample, and one sample at least"
            )
        n_output = self._network.n_output
        # As unsigned numbers, labels below 0 are beyond all others.
        if classes.view(np.uint64).max() >= n_output:
            raise ArtifactError(
                f"labels run from {classes.min()} to {classes.max()}; the network "
                "has outputs for "
                f"classes 0 to {n_output - 1}"
            )

    def _input_macs(self, events: EventList) -> int:
        return int(
            events.uses_per_source() @ self._kernels.arrays.fan_outs[: events.n_inputs]
        )

    def _targets(
        self, labels: NDArray[np.int64], teacher: Teacher
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Probabilities that classes should have, in rows, and the row of each
        sample.
        """
        n_output = self._network.n_output
        if teacher is not None or n_output > TABLE_CLASSES:
            return self._settings.targets(labels, n_output, teacher), np.arange(
                labels.size
            )
        if self._targets_by_class is None:
            self._targets_by_class = self._settings.targets(
                np.arange(n_output), n_output
            )
        return self._targets_by_class, labels

    def train_batch(
        self,
        events: EventList,
        labels: Labels,
        learning_rate: float,
        teacher: Teacher = None,
    ) -> BatchOutcome:
        """One forward pass, backward pass, clipping and step of Adam."""
        outcome, gradient = self._accumulate(events, labels, teacher)
        self._adam.step(self._learned, gradient, learning_rate)
        self._round()
        if self._layout.learned is not None:
            self._use_learned_constants()
        return outcome

    def gradients(
        self, events: EventList, labels: Labels, teacher: Teacher = None
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Gradient of the batch's mean loss for every parameter, neither clipped nor
        applied.
        """
        outcome, gradient = self._accumulate(events, labels, teacher)
        by_name = self._layout.unpack(gradient.gradients[0])
        gradient.gradients[0] = 0
        gradient.touched[0] = False
        return outcome, by_name

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in a mask, from now on; by name of weight
        matrix.
        """
        self._adam.kept = self._layout.pack_masks(masks, self._learned.dtype)
        self._learned *= self._adam.kept
        self._kernels.prune(masks)
        if self._grids is not None:
            # A weight that rounds to zero is no synapse in a pruned network.
            self._not_zero = self._kernels.arrays.fan_outs
            self._round()

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""
        check_input(events, self._network)
        if self._network.quantisation is not None:
            return run_integers(self._network, self.learned_state(), events)
        layers = []
        for number in range(len(self._layout.forward)):
            events = self._kernels.run_layer(events, number)
            layers.append(events)
        return layers

    def warm_up(self, events: EventList) -> None:
        """Compile the kernels (once per machine), by a batch that another network
        learns from.
        """
        other = self.with_parameters(self.state())
        other.train_batch(events, np.zeros(events.n_samples, dtype=np.int64), 0.0)
        other.run(events)

    def with_parameters(self, state: State) -> "EventEngine":
        """The same network with other parameters, to be run."""
        return event_engine(self._network, state, self._settings, self._learned.dtype)

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that run: on their grids in a quantised network."""
        return self._layout.unpack(self._running)

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that the optimizer keeps."""
        return self._layout.unpack(self._learned)

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Adam's state in the format of ``torch.optim.Adam.state_dict``, arrays for
        tensors.
        """
        weight_decay = self._settings.weight_decay
        return adam_state(self._network, self.snapshot(), learning_rate, weight_decay)

    def snapshot(self) -> Snapshot:
        """All that the next batch depends on; after one batch at least."""
        adam = self._adam
        masks = {}
        if adam.kept.size:
            ones = self._layout.unpack(adam.kept)
            masks = {
                name: kept != 0
                for name, kept in ones.items()
                if name.endswith("weight")
            }
        return Snapshot(
            learned=self.learned_state(),
            first=self._layout.unpack(adam.moments.first),
            second=self._layout.unpack(adam.moments.second),
            steps_taken=adam.steps_taken,
            masks=masks,
            exponents=exponents_of(self._network),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from the snapshot of an engine of the same kind and network, to the
        same bits.
        """
        layout = self._layout
        dtype = self._learned.dtype
        self._learned[:] = layout.pack(snapshot.learned, dtype)
        self._adam.moments = Moments(
            layout.pack(snapshot.first, dtype), layout.pack(snapshot.second, dtype)
        )
        self._adam.steps_taken = snapshot.steps_taken
        self._use_grids(with_exponents(self._network, snapshot.exponents))
        if snapshot.masks:
            self.prune(snapshot.masks)
