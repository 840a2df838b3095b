"""ReLU networks of one architecture that learn side by side, as one computation.

K networks, all of floating point or all of integers, see the same batches. Their first layers are
one matrix product, the others products of K matrices each; in what else they differ, pruning and
width, stands in masks and units. So an image is drawn, and an operation started, once for all.

A network of integers is trained as such: forward and backward pass see rounded weights and
activations and saturated sums, and the gradient goes straight through to the weights in floating
point that the optimizer keeps (Bengio, Leonard and Courville 2013, arXiv:1308.3432). The ranges are
those of least squared error, of weights and, on some training images, of activations; they are
chosen anew before each epoch, as the grids of a spiking network of integers are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    in_integers,
    least_error_unit,
    weight_unit,
)
from spikejoule.baselines.settings import BaselineTraining, Variant
from spikejoule.core.errors import ParameterError
from spikejoule.core.resume import Checkpoint
from spikejoule.model.network import State, weights_and_biases
from spikejoule.model.pruning import pruning_masks
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.model.torch_twin import initial_state
from spikejoule.training.epochs import RunningSchedule
from spikejoule.training.teacher import intensities

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""The entries of Adam's state."""


class TrainedBaseline:
    """The epochs of a network so far, and the best weights of them.

    Attributes:
        variant: which network.
        validation_accuracies_percent: after each epoch; of integers, as they are in floating point.
        best_epoch: that with the best validation accuracy (the first of equals), from 1 on, of
            those in which its pruning was done; 0 before.
        weights: of that epoch: the parameters and, of integers, what they are multiples of.
    """

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.validation_accuracies_percent: list[float] = []
        self.best_epoch = 0
        self.weights: Mapping[str, NDArray[Any]] = {}

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Of the weights that were kept."""
        return self.validation_accuracies_percent[self.best_epoch - 1]

    @property
    def network(self) -> State | QuantisedNetwork:
        """The best network: its parameters, or its integers."""
        state = {name: self.weights[name] for name in self.variant.architecture.parameter_shapes()}
        of = self.variant
        if of.bits == FLOAT_BITS:
            return state
        units, activation_units = self.weights["weight_units"], self.weights["activation_units"]
        widths = of.activation_bits, of.bits, of.sum_bits
        return in_integers(state, units.tolist(), activation_units.tolist(), *widths)

    def is_best(self, accuracy_percent: float, max_epochs: int) -> bool:
        """Add the accuracy of an epoch; whether its weights are the best until now."""
        best = self.best_validation_accuracy_percent if self.best_epoch else -1.0
        self.validation_accuracies_percent.append(accuracy_percent)
        epoch = len(self.validation_accuracies_percent)
        if not self.variant.pruning.is_pruned_by(epoch, max_epochs) or accuracy_percent <= best:
            return False
        self.best_epoch = epoch
        return True


class BatchedNetworks:
    """K networks that differ in pruning and width alone.

    Args:
        variants: the networks, all in floating point or all in integers; their layer sizes and the
            widths of their pixels and of their sums are the same.
        settings: how to train.
        n_batches: of an epoch.
        seed: of the first weights, which are the same in all.
        calibration: images uint8 [n, ...] by which the ranges of activations are chosen.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        settings: BaselineTraining,
        n_batches: int,
        seed: int,
        calibration: NDArray[np.uint8],
    ) -> None:
        self.variants = tuple(variants)
        self.trained = [TrainedBaseline(variant) for variant in variants]
        self._settings, self._calibration, self._n_batches = settings, calibration, n_batches
        self._integers, self._sum_bits = variants[0].bits != FLOAT_BITS, variants[0].sum_bits
        n_steps = n_batches * settings.max_epochs
        self._schedules = [
            RunningSchedule(settings.chosen_schedule, settings.lr, n_steps) for _ in variants
        ]
        self._seen = {
            name: values.repeat(len(self.variants), *[1] * values.ndim).requires_grad_()
            for name, values in initial_state(self.variants[0].architecture, seed).items()
        }
        """What forward and backward pass see, [K, ...] each."""
        exact = {name: values.detach() for name, values in self._seen.items()}
        self._exact = {name: of.clone() for name, of in exact.items()} if self._integers else exact
        """The parameters in floating point, [K, ...]: the same, or those that are rounded."""
        self._kept = [
            {name: torch.nn.Parameter(values[k]) for name, values in self._exact.items()}
            for k in range(len(self.variants))
        ]
        """By network, views of what the optimizer changes."""
        is_pruned = any(variant.pruning.pruned_fraction for variant in variants)
        self._masks = {
            name: torch.ones_like(of)
            for name, of in self._exact.items()
            if is_pruned and of.ndim == 3
        }
        self._optimizer = torch.optim.Adam(
            [{"params": list(kept.values())} for kept in self._kept],
            settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._moments = {
            f"{moment}.{name}": torch.zeros(len(variants))
            if moment == "step"
            else torch.zeros_like(of)
            for name, of in self._exact.items()
            for moment in _MOMENTS
        }
        """The state of Adam, [K] or [K, ...]."""
        for k, kept in enumerate(self._kept):
            for name, parameter in kept.items():
                # As torch does before its first step.
                self._optimizer.state[parameter] = {
                    moment: self._moments[f"{moment}.{name}"][k] for moment in _MOMENTS
                }
        self._weight_tops, self._activation_tops = (
            torch.tensor([2.0**bits - 1 for bits in widths])[:, None, None]
            for widths in (
                [of.bits - 1 for of in variants],
                [of.activation_bits for of in variants],
            )
        )
        """The largest integers of the widths, [K, 1, 1]."""
        self._weight_units: list[Tensor] = []
        self._activation_units: list[Tensor] = []

    def learn(self, epoch: int, images: Tensor, labels: Tensor) -> None:
        """Learn from the images of an epoch (from 1 on), uint8 [N, pixels], and their labels [N].

        Raises ParameterError if a network diverges.
        """
        self._prune(epoch)
        self._choose_units()
        for first in range(0, len(labels), self._settings.batch_size):
            chosen = slice(first, first + self._settings.batch_size)
            self._step(self._pixels(images[chosen]), labels[chosen])
        if not all(bool(values.isfinite().all()) for values in self._seen.values()):
            raise ParameterError(
                f"a ReLU network diverged in epoch {epoch}: its weights are not finite; "
                f"baseline.lr is {self._settings.lr}, use a smaller one"
            )

    def validate(self, images: NDArray[np.uint8], labels: Tensor) -> None:
        """Measure the accuracy of each network after an epoch, and keep those that are the best."""
        with torch.no_grad():
            answers = self._scores(self._pixels(images)).argmax(dim=2)
        correct = (answers == labels).sum(dim=1).tolist()
        for k, (trained, n_correct) in enumerate(zip(self.trained, correct, strict=True)):
            accuracy = 100 * n_correct / len(labels)
            self._schedules[k].after_epoch(accuracy)
            if trained.is_best(accuracy, self._settings.max_epochs):
                trained.weights = self._weights(k)

    def _weights(self, k: int) -> dict[str, NDArray[Any]]:
        """A copy of network k as it is: parameters and, of integers, their units, float64."""
        weights = {name: of[k].numpy().copy() for name, of in self._exact.items()}
        units = {"weight_units": self._weight_units, "activation_units": self._activation_units}
        return weights | {
            name: np.array([float(of_all[k]) for of_all in of_layers])
            for name, of_layers in units.items()
            if self._integers
        }

    def _tensors(self) -> dict[str, Tensor]:
        """All that the next epoch depends on: parameters, masks, Adam's state."""
        named = {"learned": self._exact, "mask": self._masks}
        return self._moments | {
            f"{kind}.{name}": of for kind, tensors in named.items() for name, of in tensors.items()
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """What `resume_from` needs, a copy of it."""
        arrays = {name: of.numpy().copy() for name, of in self._tensors().items()}
        for k, trained in enumerate(self.trained):
            arrays |= {f"{k}.best.{name}": values for name, values in trained.weights.items()}
            arrays[f"{k}.accuracies"] = np.array(trained.validation_accuracies_percent)
            arrays[f"{k}.best_epoch"] = np.array([trained.best_epoch])
        return arrays

    def resume_from(self, state: Checkpoint) -> None:
        """Let fresh networks resume from the arrays of a `state`, to the same bits.

        Raises KeyError, RuntimeError or ValueError if it is of other networks.
        """
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state.arrays[name]))
        for k, trained in enumerate(self.trained):
            accuracies = state.arrays[f"{k}.accuracies"].tolist()
            trained.validation_accuracies_percent = accuracies
            trained.best_epoch = int(state.arrays[f"{k}.best_epoch"][0])
            trained.weights = state.part(f"{k}.best.").arrays
            self._schedules[k].after_epochs(accuracies, self._n_batches)

    @property
    def _n_hidden(self) -> int:
        return len(self.variants[0].architecture.connections) - 1

    def _pixels(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        values, bits = intensities(images), self.variants[0].pixel_bits
        if bits == 8:
            return values
        top = 2**bits - 1
        return values.mul_(top).round_().div_(top)

    def _sums(self, layer: int, sources: Tensor) -> Tensor:
        """What reaches the units of a layer, [K, B, units], from pixels [B, I] or [K, B, units]."""
        weight, bias = weights_and_biases(self._seen)[layer]
        if layer == 0:
            biases = None if bias is None else bias.flatten()
            of_all = functional.linear(sources, weight.flatten(0, 1), biases)
            sums = of_all.view(len(sources), *weight.shape[:2]).transpose(0, 1)
        elif bias is None:
            sums = torch.bmm(sources, weight.transpose(1, 2))
        else:
            sums = torch.baddbmm(bias[:, None], sources, weight.transpose(1, 2))
        if self._sum_bits < FLOAT_BITS:
            half, units = 2.0 ** (self._sum_bits - 1), self._sum_units(layer)
            # The values alone: their gradient goes straight through.
            sums.detach().clamp_(-half * units, (half - 1) * units)
        return sums

    def _activations(self, layer: int, sums: Tensor) -> Tensor:
        if not self._integers:
            return functional.relu(sums)
        activations: Tensor = _RoundedReLU.apply(  # type: ignore[no-untyped-call]
            sums, self._activation_units[layer], self._activation_tops
        )
        return activations

    def _scores(self, values: Tensor) -> Tensor:
        """Of the classes, [K, B, classes], from pixels [B, I]."""
        for layer in range(self._n_hidden):
            values = self._activations(layer, self._sums(layer, values))
        return self._sums(self._n_hidden, values)

    def _step(self, pixels: Tensor, labels: Tensor) -> None:
        loss = functional.cross_entropy(
            self._scores(pixels).flatten(0, 1),
            labels.repeat(len(self.variants)),
            label_smoothing=self._settings.label_smoothing,
            reduction="sum",
        )
        (loss / len(labels)).backward()  # type: ignore[no-untyped-call]
        for name, seen in self._seen.items():
            assert seen.grad is not None
            for kept, gradient in zip(self._kept, seen.grad, strict=True):
                kept[name].grad = gradient
            seen.grad = None
        for group, schedule in zip(self._optimizer.param_groups, self._schedules, strict=True):
            group["lr"] = schedule.learning_rate
            schedule.after_batch()
        self._optimizer.step()
        self._remove()
        self._round()

    def _prune(self, epoch: int) -> None:
        for k, variant in enumerate(self.variants):
            fraction = variant.pruning.pruned_fraction_at(epoch, self._settings.max_epochs)
            if fraction:
                state = {name: of[k].numpy() for name, of in self._exact.items()}
                for name, mask in pruning_masks(state, fraction).items():
                    self._masks[name][k].copy_(torch.from_numpy(mask.astype(np.float32)))
        self._remove()

    def _remove(self) -> None:
        """Make removed weights 0 again, so that they are also the next to be removed."""
        for name, mask in self._masks.items():
            self._exact[name].mul_(mask)

    def _choose_units(self) -> None:
        """Those of least squared error: of weights, then of activations, layer by layer."""
        if not self._integers:
            return
        self._weight_units, self._activation_units = [], []
        for of_all, _ in weights_and_biases(self._exact):
            units = [
                weight_unit(of.numpy(), variant.bits)
                for of, variant in zip(of_all, self.variants, strict=True)
            ]
            self._weight_units.append(torch.tensor(units)[:, None, None])
        self._round()
        values = self._pixels(self._calibration)
        with torch.no_grad():
            for layer in range(self._n_hidden):
                sums = self._sums(layer, values)
                outputs = functional.relu(sums)
                units = [
                    least_error_unit(of.numpy(), top)
                    for of, top in zip(outputs, map(int, self._activation_tops), strict=True)
                ]
                self._activation_units.append(torch.tensor(units)[:, None, None])
                self._round()
                values = self._activations(layer, sums)

    def _round(self) -> None:
        """Let the passes see rounded parameters; biases are rounded to units of the sums, as far as
        the activations' units are chosen."""
        if not self._integers:
            return
        pairs = zip(weights_and_biases(self._exact), weights_and_biases(self._seen), strict=True)
        for layer, ((weight, bias), (seen_weight, seen_bias)) in enumerate(pairs):
            units = self._weight_units[layer]
            whole = _whole(weight, units, seen_weight)
            whole.clamp_(-self._weight_tops, self._weight_tops).mul_(units)
            if bias is not None and seen_bias is not None and layer <= len(self._activation_units):
                units, half = self._sum_units(layer)[:, 0], 2.0 ** (self._sum_bits - 1)
                _whole(bias, units, seen_bias).clamp_(-half, half - 1).mul_(units)

    def _sum_units(self, layer: int) -> Tensor:
        """What an integer 1 stands for in the sums of a layer, [K, 1, 1]."""
        sources = [1 / self._activation_tops, *self._activation_units]
        return self._weight_units[layer] * sources[layer]


def _whole(exact: Tensor, units: Tensor, seen: Tensor) -> Tensor:
    """What the passes see of a parameter, which now holds whole numbers of units."""
    return torch.div(exact, units, out=seen.detach()).round_()


class _RoundedReLU(torch.autograd.Function):
    """ReLU of K networks, a multiple of a unit up to `top` of them.

    The gradient is that of the ReLU, and 0 beyond the range. `sums` are [K, ...], `unit` and `top`
    [K, 1, 1].
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, unit: Tensor, top: Tensor) -> Tensor:
        rounded = torch.minimum(sums.clamp(min=0).div_(unit), top)
        ctx.save_for_backward((rounded > 0) & (rounded < top))
        return rounded.round_().mul_(unit)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (passes,) = ctx.saved_tensors
        return gradient * passes, None, None
