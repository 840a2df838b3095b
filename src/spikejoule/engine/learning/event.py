"""The event trainer: an event engine with gradients and Adam, on the CPU."""

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros, even_parts
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.engine.event import EventEngine
from spikejoule.engine.interface import check_input
from spikejoule.engine.kernel_calls import constant_inputs
from spikejoule.engine.kernels.structures import NetworkArrays
from spikejoule.engine.learning.chain import ChainGradients
from spikejoule.engine.learning.fully_connected import FullyConnectedGradients
from spikejoule.engine.learning.gradient_set import GradientSet
from spikejoule.engine.learning.interface import (
    BatchOutcome,
    Labels,
    Snapshot,
    exponents_of,
    with_exponents,
)
from spikejoule.engine.learning.kernels.optimizer import (
    gather_gradient,
    round_parameters,
)
from spikejoule.engine.learning.kernels.structures import (
    READOUT_CODES,
    BatchGradient,
    Grids,
    LabelledBatch,
    Learning,
    Moments,
)
from spikejoule.engine.learning.kernels.through_time import SURROGATE_CODES
from spikejoule.engine.learning.optimizer import Adam, row_grids
from spikejoule.engine.learning.sampling import DeltaSampler
from spikejoule.network.integers import with_grids
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network, State

GRADIENT_LANES = 2
"""Parts in which the gradient of a batch is summed. The last bits of a result depend on
this number, so it does not follow the machine; more threads share the parts
(sharing.py)."""

MANY_LANES = 8
"""The same for small networks with convolution or recurrence, whose kernels use one
thread per lane."""

SMALL_GRADIENT = 1 << 17
"""A network with at most so many parameters is small. Each lane has a copy of the
gradient, and all copies are added up in every batch."""

TABLE_CLASSES = 1000
"""Up to so many classes, the targets of all classes are computed once."""


def gradient_lanes(network: Network) -> int:
    """Return the number of lanes, which depends on the network but not the machine."""
    n_parameters = sum(map(np.prod, network.parameter_shapes().values()))
    is_small = n_parameters <= SMALL_GRADIENT
    return MANY_LANES if is_small and not network.is_plain else GRADIENT_LANES


def _gradients_for(engine: EventEngine, lanes: int) -> GradientSet:
    """Return the kernels that train the network of an engine."""
    arrays = engine.arrays
    if isinstance(arrays, NetworkArrays):
        return FullyConnectedGradients(engine.layout, arrays, lanes)
    return ChainGradients(engine.layout, arrays, lanes)


