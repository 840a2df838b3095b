"""What the samples of a data set show, in its own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikejoule.core.schema import Array, Arrays

MAX_CLASSES = 256


@dataclass(frozen=True)
class Subject:
    """What there is to recognise.

    Attributes:
        noun: what a sample shows, in the singular: "digit", "garment".
        class_names: names of the classes; labels are positions in it.
        samples: what samples are called, in the plural.
    """

    noun: str
    class_names: tuple[str, ...]
    samples: str = "images"

    @property
    def n_classes(self) -> int:
        """C, the number of classes: 1 to 256."""
        return len(self.class_names)

    @property
    def sample(self) -> str:
        """The singular of `samples`."""
        return self.samples.removesuffix("s")

    @property
    def nouns(self) -> str:
        """The plural of `noun`."""
        ending = "es" if self.noun.endswith(("s", "sh", "ch", "x")) else "s"
        return self.noun + ending

    def one(self, label: int) -> str:
        """Describe a sample of a class: "a 7", "garment coat"."""
        name = self.class_names[label]
        return f"a {name}" if self.noun == DIGITS.noun else f"{self.noun} {name}"


def numbered(n_classes: int) -> tuple[str, ...]:
    """Return names for classes without names: 0, 1, 2, ..."""
    return tuple(str(k) for k in range(n_classes))


DIGITS = Subject("digit", numbered(10))


def subject_of_data(data: Mapping[str, Any]) -> Subject:
    """Return the subject that metrics/data.json states; digits if it states none."""
    noun = data.get("noun")
    names = data.get("class_names")
    if noun is None or names is None:
        return DIGITS
    return Subject(str(noun), tuple(names), str(data.get("samples", DIGITS.samples)))


SUBJECT_ARRAYS = {"noun": Array("U", ()), "class_names": Array("U", ("C",))}
"""The arrays that state a subject in a file."""


def subject_arrays(subject: Subject) -> dict[str, np.ndarray]:
    """Return the arrays that state a subject."""
    return {
        "noun": np.array(subject.noun, dtype=np.str_),
        "class_names": np.array(subject.class_names, dtype=np.str_),
    }


def subject_of(arrays: Arrays) -> Subject:
    """Return the subject that arrays state; digits if they state none."""
    if "noun" not in arrays:
        return DIGITS
    return Subject(str(arrays["noun"]), tuple(arrays["class_names"].tolist()))


def subject_problem(arrays: Arrays) -> str:
    """Describe what is wrong with a subject and the labels beside it; else empty."""
    if ("noun" in arrays) != ("class_names" in arrays):
        return "noun and class_names must both be present, or neither"
    n_classes = subject_of(arrays).n_classes
    labels = arrays["labels"]
    if not 1 <= n_classes <= MAX_CLASSES:
        return f"there are {n_classes} classes; allowed are 1 to {MAX_CLASSES}"
    beyond = np.flatnonzero(labels >= n_classes)
    if beyond.size:
        place = beyond[0]
        return (
            f"the label at position {place} is {labels[place]}, but there are "
            f"{n_classes} classes"
        )
    return ""
