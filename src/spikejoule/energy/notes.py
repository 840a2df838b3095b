"""Notes: what else there is to say of a counted network.

A note keeps its kind until page, text or a warning shows it; only here does it become a
sentence.
"""

from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
    """What a note is about; the value is its label, which a fact brings itself."""

    FACT = ""
    VERIFIED = "verified"
    WARNING = "warning"
    NOT_COUNTED = "not counted"
    UNANSWERED = "no answer, for equal spike counts"


@dataclass(frozen=True)
class Note:
    """Something to say of a counted network.

    Attributes:
        kind: what it is about.
        words: the value; of a warning a sentence.
        name: of a fact, its label.
    """

    kind: NoteKind
    words: str
    name: str = ""

    @property
    def label(self) -> str:
        """What stands before its words in a list."""
        return self.name or self.kind.value

    @property
    def is_caution(self) -> bool:
        """Whether a reader must know it before the energies, and is warned."""
        return self.kind not in (NoteKind.FACT, NoteKind.VERIFIED)


def fact(name: str, words: str) -> Note:
    """A fact under a label of its own."""
    return Note(NoteKind.FACT, words, name)


def warning(words: str) -> Note:
    """A warning."""
    return Note(NoteKind.WARNING, words)


def sentence(note: Note, with_label: bool = True) -> str:
    """A note in words.

    Args:
        note: to be said.
        with_label: whether a warning says that it is one.
    """
    words = note.words.rstrip(".")
    if with_label or note.kind is not NoteKind.WARNING:
        words = f"{note.label[:1].upper()}{note.label[1:]}: {words}"
    return f"{words}."
