"""What a step of learning depends on, apart from the learning rate.

A sample's loss is its cross-entropy and, where asked for, a penalty on what it costs to
run: for each layer l after the input with S_l spikes, which cause E_l synaptic events,

    spike_penalty_l max(0, S_l - spike_target_l) / 1000
    + event_penalty_l max(0, E_l - event_target_l) / 1000

The derivative of S_l by a spike is 1 and that of E_l the number of the unit's synapses;
the spike's own derivative is the surrogate's, as in the rest of the loss. After Zenke
and Vogels, Neural Computation 33(4), 2021, doi:10.1162/neco_a_01367 (spikes above a
bound), and Sorbaro et al., Frontiers in Neuroscience 14, 2020,
doi:10.3389/fnins.2020.00662 (synaptic operations). The input's events depend on no
weight, but on which synapses there are (`network/pruning.py`). The output's spikes
reach no synapse: a list of penalties on events has an entry for each hidden layer
alone.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import ParameterSection, Real, chooses
from spikejoule.network.neuron import ByLayer, allowed_lengths, number_or_list
from spikejoule.network.surrogates import SURROGATES, Surrogate

ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8
"""Adam's constants (Kingma and Ba 2015, arXiv:1412.6980)."""


PENALISED_TOGETHER: Final = 1000
"""Spikes, or synaptic events, to which a penalty refers."""

_OF_EVENTS: Final = "hidden layer"

if TYPE_CHECKING:
    OfSpikes = ByLayer
    OfEvents = ByLayer
else:
    OfSpikes = number_or_list(0)
    OfEvents = number_or_list(0, where=_OF_EVENTS, at_most=8)


@chooses(SURROGATES)
class LearningSettings(ParameterSection):
    """Loss, gradient and optimizer.

    Attributes:
        surrogate: name of the surrogate derivative
            (:mod:`spikejoule.network.surrogates`), with `surrogate_slope`; None takes
            the slope of its source.
        logit_scale: logits are ``logit_scale`` times the output spike counts.
        label_smoothing: fraction of the target spread evenly over all classes
            (Szegedy et al., CVPR 2016, arXiv:1512.00567).
        weight_decay: L2 penalty, added to the gradient as in ``torch.optim.Adam``.
        grad_clip_norm: largest norm of the gradient over all parameters; 0 does not
            clip.
        distillation: fraction of the target that a teacher's probabilities have
            (Hinton, Vinyals and Dean 2015, arXiv:1503.02531), where there is a teacher;
            the labels have the rest.
        spike_penalty: loss of 1,000 spikes of a layer above `spike_target`; 0 is no
            penalty.
        spike_target: spikes of a layer after the input and an inference that cost
            nothing.
        event_penalty: loss of 1,000 synaptic events of a layer above `event_target`; 0
            is no penalty.
        event_target: synaptic events that a hidden layer may cause in an inference at
            no cost.

    Penalties and targets are numbers, or tuples: of spikes one for each layer after the
    input, of events one for each hidden layer.
    """

    surrogate: str = "arctangent"
    logit_scale: Real = Field(default=1.0, gt=0)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)
    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    grad_clip_norm: Real = Field(default=0.0, ge=0)
    distillation: Real = Field(default=0.0, ge=0, le=1)
    spike_penalty: OfSpikes = 0.0
    spike_target: OfSpikes = 0.0
    event_penalty: OfEvents = 0.0
    event_target: OfEvents = 0.0

    def targets(
        self,
        labels: NDArray[np.int64],
        n_classes: int,
        teacher: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Probability that each class should have, float64 [B, n_classes].

        Args:
            labels: class of each sample, [B].
            n_classes: number of classes.
            teacher: probabilities that a teacher gives to the classes, [B, n_classes];
                None for the labels alone.
        """
        probabilities = np.full(
            (labels.size, n_classes), self.label_smoothing / n_classes
        )
        probabilities[np.arange(labels.size), labels] += 1 - self.label_smoothing
        if teacher is None:
            return probabilities
        return (1 - self.distillation) * probabilities + self.distillation * teacher

    @property
    def has_penalty(self) -> bool:
        """Whether spikes or synaptic events add to the loss."""
        return any(
            np.any(np.greater(each, 0))
            for each in (self.spike_penalty, self.event_penalty)
        )

    def penalty_problem(self, n_layers: int) -> tuple[str, str] | None:
        """A penalty or target for other layers, and what is allowed in words; None if
        none.

        Args:
            n_layers: layers after the input.
        """
        for name in ("spike_penalty", "spike_target", "event_penalty", "event_target"):
            is_of_spikes = name.startswith("spike")
            number = n_layers if is_of_spikes else n_layers - 1
            where = "layer after the input" if is_of_spikes else _OF_EVENTS
            values = getattr(self, name)
            if isinstance(values, tuple) and len(values) != number:
                return name, allowed_lengths(number, where)
        return None

    def penalties(self, n_layers: int) -> NDArray[np.float64]:
        """What a spike and an event cost above which number, by layer, float64
        [n_layers, 4].

        The columns are the loss of each spike above the second column, spikes, and the
        loss of each synaptic event above the fourth, events.

        Args:
            n_layers: layers after the input.

        Raises:
            ParameterError: a list is for another number of layers.
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
