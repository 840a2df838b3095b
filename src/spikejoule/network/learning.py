"""Loss, surrogate gradient and optimizer: the settings of a single training step.

The loss of a sample is its cross-entropy plus an optional penalty on its spikes. If
layer l emits S_l spikes, the penalty is the sum over the layers after the input of

    spike_penalty_l max(0, S_l - spike_target_l) / 1000

Above the target, one more spike of a unit raises S_l by 1; the spike itself is
differentiated with the surrogate, as in the cross-entropy. Source: Zenke and Vogels,
Neural Computation 33(4), 2021, doi:10.1162/neco_a_01367 (spikes above a bound).

The input layer has no penalty: its spikes do not depend on weights.
"""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import (
    ByLayer,
    ParameterSection,
    Problem,
    Real,
    allowed_lengths,
    chooses,
    number_or_list,
)
from spikejoule.network.surrogates import SURROGATES, Surrogate

# Constants of Adam (Kingma and Ba 2015, arXiv:1412.6980).
ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8

PENALISED_TOGETHER: Final = 1000
"""A penalty is the loss per this many spikes."""

if TYPE_CHECKING:
    BySpikingLayer = ByLayer
else:
    BySpikingLayer = number_or_list(0)


@chooses(SURROGATES)
class LearningSettings(ParameterSection):
    """Loss, gradient and optimizer.

    Attributes:
        surrogate: name of the surrogate derivative
            (:mod:`spikejoule.network.surrogates`). `chooses` adds its parameter
            `surrogate_slope`; None takes the slope of the publication.
        logit_scale: factor from scores (`network.readout`) to logits: output spike
            counts, or potentials.
        label_smoothing: fraction of the target spread evenly over all classes
            (Szegedy et al., CVPR 2016, arXiv:1512.00567).
        weight_decay: L2 penalty, added to the gradient as in ``torch.optim.Adam``.
        grad_clip_norm: largest norm of the gradient over all parameters; 0 does not
            clip.
        spike_penalty: loss per 1,000 spikes of a layer above `spike_target`; 0 for
            none.
        spike_target: spikes of a layer per sample without penalty.
        backward: ``exact``, or ``sampled``: only some deltas of a hidden layer travel
            back to the hidden layer before it, chosen by their size at random, and
            scaled so that the expected gradient is the exact one.
        backward_fraction: sampled: fraction of the deltas that travel back.

    Penalties and targets are numbers, or tuples of one number per layer after the
    input.
    """

    surrogate: str = "arctangent"
    logit_scale: Real = Field(default=1.0, gt=0)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)
    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    grad_clip_norm: Real = Field(default=0.0, ge=0)
    spike_penalty: BySpikingLayer = 0.0
    spike_target: BySpikingLayer = 0.0
    backward: Literal["exact", "sampled"] = "exact"
    backward_fraction: Real = Field(default=0.05, gt=0, le=1)

    def targets(self, labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
        """The target probability of each class, float64 [B, n_classes].

        Args:
            labels: class of each sample, [B].
            n_classes: number of classes.
        """
        probabilities = np.full(
            (labels.size, n_classes), self.label_smoothing / n_classes
        )
        probabilities[np.arange(labels.size), labels] += 1 - self.label_smoothing
        return probabilities

    def check_backward(self, engine: str, plain_layers: int) -> None:
        """Raise ParameterError where deltas cannot be sampled.

        Args:
            engine: ``event`` or ``dense``.
            plain_layers: hidden layers, 0 unless all are fully connected and not
                recurrent.
        """
        if self.backward == "sampled" and (engine != "event" or plain_layers < 2):
            raise ParameterError(
                "allowed: exact; or sampled, with engine event and two or more fully "
                "connected hidden layers without recurrence"
            )

    @property
    def has_penalty(self) -> bool:
        """Whether spikes add to the loss."""
        return bool(np.any(self.spike_penalty))

    def penalty_problem(self, n_layers: int) -> Problem | None:
        """Find a penalty or target whose tuple has the wrong length.

        Args:
            n_layers: layers after the input.

        Returns:
            None if all lengths fit.
        """
        for name in ("spike_penalty", "spike_target"):
            values = getattr(self, name)
            if isinstance(values, tuple) and len(values) != n_layers:
                return Problem(name, allowed_lengths(n_layers))
        return None

    def penalties(self, n_layers: int) -> NDArray[np.float64]:
        """The penalties of each layer, float64 [n_layers, 2].

        The columns are the loss per spike above the target, and the target.

        Args:
            n_layers: layers after the input.

        Raises:
            ParameterError: a tuple has the wrong length.
        """
        problem = self.penalty_problem(n_layers)
        if problem:
            raise ParameterError(f"{problem.key} must be {problem.allowed}")
        table = np.zeros((n_layers, 2))
        table[:, 0] = np.divide(self.spike_penalty, PENALISED_TOGETHER)
        table[:, 1] = self.spike_target
        return table

    @property
    def chosen_surrogate(self) -> Surrogate:
        """The surrogate derivative with its slope."""
        return SURROGATES.chosen_in(self)
