"""All values of the page."""

from dataclasses import dataclass

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.prices import SCOPES
from spikejoule.report.notes import cautions, label, remarks
from spikejoule.report.views.key_figures import KeyFigure, key_figures
from spikejoule.report.views.operations import OperationRow, operations
from spikejoule.report.views.shares import (
    Bar,
    PartRow,
    ShareRow,
    bars,
    by_kind,
    by_layer,
    parts,
)
from spikejoule.report.views.training import Cells, training_by_kind, trainings


@dataclass(frozen=True, eq=False)
class PageView:
    """Values of the page.

    Attributes:
        headings: headings by section id, in page order.
        key_figures: accuracy, energies and events.
        titles: titles of the price lists, by id.
        scopes: what prices cover: name, words.
        bars: energies of the headline's verdict; empty without one.
        parts: energy by part, the total last; empty without a conventional network to
            compare with.
        kinds, layers: energy by kind of operation, and by layer; empty for networks of
            this project.
        energy_columns: headers of the energies of `operations`.
        operations: the operations of an inference.
        training: energy of training by kind of access, a cell per phase; empty without
            a training.
        trainings: what training takes in other ways and for conventional networks.
        notes: all notes: label, words.
    """

    headings: dict[str, str]
    key_figures: list[KeyFigure]
    titles: dict[str, str]
    scopes: list[tuple[str, str]]
    bars: list[Bar]
    parts: list[PartRow]
    kinds: list[ShareRow]
    layers: list[ShareRow]
    energy_columns: Cells
    operations: list[OperationRow]
    training: list[Cells]
    trainings: list[Cells]
    notes: tuple[tuple[str, str], ...]


def page_view(analysis: EnergyAnalysis, has_front: bool) -> PageView:
    """Compute the values of the page; `has_front` if it has the chart of the front."""
    is_imported = bool(analysis.inputs.counted_in)
    # The top of the page has the cautions of an imported network.
    repeated = cautions(analysis.inputs) if is_imported else ()
    return PageView(
        headings=_headings(analysis, has_front=has_front),
        key_figures=key_figures(analysis),
        titles={profile.id: profile.title for profile in analysis.ledger.profiles},
        scopes=[(name.replace("_", "-"), words) for name, words in SCOPES.items()],
        bars=bars(analysis),
        parts=parts(analysis),
        kinds=by_kind(analysis) if is_imported else [],
        layers=by_layer(analysis) if is_imported else [],
        energy_columns=tuple(f"energy, {profile.title}" for profile in analysis.shown),
        operations=operations(analysis),
        training=training_by_kind(analysis),
        trainings=trainings(analysis),
        notes=tuple(
            (label(note), note.words)
            for note in remarks(analysis.inputs)
            if note not in repeated
        ),
    )


def _headings(analysis: EnergyAnalysis, has_front: bool) -> dict[str, str]:
    """Return the headings of the sections that the page has."""
    is_of_equal_size = analysis.inputs.is_of_equal_size
    headings = {
        "verdict": "Which network needs less energy, by price list",
        "parts": "Where the energy goes",
        "accuracy": "Energy against accuracy",
        "numbers": "Key figures",
        "every-profile": "Energy under every price list",
        "profiles": "Prices and their sources",
        "terms": "Operations of an inference",
        "baselines": "Networks of equal size"
        if is_of_equal_size
        else "The conventional network that model.hidden defines",
        "training-terms": "Energy of training",
        "assumptions": "What is counted and assumed",
        "glossary": "Glossary",
        "provenance": "How to reproduce this",
    }
    if analysis.inputs.counted_in:
        # Such a network has no pipeline that trains it or fixes a conventional one.
        headings["baselines"] = "Conventional networks"
        headings["provenance"] = "How this was counted"
        del headings["training-terms"]
        if not analysis.comparisons:
            del headings["baselines"]
    if not analysis.verdicts:
        del headings["verdict"]
    if not has_front:
        del headings["accuracy"]
    return headings
