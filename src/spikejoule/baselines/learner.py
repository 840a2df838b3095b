"""One ReLU network that learns, in floating point or in integers.

The kernels are in training/relu/kernels. The parameters that they change are those
of the optimizer; the passes see them, or in a network of integers rounded copies. The
units of the integers minimise the squared error of the weights and, on some training
images, of the activations. They are chosen anew in every epoch.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.quantised import (
    least_error_unit,
    shifted_unit,
    weight_unit,
)
from spikejoule.baselines.settings import BaselineTraining, BaselineVariant
from spikejoule.compiling.emit import aligned_zeros
from spikejoule.core.errors import ParameterError
from spikejoule.network.learning import ADAM_BETAS
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.network.torch_twin import drawn_synapses
from spikejoule.training.relu.kernels.arrays import (
    AdamArrays,
    Counted,
    Epoch,
    Learning,
)
from spikejoule.training.relu.kernels.forward import round_network
from spikejoule.training.relu.kernels.learning import learn
from spikejoule.training.relu.layout import ReluLayout, floating
from spikejoule.training.relu.running import intensities


class Learner:
    """A ReLU network, its integers and the state of its optimizer.

    Args:
        variant: the network.
        settings: how to train.
        seed: seed of the initial weights.
        calibration: pixels uint8 [n, pixels] that decide the units of activations.
    """

    def __init__(
        self,
        variant: BaselineVariant,
        settings: BaselineTraining,
        seed: int,
        calibration: NDArray[np.uint8],
    ) -> None:
        self._variant = variant
        self._settings = settings
        self._calibration = calibration
        self._is_integer = variant.bits != FLOAT_BITS
        shapes = variant.network.parameter_shapes()
        self._layout = ReluLayout(shapes)
        self._grids = floating(len(self._layout.layers))
        initial = drawn_synapses(shapes, seed)
        parameters = self._layout.flat(
            {name: values.numpy() for name, values in initial.items()}
        )
        size = parameters.shape
        is_pruned = variant.pruning.pruned_fraction > 0
        self._adam = AdamArrays(
            parameters=parameters,
            first=aligned_zeros(size, np.float32),
            second=aligned_zeros(size, np.float32),
            kept=np.ones(size if is_pruned else 0, np.float32),
            weight_decay=np.array([settings.weight_decay], np.float32),
        )
        # Powers of Adam's constants: products, because a power's rounding differs
        # between mathematical libraries.
        self._powers = np.ones(len(ADAM_BETAS))
        seen = aligned_zeros(size, np.float32) if self._is_integer else parameters
        self._weights = self._layout.weights(seen, self._levels(), self._grids)
        n_layers = len(self._layout.layers)
        self._counted = Counted(np.zeros(n_layers, int), np.zeros(n_layers, int))
        self._workspace = self._layout.workspace(settings.batch_size)

    def _levels(self) -> NDArray[np.float32]:
        """The value of each brightness of a pixel, float32 [256]."""
        threshold = self._variant.pixel_threshold
        if threshold is not None:
            return (np.arange(256) > threshold).astype(np.float32)
        return intensities(2**self._variant.pixel_bits)

    def state(self) -> State:
        """A copy of the parameters, not rounded."""
        return self._layout.state(self._adam.parameters)

    @property
    def products(self) -> NDArray[np.int64]:
        """Products of values other than zero in all epochs so far, int64 [L].

        Removed weights keep their place, and are still multiplied.
        """
        return self._counted.values * self._units_after

    @property
    def gradients_reached(self) -> NDArray[np.int64]:
        """Gradients of weights that were not known to be zero, of all batches, [L]."""
        return self._counted.sources * self._units_after

    @property
    def _units_after(self) -> NDArray[np.int64]:
        return np.array([layer.n_units for layer in self._layout.layers])

    def units(self) -> dict[str, NDArray[np.float64]]:
        """The units of an integer network, one per layer and one per hidden layer."""
        if not self._is_integer:
            return {}
        return {
            "weight_units": self._grids.weight_units.astype(np.float64),
            "activation_units": self._grids.activation_units[:-1].astype(np.float64),
        }

    def learn(
        self,
        epoch: int,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        rates: Sequence[float],
    ) -> None:
        """Learn from the images of an epoch.

        Args:
            epoch: from 1 on.
            images: uint8 [N, pixels].
            labels: uint8 [N].
            rates: learning rate of each batch.

        Raises:
            ParameterError: the network diverged.
        """
        self._prune(epoch)
        if self._is_integer:
            self._choose_units()
        self._take_steps(images, labels, self._steps(rates))
        if not np.isfinite(self._adam.parameters).all():
            raise ParameterError(
                f"a ReLU network diverged in epoch {epoch}: its weights are not "
                f"finite; baseline.lr is {self._settings.lr}, use a smaller one"
            )

    def _take_steps(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        steps: NDArray[np.float32],
    ) -> None:
        smoothing = self._settings.label_smoothing
        other = smoothing / self._layout.layers[-1].n_units
        epoch = Epoch(
            images=images,
            labels=labels,
            steps=steps,
            targets=np.array([other, 1 - smoothing + other], np.float32),
        )
        learning = Learning(self._weights, self._adam, self._workspace, self._counted)
        learn(epoch, learning)

    def warm_up(self) -> None:
        """Compile the kernels, without taking a step."""
        nothing = self._calibration[:0]
        self._take_steps(nothing, np.empty(0, np.uint8), np.empty((0, 2), np.float32))
        self.scores(self._calibration[:1])
        round_network(self._adam.parameters, self._weights)

    def _steps(self, rates: Sequence[float]) -> NDArray[np.float32]:
        """Adam's rate and correction in each batch, float32 [batches, 2]."""
        steps = np.empty((len(rates), 2), np.float32)
        for number, rate in enumerate(rates):
            self._powers *= ADAM_BETAS
            rest1, rest2 = (1 - self._powers).tolist()
            steps[number] = rate / rest1, 1 / math.sqrt(rest2)
        return steps

    def _prune(self, epoch: int) -> None:
        """Remove the synapses that are due; being smallest, they stay removed."""
        pruning = self._variant.pruning
        fraction = pruning.pruned_fraction_at(epoch, self._settings.max_epochs)
        if fraction:
            state = self.state()
            kept = {
                name: np.ones_like(values) for name, values in state.items()
            } | pruning_masks(state, fraction)
            self._adam.kept[:] = self._layout.flat(kept)
            self._adam.parameters[:] *= self._adam.kept

    def _choose_units(self) -> None:
        """Choose units of least squared error: of all weights, then layer by layer."""
        variant = self._variant
        grids = self._grids
        weight_top = 2 ** (variant.bits - 1) - 1
        activation_top = 2**variant.activation_bits - 1
        half = np.float32(2.0 ** (variant.sum_bits - 1))
        grids.weight_tops[:] = weight_top
        grids.activation_tops[:] = activation_top
        grids.half_sums[:] = half
        # Layers without a unit are not rounded yet.
        grids.activation_units[:] = 0
        is_binary = variant.pixel_threshold is not None
        source_unit = np.float32(1 if is_binary else 1 / np.float32(activation_top))
        for number, (weight, _) in enumerate(weights_and_biases(self.state())):
            unit = np.float32(weight_unit(weight, weight_top))
            grids.weight_units[number] = unit
            sum_unit = unit * source_unit
            grids.sum_units[number] = sum_unit
            if variant.sum_bits < FLOAT_BITS:
                grids.lowest_sums[number] = -half * sum_unit
                grids.highest_sums[number] = (half - np.float32(1)) * sum_unit
            if variant.shifts:
                # Shifts round half a unit up. Sums are whole, so a quarter decides.
                grids.added[number] = sum_unit / np.float32(4)
            round_network(self._adam.parameters, self._weights)
            if number + 1 < len(self._layout.layers):
                sums = self._run(number, self._calibration)
                chosen = least_error_unit(sums, activation_top)
                if variant.shifts:
                    chosen = shifted_unit(float(np.float32(chosen)), float(sum_unit))
                source_unit = np.float32(chosen)
                grids.activation_units[number] = source_unit

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class scores [N, classes] of pixels uint8 [N, pixels], as in training."""
        return self._run(len(self._layout.layers) - 1, images)

    def _run(self, number: int, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Activations of a layer, [N, units]."""
        return self._layout.run(images, self._weights, self._workspace, [number])[0]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays that the next epoch depends on."""
        names = ("parameters", "first", "second", "kept")
        arrays = {name: getattr(self._adam, name) for name in names}
        return {**arrays, "powers": self._powers, **self._counted._asdict()}

    def saved(self) -> dict[str, NDArray[Any]]:
        """A copy of all that `resume_from` needs."""
        return {name: values.copy() for name, values in self._arrays().items()}

    def resume_from(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Restore what another learner `saved`."""
        for name, values in self._arrays().items():
            values[:] = saved[name]
