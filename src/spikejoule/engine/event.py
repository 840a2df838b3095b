"""The event-driven engine: a thin shell that gives flat arrays to the compiled kernels."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikejoule.engine.interface import BatchOutcome, State
from spikejoule.engine.kernels.backward import batch_gradient
from spikejoule.engine.kernels.deltas import transpose_weights
from spikejoule.engine.kernels.derivatives import SURROGATE_CODES
from spikejoule.engine.kernels.forward import layer_forward_lanes
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.optimizer import TINY, adam_step, clip_coefficient, gather_gradient
from spikejoule.foundation.compiling.arrays import aligned_zeros, even_parts
from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.errors import ArtifactError
from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import ADAM_BETAS, ADAM_EPSILON, LearningSettings
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.spikes.buffers import collect_events
from spikejoule.spikes.events import EventList

GRADIENT_LANES = 2
"""Parts in which the gradient of a batch is summed. The last bits of a result depend on it, and
it bounds the threads that one batch can use; it does not depend on the machine."""

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in the cache."""


class EventEngine:
    """Trains and runs the network on event lists; see :class:`spikejoule.engine.interface.Engine`.

    Args:
        architecture: layer sizes and neurons of the LIF model.
        state: initial parameters.
        settings: how to learn; not needed to run.
        dtype: float32, or float64 for exact comparisons.
        lanes: see :data:`GRADIENT_LANES`.
    """

    name = "event"
    device = "cpu"

    def __init__(
        self,
        architecture: Architecture,
        state: State,
        settings: LearningSettings | None = None,
        dtype: npt.DTypeLike = np.float32,
        lanes: int = GRADIENT_LANES,
    ) -> None:
        assert isinstance(architecture.neuron, LeakyIntegrateAndFire)
        self._architecture = architecture
        self._neuron = architecture.neuron
        self._settings = settings or LearningSettings()
        self._surrogate = self._settings.chosen_surrogate
        self._type: Callable[[float], Any] = np.dtype(dtype).type
        self._layout = ParameterLayout.of(architecture)
        self._parameters = self._layout.pack(state, dtype)
        self._lanes = lanes
        self._steps_taken = 0
        self._moments: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None
        self._kept, self._fan_outs = np.empty(0, dtype), self._layout.pack_masks({}, dtype)[1]
        self._scratch: tuple[Any, ...] | None = None
        self._scratch_steps = 0

    def _check(self, events: EventList) -> None:
        if events.n_inputs != self._architecture.n_input:
            raise ArtifactError(
                f"the events come from {events.n_inputs} inputs, the network has "
                f"{self._architecture.n_input}"
            )

    def _prepare_training(self, n_steps: int) -> None:
        """Allocate what training needs, once for a window."""
        if self._scratch is not None and self._scratch_steps == n_steps:
            return
        layout, lanes, kind = self._layout, self._lanes, self._parameters.dtype
        strides = layout.layers[:, 2]
        widest = int(strides.max())
        most_sources = int(layout.layers[:, 0].max())
        layers, group = layout.layers.shape[0], GROUP_SAMPLES
        rows = group * n_steps
        self._gradients = aligned_zeros((lanes, layout.size), kind)
        self._touched = np.zeros((lanes, layout.row_starts.size), dtype=np.bool_)
        self._outcomes = (
            np.zeros((lanes, layers + 1), dtype=np.int64),
            np.zeros((lanes, layers), dtype=np.int64),
            np.zeros(lanes),
            np.zeros(lanes, dtype=np.int64),
        )
        self._squares = np.zeros(layout.chunks.size - 1)
        self._transposed = aligned_zeros((max(layout.transposed_size, 1),), kind)
        self._scratch = (
            aligned_zeros((lanes, layers, n_steps * widest), kind),
            np.zeros((lanes, n_steps * (widest // LANES)), dtype=np.uint16),
            np.zeros((lanes, self._architecture.n_output), dtype=np.int64),
            np.zeros((lanes, self._architecture.n_output), dtype=kind),
            aligned_zeros((lanes, layers, rows * widest), kind),
            np.zeros((lanes, layers, rows * widest), dtype=np.uint16),
            np.zeros((lanes, layers, rows + 1), dtype=np.int64),
            np.zeros((lanes, most_sources), dtype=np.uint32),
            np.zeros((lanes, rows * max(most_sources, widest)), dtype=np.uint32),
            np.zeros((lanes, most_sources + 1), dtype=np.uint32),
            np.zeros((lanes, most_sources + 1), dtype=np.uint32),
        )
        self._scratch_steps = n_steps
        if self._moments is None:
            self._moments = (
                aligned_zeros((layout.size,), kind),
                aligned_zeros((layout.size,), kind),
            )

    def _accumulate(self, events: EventList, labels: npt.NDArray[np.integer]) -> BatchOutcome:
        """Leave the gradient in lane 0, and its squares by chunk."""
        self._check(events)
        targets = np.asarray(labels, dtype=np.int64)
        if targets.shape != (events.n_samples,) or events.n_samples == 0:
            raise ArtifactError(
                f"there are {targets.size} labels for {events.n_samples} samples; a batch needs "
                "one label a sample, and one sample at least"
            )
        n_output = self._architecture.n_output
        if targets.min() < 0 or targets.max() >= n_output:
            raise ArtifactError(
                f"labels run from {targets.min()} to {targets.max()}; the network tells classes "
                f"0 to {n_output - 1} apart"
            )
        self._prepare_training(events.n_steps)
        layout, settings, kind = self._layout, self._settings, self._type
        a, b = self._surrogate.constants()
        batch = events.n_samples
        spikes, synaptic_events, losses, correct = self._outcomes
        transpose_weights(
            self._parameters, layout.layers, layout.transposed_starts, self._transposed
        )
        batch_gradient(
            events.sources,
            events.offsets,
            targets,
            (settings.logit_scale, settings.label_smoothing, batch),
            (
                kind(self._neuron.decay),
                kind(self._neuron.threshold),
                kind(a),
                kind(b),
            ),
            SURROGATE_CODES[self._surrogate.name],
            layout.layers,
            self._parameters,
            self._transposed,
            layout.transposed_starts,
            events.n_steps,
            even_parts(batch, self._lanes),
            GROUP_SAMPLES,
            self._gradients,
            self._touched,
            self._scratch,
            self._fan_outs,
            spikes,
            synaptic_events,
            losses,
            correct,
        )
        gather_gradient(
            self._gradients,
            self._touched,
            layout.row_starts,
            layout.row_lengths,
            layout.chunks,
            self._squares,
        )
        return BatchOutcome(
            float(losses.sum()) / batch,
            int(correct.sum()),
            tuple(int(count) for count in spikes.sum(axis=0)),
            tuple(int(count) for count in synaptic_events.sum(axis=0)),
        )

    def train_batch(
        self, events: EventList, labels: npt.NDArray[np.integer], learning_rate: float
    ) -> BatchOutcome:
        """One forward pass, backward pass, clipping and step of Adam."""
        outcome = self._accumulate(events, labels)
        settings, kind = self._settings, self._type
        assert self._moments is not None
        self._steps_taken += 1
        clip = clip_coefficient(self._squares, settings.grad_clip_norm)
        beta1, beta2 = ADAM_BETAS
        correction1 = 1 - beta1**self._steps_taken
        correction2 = 1 - beta2**self._steps_taken
        adam_step(
            self._parameters,
            self._gradients[0],
            self._touched[0],
            self._moments[0],
            self._moments[1],
            self._layout.row_starts,
            self._layout.row_lengths,
            self._layout.chunks,
            (
                kind(clip),
                kind(settings.weight_decay),
                kind(beta1),
                kind(1 - beta1),
                kind(beta2),
                kind(1 - beta2),
                kind(learning_rate / correction1),
                kind(1 / math.sqrt(correction2)),
                kind(ADAM_EPSILON),
                kind(TINY),
            ),
            self._kept,
        )
        return outcome

    def gradients(
        self, events: EventList, labels: npt.NDArray[np.integer]
    ) -> tuple[BatchOutcome, dict[str, npt.NDArray[Any]]]:
        """Gradient of the batch's mean loss for every parameter, neither clipped nor applied."""
        outcome = self._accumulate(events, labels)
        by_name = self._layout.unpack(self._gradients[0])
        self._gradients[0] = 0
        self._touched[0] = False
        return outcome, by_name

    def prune(self, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in a mask, from now on; by name of weight matrix."""
        self._kept, self._fan_outs = self._layout.pack_masks(masks, self._parameters.dtype)
        self._parameters *= self._kept

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""
        self._check(events)
        layers = []
        for row in self._layout.layers:
            events = self._run_layer(events, row)
            layers.append(events)
        return layers

    def _run_layer(self, events: EventList, row: npt.NDArray[np.int64]) -> EventList:
        _, n_units, stride, weight_start, bias_start, _ = (int(value) for value in row)
        n_steps = events.n_steps

        def fill(
            chosen: slice,
            bounds: npt.NDArray[np.int64],
            buffers: npt.NDArray[np.uint16],
            counts: npt.NDArray[np.int64],
            lengths: npt.NDArray[np.int64],
        ) -> None:
            layer_forward_lanes(
                events.sources,
                events.offsets[chosen.start * n_steps : chosen.stop * n_steps + 1],
                self._parameters,
                weight_start,
                bias_start,
                stride,
                self._type(self._neuron.decay),
                self._type(self._neuron.threshold),
                n_steps,
                bounds,
                buffers,
                counts,
                lengths,
            )

        return collect_events(events.n_samples, n_steps, n_units, fill)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """A copy of the parameters."""
        return self._layout.unpack(self._parameters)

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Adam's state in the format of ``torch.optim.Adam.state_dict``, arrays for tensors."""
        names = list(self._architecture.parameter_shapes())
        settings = self._settings
        group = {
            "lr": learning_rate,
            "betas": ADAM_BETAS,
            "eps": ADAM_EPSILON,
            "weight_decay": settings.weight_decay,
            "amsgrad": False,
            "maximize": False,
            "foreach": None,
            "capturable": False,
            "differentiable": False,
            "fused": None,
            "decoupled_weight_decay": False,
            "params": list(range(len(names))),
        }
        state: dict[int, dict[str, Any]] = {}
        if self._moments is not None:
            first, second = (self._layout.unpack(moment) for moment in self._moments)
            for index, name in enumerate(names):
                state[index] = {
                    "step": np.float32(self._steps_taken),
                    "exp_avg": first[name],
                    "exp_avg_sq": second[name],
                }
        return {"state": state, "param_groups": [group]}
