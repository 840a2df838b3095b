"""Notes on a counted network, for the page, the terminal and warnings."""

from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
    """The kind of a note; the value is its label. A fact has a label of its own."""

    FACT = ""
    VERIFIED = "verified"
    WARNING = "warning"
    NOT_COUNTED = "not counted"
    UNANSWERED = "no predicted class, because of equal spike counts"


@dataclass(frozen=True)
class Note:
    """A note on a counted network.

    Attributes:
        kind: its kind.
        words: the value of a fact, or the sentence of a note of another kind.
        name: the label of a fact.
    """

    kind: NoteKind
    words: str
    name: str = ""

    @property
    def label(self) -> str:
        """Its label in a list."""
        return self.name or self.kind.value

    @property
    def is_caution(self) -> bool:
        """Whether a reader must know it before the energies."""
        return self.kind not in (NoteKind.FACT, NoteKind.VERIFIED)


def fact(name: str, words: str) -> Note:
    """Build a fact with its label."""
    return Note(NoteKind.FACT, words, name=name)


def warning(words: str) -> Note:
    """Build a warning."""
    return Note(NoteKind.WARNING, words)
