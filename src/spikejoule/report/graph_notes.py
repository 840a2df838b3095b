"""Notes on how a NIR graph ran."""

from spikejoule.compare.notes import Note, fact
from spikejoule.nir.graph_run import GraphRun


def graph_notes(run: GraphRun) -> list[Note]:
    """Return the conventions that a graph ran with, and its edges that wait."""
    notes = [
        fact("graph run with", run.conventions.in_words or "no assumptions needed")
    ]
    waiting = sorted(f"{source} -> {target}" for source, target in run.network.waiting)
    if waiting:
        notes.append(fact("edges that wait a step", ", ".join(waiting)))
    return notes
