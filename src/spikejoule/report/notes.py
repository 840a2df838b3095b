"""Notes on a counted network, and how they are written."""

from collections.abc import Iterator
from typing import Final

from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.notes import Note, fact, warning

_MOST_NAMED: Final = 4
"""Most silent layers that a note names."""

NOT_COUNTED: Final = "not counted"
"""Name of the note on parts that were not counted."""


def remarks(inputs: AnalysisInputs) -> tuple[Note, ...]:
    """Return all notes: those of who counted it, and those that follow from counts."""
    return *inputs.notes, *_of_samples(inputs), *_of_parts(inputs)


def cautions(inputs: AnalysisInputs) -> tuple[Note, ...]:
    """Return the notes that a reader must know before the energies."""
    return tuple(note for note in remarks(inputs) if note.is_caution)


def _of_samples(inputs: AnalysisInputs) -> Iterator[Note]:
    """Note layers of an imported network without spikes, and tied answers."""
    if not inputs.counted_in:
        return
    n_samples = f"{inputs.n_images:,}"
    silent = inputs.activity.silent_layers
    if silent:
        named = silent[:_MOST_NAMED]
        if len(silent) > len(named):
            named.append(f"{len(silent) - len(named)} more")
        names = ", ".join(named)
        yield warning(f"no spike of {names} in any of the {n_samples} samples")
    if inputs.n_tied:
        reason = "no predicted class, because of equal spike counts"
        yield Note(f"{inputs.n_tied:,} of {n_samples}", reason, is_caution=True)


def _of_parts(inputs: AnalysisInputs) -> Iterator[Note]:
    """Note whether a graph does what its model does, and parts without counts."""
    if inputs.verified:
        yield fact("verified", inputs.verified)
    if inputs.not_counted:
        parts = ", ".join(inputs.not_counted)
        yield Note(parts, NOT_COUNTED, is_caution=True)


def label(note: Note) -> str:
    """Return the label of a note in a list."""
    return note.name or "warning"


def sentence(note: Note, with_label: bool = True) -> str:
    """Write a note as a sentence.

    Args:
        note: the note.
        with_label: whether a warning starts with "Warning:".
    """
    words = note.words.rstrip(".")
    if with_label or note.name:
        name = label(note)
        words = f"{name[:1].upper()}{name[1:]}: {words}"
    return f"{words}."
