"""How networks are trained: the section `train` of params.yaml without the engine."""

from pydantic import Field

from spikejoule.core.parameters import ParameterSection, Real, chooses
from spikejoule.network.learning import LearningSettings
from spikejoule.network.pruning import PruningSettings
from spikejoule.training.schedules import SCHEDULES, Schedule


class Augmentation(ParameterSection):
    """Largest changes of an image; each image draws its own, uniform within plus-minus.

    Attributes:
        shift_pixels: whole pixels along each axis.
        rotate_degrees: rotation about the centre.
        scale_fraction: relative change of size.
        shear_degrees: slant of the vertical.
    """

    shift_pixels: int = Field(default=0, ge=0, le=10)
    rotate_degrees: Real = Field(default=0.0, ge=0, le=180)
    scale_fraction: Real = Field(default=0.0, ge=0, lt=1)
    shear_degrees: Real = Field(default=0.0, ge=0, lt=90)


@chooses(SCHEDULES)
class TrainingRegime(Augmentation):
    """Images, their order and the learning rate, for spiking and ReLU networks.

    Attributes:
        batch_size: samples per step.
        max_epochs: most passes over the training set.
        lr: learning rate; the peak of one_cycle, the start of the other schedules.
        schedule: name of the schedule (:mod:`spikejoule.training.schedules`), with its
            parameters.
    """

    batch_size: int = Field(default=64, ge=1, le=65_536)
    max_epochs: int = Field(default=1, ge=1, le=100_000)
    lr: Real = Field(default=0.001, gt=0, le=10)
    schedule: str = "constant"

    @property
    def chosen_schedule(self) -> Schedule:
        """The learning-rate schedule with its parameters."""
        return SCHEDULES.chosen_in(self)


class TrainingSettings(PruningSettings, TrainingRegime, LearningSettings):
    """How to train a spiking network; the engine decides how to compute a step.

    Attributes:
        patience: epochs without a better validation accuracy before training stops; 0
            never stops. Epochs before pruning is complete count for neither the best
            weights nor the early stop.
        target_accuracy: validation accuracy in percent at which training stops; None
            never stops.
        resume: whether training, also of the ReLU networks, resumes from its last
            finished epoch after a kill. It does not change results.
    """

    patience: int = Field(default=0, ge=0)
    target_accuracy: Real | None = Field(default=None, gt=0, le=100)
    resume: bool = True
