"""Notes on a counted network: what a reader should know beside the numbers."""

from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
    """The kind of a note. A fact has a name of its own."""

    FACT = "fact"
    VERIFIED = "verified"
    WARNING = "warning"
    NOT_COUNTED = "not counted"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Note:
    """A note on a counted network.

    Attributes:
        kind: its kind.
        words: the value of a fact, or the sentence of a note of another kind.
        name: the name of a fact.
    """

    kind: NoteKind
    words: str
    name: str = ""

    @property
    def is_caution(self) -> bool:
        """Whether a reader must know it before the energies."""
        return self.kind not in (NoteKind.FACT, NoteKind.VERIFIED)


def fact(name: str, words: str) -> Note:
    """Build a fact with its name."""
    return Note(NoteKind.FACT, words, name=name)


def warning(words: str) -> Note:
    """Build a warning."""
    return Note(NoteKind.WARNING, words)
