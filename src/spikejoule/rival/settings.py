"""How the conventional network is trained: the section `baseline` of params.yaml."""

from pydantic import Field

from spikejoule.foundation.sections import Real, Section
from spikejoule.learn.settings import TrainingRegime


class RivalTraining(TrainingRegime):
    """Adam on the cross-entropy.

    Attributes:
        weight_decay: L2 penalty, added to the gradient.
        label_smoothing: share of the target spread evenly over all classes.
    """

    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)


class BaselineSettings(Section):
    """How the ReLU network learns where the spiking one learns otherwise, and its widths.

    Attributes:
        max_epochs: passes over the training set; None takes those of the spiking network.
        lr, weight_decay, label_smoothing: as in `RivalTraining`.
        weight_bits: width of the quantised network's weights.
    """

    max_epochs: int | None = Field(default=None, ge=1, le=100_000)
    lr: Real = Field(default=0.001, gt=0, le=10)
    weight_decay: Real = Field(default=0.00001, ge=0, le=1)
    label_smoothing: Real = Field(default=0.1, ge=0, lt=1)
    weight_bits: int = Field(default=8, ge=2, le=16)

    def training(self, spiking: TrainingRegime) -> RivalTraining:
        """The spiking network's budget and deformations, with learning constants of its own."""
        shared = {name: getattr(spiking, name) for name in TrainingRegime.model_fields}
        own = {name: getattr(self, name) for name in ("lr", "weight_decay", "label_smoothing")}
        epochs = {"max_epochs": self.max_epochs or spiking.max_epochs}
        return RivalTraining.model_validate({**shared, **own, **epochs})
