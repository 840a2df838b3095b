"""Notes of those who counted a network: what a reader should know beside the numbers.

The package `report` adds those that follow from an analysis (`report.notes`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A fact with a name, or a warning.

    Attributes:
        words: the value of the fact, or the sentence of the warning.
        name: name of the fact; empty for a warning.
        is_caution: whether a reader must know it before the energies.
    """

    words: str
    name: str = ""
    is_caution: bool = False


def fact(name: str, words: str) -> Note:
    """Build a fact with its name."""
    return Note(words, name)


def warning(words: str) -> Note:
    """Build a warning."""
    return Note(words, is_caution=True)
