"""Loss, surrogate gradient and optimizer: the settings of a single training step.

The loss of a sample is its cross-entropy plus an optional penalty on its spikes and
synaptic events. If layer l emits S_l spikes, which cause E_l synaptic events, the
penalty is the sum over the layers after the input of

    spike_penalty_l max(0, S_l - spike_target_l) / 1000
    + event_penalty_l max(0, E_l - event_target_l) / 1000

Above the targets, one more spike of a unit raises S_l by 1 and E_l by the unit's
fan-out; the spike itself is differentiated with the surrogate, as in the cross-entropy.
Sources: Zenke and Vogels, Neural Computation 33(4), 2021, doi:10.1162/neco_a_01367
(spikes above a bound), and Sorbaro et al., Frontiers in Neuroscience 14, 2020,
doi:10.3389/fnins.2020.00662 (synaptic operations).

The input layer has no penalty: its events do not depend on weights, only on which
synapses exist (`network/pruning.py`). Output spikes reach no synapse, so only hidden
layers have event penalties.
"""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import ParameterSection, Real, chooses
from spikejoule.network.neuron import ByLayer, allowed_lengths, number_or_list
from spikejoule.network.surrogates import SURROGATES, Surrogate

# Constants of Adam (Kingma and Ba 2015, arXiv:1412.6980).
ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8

PENALISED_TOGETHER: Final = 1000
"""A penalty is the loss per this many spikes or synaptic events."""

_SPIKING_LAYER: Final = "layer after the input"
_HIDDEN_LAYER: Final = "hidden layer"

# One number for all layers, or a tuple with one per layer.
if TYPE_CHECKING:
    BySpikingLayer = ByLayer
    ByHiddenLayer = ByLayer
else:
    BySpikingLayer = number_or_list(0)
    ByHiddenLayer = number_or_list(0, where=_HIDDEN_LAYER, at_most=8)


@chooses(SURROGATES)
class LearningSettings(ParameterSection):
    """Loss, gradient and optimizer.

    Attributes:
        surrogate: name of the surrogate derivative
            (:mod:`spikejoule.network.surrogates`). `chooses` adds its parameter
            `surrogate_slope`; None takes the slope of the publication.
        logit_scale: factor from output spike counts to logits.
        label_smoothing: fraction of the target spread evenly over all classes
            (Szegedy et al., CVPR 2016, arXiv:1512.00567).
        weight_decay: L2 penalty, added to the gradient as in ``torch.optim.Adam``.
        grad_clip_norm: largest norm of the gradient over all parameters; 0 does not
            clip.
        spike_penalty: loss per 1,000 spikes of a layer above `spike_target`; 0 for
            none.
        spike_target: spikes of a layer per sample without penalty.
        event_penalty: loss per 1,000 synaptic events of a hidden layer above
            `event_target`; 0 for none.
        event_target: synaptic events of a hidden layer per sample without penalty.

        backward: ``exact``, or ``sampled``: only some deltas of a hidden layer travel
            back to the hidden layer before it, chosen by their size at random, and
            scaled so that the expected gradient is the exact one.
        backward_fraction: sampled: fraction of the deltas that travel back.

    Penalties and targets are numbers or tuples. Tuples for spikes have one number per
    layer after the input, tuples for events one per hidden layer.
    """

    surrogate: str = "arctangent"
    logit_scale: Real = Field(default=1.0, gt=0)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)
    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    grad_clip_norm: Real = Field(default=0.0, ge=0)
    spike_penalty: BySpikingLayer = 0.0
    spike_target: BySpikingLayer = 0.0
    event_penalty: ByHiddenLayer = 0.0
    event_target: ByHiddenLayer = 0.0
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
        """Whether spikes or synaptic events add to the loss."""
        return bool(np.any(self.spike_penalty) or np.any(self.event_penalty))

    def penalty_problem(self, n_layers: int) -> tuple[str, str] | None:
        """Find a penalty or target whose tuple has the wrong length.

        Args:
            n_layers: layers after the input.

        Returns:
            its name, and what is allowed in words; None if all lengths fit.
        """
        needed = {
            "spike_penalty": (n_layers, _SPIKING_LAYER),
            "spike_target": (n_layers, _SPIKING_LAYER),
            "event_penalty": (n_layers - 1, _HIDDEN_LAYER),
            "event_target": (n_layers - 1, _HIDDEN_LAYER),
        }
        for name, (length, where) in needed.items():
            values = getattr(self, name)
            if isinstance(values, tuple) and len(values) != length:
                return name, allowed_lengths(length, where)
        return None

    def penalties(self, n_layers: int) -> NDArray[np.float64]:
        """The penalties of each layer, float64 [n_layers, 4].

        The columns are the loss per spike above the spike target, the spike target, the
        loss per synaptic event above the event target, and the event target.

        Args:
            n_layers: layers after the input.

        Raises:
            ParameterError: a tuple has the wrong length.
        """
        problem = self.penalty_problem(n_layers)
        if problem:
            raise ParameterError(f"{problem[0]} must be {problem[1]}")
        table = np.zeros((n_layers, 4))
        table[:, 0] = np.divide(self.spike_penalty, PENALISED_TOGETHER)
        table[:, 1] = self.spike_target
        table[:-1, 2] = np.divide(self.event_penalty, PENALISED_TOGETHER)
        table[:-1, 3] = self.event_target
        return table

    @property
    def chosen_surrogate(self) -> Surrogate:
        """The surrogate derivative with its slope."""
        return SURROGATES.chosen_in(self)