class EventTrainer:
    """Trains a network on event lists.

    It is a :class:`spikejoule.engine.learning.interface.Trainer`.

    Args:
        network: a chain of LIF neurons; a quantised one has its grids.
        state: initial parameters by name.
        settings: how to learn.
        dtype: float32, or float64 for exact comparisons.
    """

    name = "event"
    device = "cpu"

    def __init__(
        self,
        network: Network,
        state: State,
        settings: LearningSettings,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._engine = EventEngine(network, state, dtype)
        layout = self._engine.layout
        self._layout = layout
        self._settings = settings
        # The optimizer updates `learned`. What runs is the same array, or for a
        # quantised network a copy rounded to the grids.
        self._running = self._engine.parameters
        self._learned = self._running
        if network.quantisation is not None:
            self._learned = aligned_zeros(self._running.shape, dtype)
            self._learned[:] = self._running
        self._lanes = gradient_lanes(network)
        self._gradients = _gradients_for(self._engine, self._lanes)
        self._adam = Adam(settings, layout.rows, layout.size, dtype)
        self._learning = self._loss_and_surrogate()
        self._sampler = DeltaSampler(
            1.0 if settings.backward == "exact" else settings.backward_fraction,
            [connection.connection.n_out for connection in layout.forward],
            dtype,
        )
        self._targets_by_class: NDArray[np.float64] | None = None
        self._grids: Grids | None = None
        # Receives the number of weights of each row that do not round to zero.
        self._not_zero = np.zeros(layout.rows.starts.size, dtype=np.int64)
        self._use_grids()

    def _loss_and_surrogate(self) -> Learning:
        settings = self._settings
        surrogate = settings.chosen_surrogate
        a, b = surrogate.constants()
        # The kernels compute in the type of the parameters.
        real = self._learned.dtype.type
        return Learning(
            readout=READOUT_CODES[self.network.readout],
            logit_scale=settings.logit_scale,
            penalised=settings.has_penalty,
            penalties=settings.penalties(len(self._layout.forward)),
            surrogate=SURROGATE_CODES[surrogate.name],
            a=real(a),
            b=real(b),
        )

    @property
    def network(self) -> Network:
        """The network; a quantised one has its current grids."""
        return self._engine.network

    def _use_grids(self) -> None:
        """Round the parameters of a quantised network to its grids."""
        if self.network.quantisation is not None:
            self._grids = row_grids(self.network, self._layout, self._learned.dtype)
            self._round()

    def _round(self) -> None:
        """Round the parameters of the optimizer to those that run."""
        if self._grids is not None:
            rows = self._layout.rows
            chunks = rows.chunks.size - 1
            round_parameters(
                chunks, self._learned, self._running, rows, self._grids, self._not_zero
            )

    def choose_grids(self) -> None:
        """Fit each layer's grid to its weights; do nothing without quantisation."""
        if self._grids is not None:
            self._engine.use_network(with_grids(self.network, self.learned_state()))
            self._use_grids()

    def _accumulate(
        self, events: EventList, labels: Labels, seed: int
    ) -> tuple[BatchOutcome, BatchGradient]:
        """Compute the gradient of a batch, in lane 0, and its squares by chunk."""
        check_input(events, self.network)
        classes = np.asarray(labels, dtype=np.int64)
        self._check_labels(classes, events.n_samples)
        targets, target_rows = self._targets(classes)
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
        sampling = self._sampler.draw(seed, self._adam.steps_taken)
        gradient = self._gradients.add_gradients(
            batch, currents, self._learning, sampling, threads
        )
        chunks = gradient.squares.size
        gather_gradient(chunks, tuple(gradient), tuple(self._layout.rows))
        # The parts of the batch are added as Python integers, which do not overflow.
        correct, *counts = map(sum, zip(*gradient.counts.tolist(), strict=True))
        n_layers = len(self._layout.forward) + 1
        n_events = len(self._layout.connections)
        kept = counts[n_layers + n_events : -n_events]
        outcome = BatchOutcome(
            mean_loss=sum(gradient.losses.tolist()) / events.n_samples,
            correct=correct,
            spikes=tuple(counts[:n_layers]),
            synaptic_events=tuple(counts[n_layers : n_layers + n_events]),
            synapses_touched=tuple(counts[-n_events:]),
            input_macs=None if events.currents is None else self._input_macs(events),
            gradients_reached=self._layout.weights_touched(gradient.touched[0]),
            kept_deltas=tuple(kept) if sampling.scales.size else None,
        )
        return outcome, gradient

    def _check_labels(self, classes: NDArray[np.int64], n_samples: int) -> None:
        """Raise ArtifactError unless each sample has a label with an output."""
        if classes.shape != (n_samples,) or n_samples == 0:
            raise ArtifactError(
                f"there are {classes.size} labels for {n_samples} samples; a batch "
                "needs one label per sample, and at least one sample"
            )
        n_output = self.network.n_output
        # Negative labels are the largest unsigned numbers: one comparison finds both.
        if classes.view(np.uint64).max() >= n_output:
            raise ArtifactError(
                f"labels range from {classes.min()} to {classes.max()}; the network "
                f"has outputs for classes 0 to {n_output - 1}"
            )

    def _input_macs(self, events: EventList) -> int:
        return int(
            events.uses_per_source() @ self._gradients.fan_outs[: events.n_inputs]
        )

    def _targets(
        self, labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return rows of target probabilities, and each sample's row."""
        n_output = self.network.n_output
        if n_output > TABLE_CLASSES:
            targets = self._settings.targets(labels, n_output)
            return targets, np.arange(labels.size)
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
        seed: int = 0,
    ) -> BatchOutcome:
        """Run both passes, clip the gradient, and take a step of Adam."""
        outcome, gradient = self._accumulate(events, labels, seed)
        if outcome.kept_deltas is not None:
            self._sampler.adapt(outcome.kept_deltas, events.n_samples * events.n_steps)
        self._adam.step(self._learned, gradient, learning_rate)
        self._round()
        if self._layout.learned is not None:
            self._engine.use_neurons()
        return outcome

    def gradients(
        self,
        events: EventList,
        labels: Labels,
        seed: int = 0,
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Return the gradient of the batch's mean loss, neither clipped nor applied."""
        outcome, gradient = self._accumulate(events, labels, seed)
        by_name = self._layout.unpack(gradient.gradients[0])
        # The optimizer would have cleared the gradient for the next batch.
        gradient.gradients[0] = 0
        gradient.touched[0] = False
        return outcome, by_name

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in the mask of a weight matrix."""
        self._adam.kept = self._layout.pack_masks(masks, self._learned.dtype)
        self._learned *= self._adam.kept
        self._gradients.prune(masks)
        if self._grids is not None:
            # In a pruned network, a weight that rounds to zero is no synapse:
            # `round_parameters` now counts the fan-outs.
            self._not_zero = self._gradients.fan_outs
            self._round()

    def run(self, events: EventList) -> list[EventList]:
        """Return the spikes of every layer after the input, the output last."""
        return self._engine.run(events)

    def warm_up(self, events: EventList) -> None:
        """Compile the kernels (once per machine) by training a copy."""
        other = EventTrainer(
            self.network, self.state(), self._settings, self._learned.dtype
        )
        other.train_batch(events, np.zeros(events.n_samples, dtype=np.int64), 0.0)
        other.run(events)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that run, rounded if quantised."""
        return self._layout.unpack(self._running)

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that the optimizer updates."""
        return self._layout.unpack(self._learned)

    def snapshot(self) -> Snapshot:
        """Return all that the next batch depends on, after at least one batch."""
        adam = self._adam
        masks: dict[str, NDArray[np.bool_]] = {}
        if adam.kept.size:
            for name, kept in self._layout.unpack(adam.kept).items():
                if name.endswith("weight"):
                    masks[name] = kept != 0
        return Snapshot(
            learned=self.learned_state(),
            first=self._layout.unpack(adam.moments.first),
            second=self._layout.unpack(adam.moments.second),
            steps_taken=adam.steps_taken,
            masks=masks,
            exponents=exponents_of(self.network),
            scales=self._sampler.scales.copy(),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Resume, bit by bit, from a snapshot of such a trainer and network."""
        layout = self._layout
        dtype = self._learned.dtype
        self._learned[:] = layout.pack(snapshot.learned, dtype)
        self._adam.moments = Moments(
            layout.pack(snapshot.first, dtype), layout.pack(snapshot.second, dtype)
        )
        self._adam.steps_taken = snapshot.steps_taken
        self._sampler.scales[:] = snapshot.scales
        self._engine.use_network(with_exponents(self.network, snapshot.exponents))
        self._use_grids()
        if snapshot.masks:
            self.prune(snapshot.masks)
