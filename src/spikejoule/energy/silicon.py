"""What chips were measured to need for an MNIST digit, as published.

These are no prices: each is another network on another chip, off the line that a profile draws
through this network's counts. They say what order of magnitude a whole system has. What a source
could not be read for stands as unconfirmed.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class MeasuredChip:
    """One published measurement.

    Attributes:
        name: chip, and network where it is known.
        microjoules: per inference.
        accuracy_percent: on MNIST.
        process: technology node; None where it is unconfirmed.
        source: with a DOI or an arXiv number where it has one.
        read_in: where the figures were read.
    """

    name: str
    microjoules: float
    accuracy_percent: float
    process: str | None
    source: str
    read_in: str


_OWN_ABSTRACT: Final = "its own abstract"
_RENNER: Final = "Renner et al., Nature Communications 2024, doi:10.1038/s41467-024-53827-9"
_ESSER: Final = "Esser et al., NIPS 2015"
_TWO_ABSTRACTS: Final = "an abstract; another version of it says 121 µJ and 0.408 µJ"

MEASURED_ON_MNIST: Final = (
    MeasuredChip("TrueNorth, many copies", 108, 99.4, "28 nm", _ESSER, _TWO_ABSTRACTS),
    MeasuredChip(
        "BrainScaleS-2",
        8.4,
        96.9,
        None,
        "Göltz et al., Nature Machine Intelligence 2021, doi:10.1038/s42256-021-00388-x",
        f"the table of {_RENNER}",
    ),
    MeasuredChip("Loihi, 400-400-10", 2.5, 96.3, "14 nm", _RENNER, "its table 1"),
    MeasuredChip(
        "Chen et al., binary activations",
        1.7,
        97.9,
        "10 nm",
        "Chen et al., IEEE JSSC 2019, doi:10.1109/JSSC.2018.2884901",
        _OWN_ABSTRACT,
    ),
    MeasuredChip(
        "SPOON, 0.6 V", 0.313, 97.5, "28 nm", "Frenkel et al., arXiv:2005.06318", _OWN_ABSTRACT
    ),
    MeasuredChip("TrueNorth, one copy", 0.27, 92.7, "28 nm", _ESSER, _TWO_ABSTRACTS),
    MeasuredChip(
        "Park et al.", 0.236, 97.83, "65 nm", "Park et al., IEEE JSSC 55(1), 2020", _OWN_ABSTRACT
    ),
    MeasuredChip(
        "ODIN, 10 neurons", 0.015, 84.5, "28 nm", "Frenkel et al., arXiv:1804.07858", _OWN_ABSTRACT
    ),
)
"""Most energy first. Whether a figure holds the whole chip is unconfirmed for each."""
