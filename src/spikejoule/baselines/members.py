"""Which conventional networks there are: sizes, pruning and widths, and what each is called."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from spikejoule.baselines.settings import BaselineSettings
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import PruningSettings
from spikejoule.model.quantisation import FLOAT_BITS

NOT_PRUNED = PruningSettings()
"""Of the network of the spiking one's size."""


@dataclass(frozen=True)
class Member:
    """A ReLU network that is to be trained.

    Attributes:
        architecture: its layer sizes; the neuron's constants play no part.
        pruning: how many of its weights are removed, and when.
        bits: width of its weights and activations while it learns; 32 is float32.
        equal_size: whether it stands in the comparison of equal sizes; it is computed by itself, so
            that the family does not change the last digits of a teacher.
    """

    architecture: Architecture
    pruning: PruningSettings = NOT_PRUNED
    bits: int = FLOAT_BITS
    equal_size: bool = False

    @property
    def name(self) -> str:
        """Such as ``ReLU 784-100-10, 90 % pruned, 8 bits``."""
        parts = [f"ReLU {'-'.join(str(size) for size in self.architecture.layer_sizes)}"]
        if self.pruning.pruned_fraction:
            parts.append(f"{100 * self.pruning.pruned_fraction:.10g} % pruned")
        if self.bits != FLOAT_BITS:
            parts.append(f"{self.bits} bits")
        return ", ".join(parts)

    @property
    def pixel_bits(self) -> int:
        """Width to which its pixels are rounded; 8 if they are as they were.

        Of 2**b - 1 levels, 255 are some if b is a multiple of 8.
        """
        return self.bits if self.bits % 8 else 8


def family(
    n_input: int, n_output: int, settings: BaselineSettings, pruning_epochs: tuple[float, float]
) -> Iterator[Member]:
    """A network of every combination of size, pruned share and width, in this order.

    Args:
        n_input: pixels of an image.
        n_output: number of classes.
        settings: which sizes, shares and widths.
        pruning_epochs: shares of the epochs before the first and after the last weight is removed.
    """
    start, end = pruning_epochs
    for hidden, share, bits in product(
        settings.family_hidden, settings.family_pruned, settings.family_bits
    ):
        pruning = PruningSettings(pruned_fraction=share, prune_start=start, prune_end=end)
        yield Member(Architecture(n_input, (hidden,), n_output), pruning, bits)
