"""Learning: epochs of freshly drawn spikes, schedules, augmentation; and how a network
is trained, which is the section `train` of params.yaml, engine and device apart."""

from pydantic import Field

from spikejoule.core.parameters import ParameterSection, Real, chooses
from spikejoule.network.learning import LearningSettings
from spikejoule.network.pruning import PruningSettings
from spikejoule.training.schedules import SCHEDULES, Schedule


class Augmentation(ParameterSection):
    """Largest changes of an image; each draws its own, uniformly between plus and minus
    these.

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
    """Images, their order and the learning rate: what networks of any kind share.

    Attributes:
        batch_size: samples a step.
        max_epochs: passes over the training set at most.
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
        """The schedule of the learning rate, with its parameters."""
        return SCHEDULES.chosen_in(self)


class TrainingSettings(PruningSettings, TrainingRegime, LearningSettings):
    """How to train a spiking network; what a single step does is the engine's business.

    Attributes:
        patience: epochs without a better validation accuracy after which to stop; 0
            never does. Neither the best weights nor an early stop are considered before
            pruning is done.
        target_accuracy: validation accuracy in percent at which to stop; None never
            does.
        average_epochs: last epochs of `max_epochs` whose weights are averaged, and
            validated so; 0 averages nothing. Epochs that still remove synapses are left
            out.
    """

    patience: int = Field(default=0, ge=0)
    target_accuracy: Real | None = Field(default=None, gt=0, le=100)
    average_epochs: int = Field(default=0, ge=0, le=100_000)
