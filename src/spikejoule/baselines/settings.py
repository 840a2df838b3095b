"""How the conventional networks are trained: the section `baseline` of params.yaml."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from spikejoule.core.sections import Real, Section
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.training.settings import TrainingRegime


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value twice")
    return values


def _width(bits: int) -> int:
    if bits != FLOAT_BITS and not 2 <= bits <= 16:
        raise ValueError(f"a width of {bits} bits")
    return bits


_LISTED = (Field(max_length=16), BeforeValidator(_as_tuple), AfterValidator(_each_once))


class BaselineTraining(TrainingRegime):
    """Adam on the cross-entropy.

    Attributes:
        weight_decay: L2 penalty, added to the gradient.
        label_smoothing: share of the target spread evenly over all classes.
    """

    weight_decay: Real = Field(default=0.0, ge=0, le=1)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)


class BaselineSettings(Section):
    """How the ReLU networks learn where the spiking one learns otherwise, and which there are.

    Attributes:
        max_epochs: passes over the training set; None takes those of the spiking network.
        lr, weight_decay, label_smoothing: as in `BaselineTraining`.
        weight_bits: width of the weights of the network that is quantised after its training.
        family_hidden: sizes of the one hidden layer of the family's networks.
        family_pruned: shares of their weights that are removed.
        family_bits: widths of their weights and activations; 32 is float32, less are integers.

    The family has a network of every combination; with an empty list, none.
    """

    max_epochs: int | None = Field(default=None, ge=1, le=100_000)
    lr: Real = Field(default=0.001, gt=0, le=10)
    weight_decay: Real = Field(default=0.00001, ge=0, le=1)
    label_smoothing: Real = Field(default=0.1, ge=0, lt=1)
    weight_bits: int = Field(default=8, ge=2, le=16)
    family_hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], *_LISTED] = Field(
        default=(100, 400),
        description="a list of at most 16 whole numbers from 1 to 65535, each once",
    )
    family_pruned: Annotated[tuple[Annotated[Real, Field(ge=0, lt=1)], ...], *_LISTED] = Field(
        default=(0.95,), description="a list of at most 16 numbers from 0 to below 1, each once"
    )
    family_bits: Annotated[tuple[Annotated[int, AfterValidator(_width)], ...], *_LISTED] = Field(
        default=(8,),
        description="a list of at most 16 of 32 and the whole numbers from 2 to 16, each once",
    )

    def training(self, spiking: TrainingRegime) -> BaselineTraining:
        """The spiking network's budget and deformations, with learning constants of its own."""
        shared = {name: getattr(spiking, name) for name in TrainingRegime.model_fields}
        own = {name: getattr(self, name) for name in ("lr", "weight_decay", "label_smoothing")}
        epochs = {"max_epochs": self.max_epochs or spiking.max_epochs}
        return BaselineTraining.model_validate({**shared, **own, **epochs})
