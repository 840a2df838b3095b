"""What a step of learning depends on, apart from the learning rate."""

from typing import Final

from pydantic import Field

from spikejoule.foundation.sections import Real, Section, chooses
from spikejoule.model.surrogate import Surrogate
from spikejoule.model.surrogates import SURROGATES

ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8
"""Adam's constants (Kingma and Ba 2015, arXiv:1412.6980)."""


@chooses(SURROGATES)
class LearningSettings(Section):
    """Loss, gradient and optimizer.

    Attributes:
        surrogate: name of the surrogate derivative (:mod:`spikejoule.model.surrogates`), with
            `surrogate_slope`; None takes the slope of its source.
        logit_scale: logits are ``logit_scale`` times the output spike counts.
        label_smoothing: share of the target spread evenly over all classes
            (Szegedy et al., CVPR 2016, arXiv:1512.00567).
        weight_decay: L2 penalty, added to the gradient as in ``torch.optim.Adam``.
        grad_clip_norm: largest norm of the gradient over all parameters; 0 does not clip.
    """

    surrogate: str = "arctangent"
    logit_scale: Real = Field(default=1.0, gt=0)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)
    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    grad_clip_norm: Real = Field(default=0.0, ge=0)

    @property
    def chosen_surrogate(self) -> Surrogate:
        """The surrogate derivative with its slope."""
        return SURROGATES.chosen_in(self)
