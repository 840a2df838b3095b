"""The page of a training: totals, joules against accuracy, epochs and places."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader

from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.report.statements import templates
from spikejoule.report.units import joules
from spikejoule.tracker.energies import COUNTED, Range, TrainingEnergies


def training_page(
    energies: TrainingEnergies,
    rows: Sequence[tuple[str, str]],
    accuracies_percent: Sequence[float | None],
) -> str:
    """Return the page as HTML that has no scripts and loads nothing.

    Args:
        energies: of the training.
        rows: the printed lines without those of epochs, label and value.
        accuracies_percent: after each epoch, as far as they are known.
    """
    from spikejoule.report.charts.canvas import PALETTE
    from spikejoule.report.charts.learning import joules_against_accuracy

    known = [percent for percent in accuracies_percent if percent is not None]
    chart = None
    if known and len(known) == len(energies.record.batches):
        chart = joules_against_accuracy(
            energies.so_far("by events"),
            np.array(known),
            energies.prices.title,
            "Accuracy",
        )
    page = _engine().get_template("page.html.j2")
    return page.render(
        rows=rows,
        chart=chart,
        palette=PALETTE,
        epochs=_epochs(energies, accuracies_percent),
        phases=[*COUNTED],
        places=_places(energies),
    )


@cache
def _engine() -> Environment:
    loader = PackageLoader("spikejoule.tracker", "")
    return templates().overlay(loader=loader, autoescape=True)


def in_words(energy: Range) -> str:
    """Write both ends, once if they are equal."""
    low, high = (joules(end * PJ_PER_J) for end in energy)
    return low if low == high else f"{low} to {high}"


def _epochs(
    energies: TrainingEnergies, accuracies_percent: Sequence[float | None]
) -> list[list[str]]:
    """Return the rows of the table of epochs."""
    by_events = energies.by_epoch("by events").T
    dense = energies.by_epoch("dense").T
    percents = [*accuracies_percent, *[None] * len(by_events)]
    return [
        [
            str(number),
            in_words(Range(*by_events[number - 1])),
            in_words(Range(*dense[number - 1])),
            "" if percent is None else f"{percent:.2f} %",
        ]
        for number, percent in zip(range(1, len(by_events) + 1), percents, strict=False)
    ]


def _places(energies: TrainingEnergies) -> list[list[str]]:
    """Return the rows of the table of places: the high end of all epochs, by phase."""
    return [
        [place, *(joules(by_phase.get(phase, 0.0)) for phase in COUNTED)]
        for place, by_phase in energies.by_place("by events").items()
    ]
