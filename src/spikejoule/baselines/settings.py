"""Which conventional networks are trained, and how: the section `baseline`."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import ParameterSection, Real
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.pruning import PruningSettings
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.training.settings import TrainingRegime


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value twice")
    return values


def _width(bits: int) -> int:
    if bits != FLOAT_BITS and not 2 <= bits <= 16:
        raise ValueError(f"a width of {bits} bits")
    return bits


_LISTED = (Field(max_length=16, strict=False), AfterValidator(_each_once))


class BaselineLearning(ParameterSection):
    """Learning constants of the ReLU networks: Adam on the cross-entropy.

    Attributes:
        lr: learning rate, as in `TrainingRegime`.
        weight_decay: L2 penalty, added to the gradient.
        label_smoothing: fraction of the target spread evenly over all classes.
    """

    lr: Real = Field(default=0.001, gt=0, le=10)
    weight_decay: Real = Field(default=0.00001, ge=0, le=1)
    label_smoothing: Real = Field(default=0.1, ge=0, lt=1)


class BaselineTraining(BaselineLearning, TrainingRegime):
    """How the ReLU networks are trained."""


SHARED_KEYS: Final = tuple(
    name
    for name in TrainingRegime.model_fields
    if name not in BaselineLearning.model_fields
)
"""Keys of the section `train` that hold for the ReLU networks, too."""


class BaselineSettings(BaselineLearning):
    """How the ReLU networks learn, and which there are.

    The family has one network for every combination of the four lists; none if a list
    is empty.

    Attributes:
        weight_bits: width of the weights of the network that is quantised after
            training.
        family_hidden: sizes of the hidden layer.
        family_pruned: fractions of the weights that are removed.
        family_bits: widths of weights and activations; 32 is float32, others are
            integers.
        family_bias: whether units have biases.
    """

    weight_bits: int = Field(default=8, ge=2, le=16)
    family_hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...], *_LISTED
    ] = Field(
        default=(100, 400),
        description="a list of at most 16 whole numbers from 1 to 65535, each once",
    )
    family_pruned: Annotated[
        tuple[Annotated[Real, Field(ge=0, lt=1)], ...], *_LISTED
    ] = Field(
        default=(0.95,),
        description="a list of at most 16 numbers from 0 to below 1, each once",
    )
    family_bits: Annotated[
        tuple[Annotated[int, AfterValidator(_width)], ...], *_LISTED
    ] = Field(
        default=(8,),
        description="a list of at most 16 of 32 and the whole numbers from 2 to "
        "16, each once",
    )
    family_bias: Annotated[tuple[bool, ...], *_LISTED] = Field(
        default=(True,), description="a list of true and false, each at most once"
    )

    def training(self, spiking: TrainingRegime) -> BaselineTraining:
        """Join the spiking network's `SHARED_KEYS` with these constants."""
        shared = {name: getattr(spiking, name) for name in SHARED_KEYS}
        own = {name: getattr(self, name) for name in BaselineLearning.model_fields}
        return BaselineTraining.model_validate({**shared, **own})


_ROOM_FOR_SUMS = 4
"""Bits of a sum beyond those of a product."""

NOT_PRUNED = PruningSettings()


@dataclass(frozen=True)
class BaselineVariant:
    """A ReLU network to train.

    Attributes:
        network: its layers.
        pruning: how many weights are removed, and when.
        bits: width of the weights, and the largest width of activations, in training;
            32 is float32.
        sum_bits: width of the sums and biases of an integer network.
        pixel_threshold: pixels of an integer network have 1 bit, whether they are
            greater than this, from 0 to 254; None if they are rounded.
        shifts: whether an integer network turns sums into activations by shifts alone,
            without multiplications.
        equal_size: whether it is the network of the spiking network's size.
    """

    network: ConventionalNetwork
    pruning: PruningSettings = NOT_PRUNED
    bits: int = FLOAT_BITS
    sum_bits: int = FLOAT_BITS
    pixel_threshold: int | None = None
    shifts: bool = False
    equal_size: bool = False

    @property
    def name(self) -> str:
        """A name such as ``ReLU 784-100-10, 90 % pruned, 8 bits``."""
        words = [f"ReLU {self.network.sizes}"]
        if self.pruning.pruned_fraction > 0:
            words.append(f"{100 * self.pruning.pruned_fraction:.10g} % pruned")
        if self.bits != FLOAT_BITS:
            words.append(f"{self.bits} bits")
        if self.activation_bits != self.bits:
            words.append(f"{self.activation_bits}-bit activations")
        if self.pixel_threshold is not None:
            words.append("1-bit pixels")
        if self.sum_bits != FLOAT_BITS:
            words.append(f"{self.sum_bits}-bit sums")
        if self.shifts:
            words.append("shifts")
        if not self.network.has_bias:
            words.append("no bias")
        return ", ".join(words)

    @property
    def activation_bits(self) -> int:
        """Width of pixels and hidden activations.

        That of the weights, reduced where sums need room: a product of the largest
        factors may take 1/16 of their range.
        """
        if self.bits == FLOAT_BITS:
            return FLOAT_BITS
        return max(1, min(self.bits, self.sum_bits - _ROOM_FOR_SUMS - self.bits))

    @property
    def pixel_bits(self) -> int:
        """Width to which pixels are rounded; 8 if they stay as they are.

        If b is a multiple of 8, the 255 levels of a pixel are among its 2**b - 1.
        """
        if self.pixel_threshold is not None:
            return 1
        return self.activation_bits if self.activation_bits % 8 else 8


def equal_size_variant(
    n_input: int, hidden: tuple[int, ...], n_output: int
) -> BaselineVariant:
    """The network of the spiking network's size; it always has biases."""
    return BaselineVariant(
        ConventionalNetwork.of_layers(n_input, hidden, n_output), equal_size=True
    )


def family(
    n_input: int,
    n_output: int,
    settings: BaselineSettings,
    pruning_epochs: tuple[float, float],
    sum_bits: int,
) -> Iterator[BaselineVariant]:
    """Yield a network for each combination of size, pruned fraction, width and bias.

    Args:
        n_input: pixels of an image.
        n_output: number of classes.
        settings: the sizes, fractions, widths and biases.
        pruning_epochs: `prune_start` and `prune_end` of `PruningSettings`.
        sum_bits: width of the sums of integer networks.

    Raises:
        ParameterError: sums have no room for a width.
    """
    start, end = pruning_epochs
    for hidden, fraction, bits, bias in product(
        settings.family_hidden,
        settings.family_pruned,
        settings.family_bits,
        settings.family_bias,
    ):
        if bits != FLOAT_BITS and bits + _ROOM_FOR_SUMS + 1 >= sum_bits:
            raise ParameterError(
                f"baseline.family_bits: {bits} leaves activations 1 bit in sums of "
                f"{sum_bits} bits (model.state_bits); allowed are up to "
                f"{sum_bits - _ROOM_FOR_SUMS - 2}, and 32"
            )
        pruning = PruningSettings(
            pruned_fraction=fraction, prune_start=start, prune_end=end
        )
        network = ConventionalNetwork.of_layers(n_input, [hidden], n_output, bias)
        sums = sum_bits if bits != FLOAT_BITS else FLOAT_BITS
        yield BaselineVariant(network, pruning, bits, sums)
