"""The event-driven engine: a thin shell that gives flat arrays to the compiled kernels."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros, even_parts
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
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
from spikejoule.engine.kernels.forward import add_current_gradients, bias_rows, layer_forward_lanes
from spikejoule.engine.kernels.integer import integer_forward_lanes
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.optimizer import (
    TINY,
    adam_step,
    clip_coefficient,
    gather_gradient,
    round_parameters,
)
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    AdamSettings,
    Batch,
    ConstantInputs,
    Grids,
    IntegerParameters,
    Learning,
    Moments,
    NetworkArrays,
    Spikes,
)
from spikejoule.engine.kernels.through_time import SURROGATE_CODES
from spikejoule.engine.workspace import (
    gradient_of_batch,
    neuron_of_layer,
    neuron_table,
    new_workspace,
    no_moments,
    row_grids,
    slots_for,
)
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON, LearningSettings
from spikejoule.network.network import Network, State
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import (
    integers_of,
    layer_constants,
    quantisation_of,
    with_grids,
)

GRADIENT_LANES = 2
"""Parts in which the gradient of a batch is summed. The last bits of a result depend on it; it does
not depend on the machine, and more threads than these share the parts out (workspace.py)."""

TABLE_CLASSES = 1000
"""Classes up to which the targets of all are computed once; of more, a batch computes its own."""


def reset_code(architecture: Network) -> int:
    """By which kernels know the reset of the neurons."""
    neuron = architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO


class EventEngine:
    """Trains and runs the network on event lists; see :class:`spikejoule.engine.interface.Engine`.

    Args:
        architecture: layer sizes and neurons of the LIF model; a quantised one has its grids.
        state: initial parameters.
        settings: how to learn; not needed to run.
        dtype: float32, or float64 for exact comparisons.
        lanes: see :data:`GRADIENT_LANES`.
    """

    name = "event"
    device = "cpu"

    def __init__(
        self,
        architecture: Network,
        state: State,
        settings: LearningSettings | None = None,
        dtype: DTypeLike = np.float32,
        lanes: int = GRADIENT_LANES,
    ) -> None:
        self._settings = settings or LearningSettings()
        kind: Callable[[float], Any] = np.dtype(dtype).type
        self._type = kind
        surrogate = self._settings.chosen_surrogate
        a, b = surrogate.constants()
        self._learning = Learning(
            logit_scale=self._settings.logit_scale,
            penalised=self._settings.has_penalty,
            penalties=self._settings.penalties(len(architecture.layers) - 1),
            surrogate=SURROGATE_CODES[surrogate.name],
            a=kind(a),
            b=kind(b),
        )
        beta1, beta2 = ADAM_BETAS
        self._adam = AdamSettings(
            clip=kind(1),
            weight_decay=kind(self._settings.weight_decay),
            beta1=kind(beta1),
            rest1=kind(1 - beta1),
            beta2=kind(beta2),
            rest2=kind(1 - beta2),
            rate=kind(0),
            correction=kind(1),
            epsilon=kind(ADAM_EPSILON),
            tiny=kind(TINY),
        )
        self._targets_by_class: NDArray[np.float64] | None = None
        layout = self._layout = self._layout_of(architecture)
        self._kept, fan_outs = np.empty(0, dtype), layout.pack_masks({}, dtype)[1]
        self._not_zero = np.zeros_like(fan_outs)
        # What the optimizer keeps; what runs is the same, or its copy on the grids.
        self._learned = layout.pack(state, dtype)
        self._network = self._arrays(architecture, fan_outs)
        self._no_rows = np.empty((2, 0), dtype)
        self._lanes = lanes
        self._steps_taken = 0
        self._moments: Moments | None = None
        self._workspace: Any = None
        self._use_grids(architecture)

    def _layout_of(self, architecture: Network) -> Any:
        """Where parameters lie; a :class:`ParameterLayout`, or what stands for it."""
        return ParameterLayout.of(architecture)

    def _arrays(self, architecture: Network, fan_outs: NDArray[np.int64]) -> Any:
        """What the kernels know of the network; ``NetworkArrays``, or what stands for them."""
        layout, dtype = self._layout, self._learned.dtype
        is_float = architecture.quantisation is None
        return NetworkArrays(
            layers=layout.table,
            parameters=self._learned if is_float else aligned_zeros((layout.size,), dtype),
            transposed=aligned_zeros((max(layout.transposed_size, 1),), dtype),
            fan_outs=fan_outs,
            learned_start=layout.learned_start,
            learned_row=layout.learned_row,
            constants=np.empty((len(layout.layers), 6), dtype),
            reset=reset_code(architecture),
            on_grid=int(not is_float),
        )

    @property
    def architecture(self) -> Network:
        """The network's, with its present grids if it is quantised."""
        return self._architecture

    def _use_grids(self, architecture: Network) -> None:
        """Take over the constants of the neurons, and the grids of a quantised network."""
        self._architecture = architecture
        self._use_learned()
        self._grids: Grids | None = None
        if architecture.quantisation is not None:
            self._grids = row_grids(architecture, self._layout, self._learned.dtype)
            self._round()

    def _round(self) -> None:
        """Bring what runs up to date with what the optimizer keeps."""
        if self._grids is not None:
            parameters, not_zero = self._network.parameters, self._not_zero
            round_parameters(self._learned, parameters, self._layout.rows, self._grids, not_zero)

    def choose_grids(self) -> None:
        """Fit the grid of each layer to its weights; nothing without quantisation."""
        if self._grids is not None:
            self._use_grids(with_grids(self._architecture, self.learned_state()))

    def _use_learned(self) -> None:
        """Take over the constants of the neurons as they are learned by now."""
        learned = self._architecture.learned_from(self._layout.learned(self._learned))
        self._network.constants[:] = neuron_table(learned, self._learned.dtype)

    def _prepare_training(self, n_steps: int, threads: int) -> Any:
        """Allocate what training needs, once for a window and a number of threads."""
        layout, kind = self._layout, self._network.parameters.dtype
        used, shape = self._workspace, (n_steps, slots_for(layout, n_steps, self._lanes, threads))
        if used is None or (used.n_steps, len(used.counts)) != shape:
            learns = self._network.learned_start >= 0
            self._workspace = used = new_workspace(layout, *shape, self._lanes, learns, kind)
        if self._moments is None:
            self._moments = no_moments(layout.size, kind)
        return used

    def _accumulate(
        self, events: EventList, labels: Labels, teacher: Teacher
    ) -> tuple[BatchOutcome, Any]:
        """Leave the gradient in lane 0 of the workspace, and its squares by chunk."""
        check_input(events, self._architecture)
        classes = np.asarray(labels, dtype=np.int64)
        if classes.shape != (events.n_samples,) or events.n_samples == 0:
            raise ArtifactError(
                f"there are {classes.size} labels for {events.n_samples} samples; a batch needs "
                "one label a sample, and one sample at least"
            )
        n_output = self._architecture.n_output
        if classes.view(np.uint64).max() >= n_output:  # where a label below 0 is beyond all others
            raise ArtifactError(
                f"labels run from {classes.min()} to {classes.max()}; the network tells classes "
                f"0 to {n_output - 1} apart"
            )
        threads = numba.get_num_threads()
        workspace = self._prepare_training(events.n_steps, threads)
        targets, target_rows = self._targets(classes, teacher)
        currents = constant_inputs(events, self._learned.dtype)
        batch = Batch(
            sources=events.sources,
            offsets=events.offsets,
            own=self._no_rows,
            labels=classes,
            targets=targets,
            target_rows=target_rows,
            bounds=even_parts(events.n_samples, self._lanes),
        )
        self._gradient_of(batch, currents, workspace, threads)
        gradients, touched = workspace.gradients, workspace.touched
        gather_gradient(gradients, touched, *self._layout.rows, workspace.squares)
        correct, *counts = map(sum, zip(*workspace.counts.tolist(), strict=True))
        n_layers = len(self._layout.layers) + 1
        outcome = BatchOutcome(
            sum(workspace.losses.tolist()) / events.n_samples,
            correct,
            tuple(counts[:n_layers]),
            tuple(counts[n_layers:]),
            None if currents is None else self._input_macs(events),
        )
        return outcome, workspace

    def _gradient_of(
        self, batch: Batch, currents: ConstantInputs | None, workspace: Any, threads: int
    ) -> None:
        """Leave the gradient of each lane in the workspace, and its losses and counts."""
        if currents is None:
            gradient_of_batch(batch, self._learning, self._network, workspace, threads)
            return
        own = self._own_biases(currents, even_parts(batch.labels.size, threads))
        batch = batch._replace(own=own)
        gradient_of_batch(batch, self._learning, self._network, workspace, threads)
        first, parts = self._layout.layers[0], -(-threads // self._lanes)
        add_current_gradients(currents, first, batch.bounds, parts, own[1], workspace)

    def _own_biases(self, currents: ConstantInputs, bounds: NDArray[np.int64]) -> NDArray[Any]:
        """A bias row for each sample, and room for its gradient, [2, samples * stride]."""
        layer, parameters = self._layout.layers[0], self._network.parameters
        size = (currents.offsets.size - 1) * layer.stride
        own = aligned_zeros((2, size), parameters.dtype)
        bias_rows(currents, layer, parameters, bounds, own[0])
        return own

    def _input_macs(self, events: EventList) -> int:
        return int(events.uses_per_source() @ self._network.fan_outs[: events.n_inputs])

    def _targets(
        self, labels: NDArray[np.int64], teacher: Teacher
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Probabilities that classes should have, in rows, and the row of each sample."""
        n_output = self._architecture.n_output
        if teacher is not None or n_output > TABLE_CLASSES:
            return self._settings.targets(labels, n_output, teacher), np.arange(labels.size)
        if self._targets_by_class is None:
            self._targets_by_class = self._settings.targets(np.arange(n_output), n_output)
        return self._targets_by_class, labels

    def train_batch(
        self, events: EventList, labels: Labels, learning_rate: float, teacher: Teacher = None
    ) -> BatchOutcome:
        """One forward pass, backward pass, clipping and step of Adam."""
        outcome, workspace = self._accumulate(events, labels, teacher)
        kind = self._type
        assert self._moments is not None
        self._steps_taken += 1
        clip = clip_coefficient(workspace.squares, self._settings.grad_clip_norm)
        beta1, beta2 = ADAM_BETAS
        correction1 = 1 - beta1**self._steps_taken
        correction2 = 1 - beta2**self._steps_taken
        adam_step(
            self._learned,
            workspace.gradients[0],
            workspace.touched[0],
            tuple(self._moments),
            tuple(self._layout.rows),
            tuple(
                self._adam._replace(
                    clip=kind(clip),
                    rate=kind(learning_rate / correction1),
                    correction=kind(1 / math.sqrt(correction2)),
                )
            ),
            self._kept,
        )
        self._round()
        if self._architecture.neuron.learned_names:
            self._use_learned()
        return outcome

    def gradients(
        self, events: EventList, labels: Labels, teacher: Teacher = None
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Gradient of the batch's mean loss for every parameter, neither clipped nor applied."""
        outcome, workspace = self._accumulate(events, labels, teacher)
        by_name = self._layout.unpack(workspace.gradients[0])
        workspace.gradients[0] = 0
        workspace.touched[0] = False
        return outcome, by_name

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in a mask, from now on; by name of weight matrix."""
        self._kept, fan_outs = self._layout.pack_masks(masks, self._learned.dtype)
        self._learned *= self._kept
        if self._grids is not None:
            # A weight that rounds to zero is no synapse in a pruned network.
            self._not_zero = fan_outs
            self._round()
        self._network = self._network._replace(fan_outs=fan_outs)

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""
        check_input(events, self._architecture)
        if self._grids is not None:
            return run_integers(self._architecture, self.learned_state(), events)
        layers = []
        for number in range(len(self._layout.layers)):
            events = self._run_layer(events, number)
            layers.append(events)
        return layers

    def _run_layer(self, events: EventList, number: int) -> EventList:
        layer, neuron = self._layout.layers[number], neuron_of_layer(self._network, number)
        n_steps, parameters = events.n_steps, self._network.parameters
        currents = constant_inputs(events, parameters.dtype)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            rows = slice(chosen.start * n_steps, chosen.stop * n_steps + 1)
            spikes = Spikes(events.sources, events.offsets[rows])
            if currents is None:
                layer_forward_lanes(spikes, layer, parameters, 0, neuron, n_steps, out)
                return
            these = currents._replace(offsets=currents.offsets[chosen.start : chosen.stop + 1])
            own, _ = self._own_biases(these, out.bounds)
            at_row = layer._replace(bias_start=0)
            layer_forward_lanes(spikes, at_row, own, layer.stride, neuron, n_steps, out)

        return collect_events(events.n_samples, n_steps, layer.n_units, fill)

    def warm_up(self, events: EventList) -> None:
        """Compile the kernels (once per machine), by a batch that another network learns from."""
        other = self.with_parameters(self.state())
        other.train_batch(events, np.zeros(events.n_samples, dtype=np.int64), 0.0)
        other.run(events)

    def with_parameters(self, state: State) -> "EventEngine":
        """The same network with other parameters, to be run."""
        kind = self._network.parameters.dtype
        return type(self)(self._architecture, state, self._settings, kind, self._lanes)

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that run: on their grids in a quantised network."""
        return dict(self._layout.unpack(self._network.parameters))

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that the optimizer keeps."""
        return dict(self._layout.unpack(self._learned))

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Adam's state in the format of ``torch.optim.Adam.state_dict``, arrays for tensors."""
        taken = None if self._moments is None else self.snapshot()
        weight_decay = self._settings.weight_decay
        return adam_state(self._architecture, taken, learning_rate, weight_decay)

    def snapshot(self) -> Snapshot:
        """All that the next batch depends on; after one batch at least."""
        assert self._moments is not None
        masks = {}
        if self._kept.size:
            ones = self._layout.unpack(self._kept)
            masks = {name: of != 0 for name, of in ones.items() if name.endswith("weight")}
        return Snapshot(
            self.learned_state(),
            self._layout.unpack(self._moments.first),
            self._layout.unpack(self._moments.second),
            self._steps_taken,
            masks,
            exponents_of(self._architecture),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from the snapshot of an engine of the same kind and network, to the same bits."""
        layout, kind = self._layout, self._learned.dtype
        self._learned[:] = layout.pack(snapshot.learned, kind)
        self._moments = Moments(
            layout.pack(snapshot.first, kind), layout.pack(snapshot.second, kind)
        )
        self._steps_taken = snapshot.steps_taken
        self._use_grids(with_exponents(self._architecture, snapshot.exponents))
        if snapshot.masks:
            self.prune(snapshot.masks)


def constant_inputs(events: EventList, dtype: DTypeLike) -> ConstantInputs | None:
    """The constant currents of an input as the kernels take them; None for one of spikes."""
    if events.currents is None:
        return None
    currents = events.currents
    return ConstantInputs(currents.sources, currents.values.astype(dtype), currents.offsets)


_STATE_TYPES = {16: np.int16, 32: np.int32}


def run_integers(architecture: Network, state: State, events: EventList) -> list[EventList]:
    """Run a quantised network in integers alone: what hardware of these widths would compute.

    The accuracy and the spikes of a quantised network are those of this path, bit for bit.

    Args:
        architecture: layer sizes, neurons, widths and grids.
        state: parameters; they are rounded to the grids.
        events: the input spikes.

    Returns:
        the spikes of every layer after the input, hidden layers first.
    """
    check_input(events, architecture)
    state_type = _STATE_TYPES[quantisation_of(architecture).state_bits]
    integers = integers_of(architecture, state)
    layers = []
    for number, constants in enumerate(layer_constants(architecture), start=1):
        weights = integers[f"layer{number}.synapses.weight"]
        n_units = len(weights)
        biases = integers.get(f"layer{number}.synapses.bias", np.zeros(n_units, np.int32))
        layer = IntegerParameters(
            weights=np.ascontiguousarray(weights.T),
            biases=biases,
            resting=np.zeros(n_units, dtype=state_type),
            threshold=constants.threshold,
            leak=constants.leak,
            lowest=constants.lowest,
            highest=constants.highest,
            subtracts=constants.subtracts,
        )
        events = _run_in_integers(events, layer)
        layers.append(events)
    return layers


def _run_in_integers(events: EventList, layer: IntegerParameters) -> EventList:
    n_steps = events.n_steps

    def fill(chosen: slice, out: LaneSpikes) -> None:
        rows = slice(chosen.start * n_steps, chosen.stop * n_steps + 1)
        spikes = Spikes(events.sources, events.offsets[rows])
        integer_forward_lanes(spikes, layer, n_steps, out)

    return collect_events(events.n_samples, n_steps, layer.biases.size, fill)
