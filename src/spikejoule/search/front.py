"""What a search has found: a table, a figure, and the command that repeats each point of the front.

Everything here was measured on validation images. What a point reaches on test images the pipeline
says, which those commands run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import ConfigDict, Field, model_validator

from spikejoule.core.schema import (
    Flag,
    MaybeNotNegative,
    NotNegative,
    Percent,
    Row,
    Sha256,
    Table,
    Text,
)
from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import pareto_front
from spikejoule.params import Params, Value
from spikejoule.report.charts import Point, search_front
from spikejoule.search.space import SearchSpace
from spikejoule.tracking.pareto import experiment_command

EVENTS_TITLE: Final = "Synaptic events per inference, mean over the validation set, log scale"


class FoundRow(Row):
    """A trial that was trained to its end; further columns are the parameters that were drawn.

    Attributes:
        trial: its number in the study.
        on_front: whether no other trial is as accurate for as little energy.
        validation_accuracy_percent: of the weights that are kept.
        energy_nj_per_inference: a mean over the validation images; empty where synaptic events
            were the measure.
        synaptic_events_per_inference: likewise.
        trained_sha256: of the `models/trained.pth` that the command makes.
        command: the experiment that repeats the trial through the pipeline.
    """

    model_config = ConfigDict(extra="allow")

    trial: int = Field(ge=0)
    on_front: Flag
    validation_accuracy_percent: Percent
    energy_nj_per_inference: MaybeNotNegative
    synaptic_events_per_inference: NotNegative
    trained_sha256: Sha256
    command: Text

    @property
    def energy(self) -> float:
        """The second objective: nJ, or synaptic events."""
        nj = self.energy_nj_per_inference
        return self.synaptic_events_per_inference if nj is None else nj


class FoundTable(Table):
    """The file: metrics/search.csv; the cheapest trial comes first."""

    row: ClassVar[type[Row]] = FoundRow
    rows: tuple[FoundRow, ...]

    @model_validator(mode="after")
    def _rows_fit_each_other(self) -> Self:
        if len({row.trial for row in self.rows}) < len(self.rows):
            raise ValueError("a trial is there twice")
        on_front = pareto_front(
            [row.energy for row in self.rows],
            [row.validation_accuracy_percent for row in self.rows],
        )
        for number, (row, is_on_front) in enumerate(zip(self.rows, on_front, strict=True), start=2):
            if row.on_front != is_on_front:
                raise ValueError(
                    f"row {number}: on_front is {row.on_front:d}, but by the accuracies and "
                    f"energies of all rows it is {is_on_front:d}"
                )
        return self

    @property
    def front(self) -> tuple[FoundRow, ...]:
        """The rows on the front."""
        return tuple(row for row in self.rows if row.on_front)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The parameters that were drawn, by full key."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row.model_extra or {}))


def found_table(
    found: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Value]]],
    space: SearchSpace,
    current: Params,
) -> FoundTable:
    """The table of some trials.

    Args:
        found: by number of the trial, the fields of its result and what was drawn.
        space: what it was drawn from.
        current: params.yaml, which the commands start from.
    """
    keys = [entry.key for entry in space.entries]
    order = sorted(found, key=lambda number: (_energy(found[number][0]), number))
    on_front = pareto_front(
        [_energy(found[number][0]) for number in order],
        [found[number][0]["validation_accuracy_percent"] for number in order],
    )
    now = {key: str(value) for key, value in current.flattened().items()}
    rows = []
    for number, is_on_front in zip(order, on_front, strict=True):
        result, drawn = found[number]
        whole = space.params(drawn).flattened()
        rows.append(
            FoundRow(
                trial=number,
                on_front=is_on_front,
                validation_accuracy_percent=result["validation_accuracy_percent"],
                energy_nj_per_inference=result["energy_nj_per_inference"],
                synaptic_events_per_inference=result["synaptic_events_per_inference"],
                trained_sha256=result["trained_sha256"],
                command=experiment_command({key: str(value) for key, value in whole.items()}, now),
                **{key: str(drawn[key]) if key in drawn else "" for key in keys},
            )
        )
    return FoundTable(rows=tuple(rows))


def found_text(table: FoundTable, energy: str) -> str:
    """The front in words, with the command of each point."""
    measure = "nJ" if table.rows[0].energy_nj_per_inference is not None else "events"
    lines = [
        f"On the front of validation accuracy and {_measure_in_words(energy)}, both per inference "
        "on the validation set:",
        "",
        text_table(
            ("trial", "validation %", measure, "synaptic events"),
            [
                (
                    str(row.trial),
                    f"{row.validation_accuracy_percent:.2f}",
                    f"{row.energy:,.4g}" if measure == "nJ" else f"{row.energy:,.0f}",
                    f"{row.synaptic_events_per_inference:,.0f}",
                )
                for row in table.front
            ],
        ),
        "",
        "Each again through the pipeline, to the same weights:",
        *(f"  {row.command}" for row in table.front),
    ]
    return "\n".join(lines) + "\n"


def found_png(table: FoundTable, energy: str, source: str) -> bytes:
    """The trials as a figure: PNG bytes. Raises ValueError if none takes any energy."""
    return search_front(
        [
            Point(row.energy, row.validation_accuracy_percent, str(row.trial), row.on_front)
            for row in table.rows
        ],
        EVENTS_TITLE
        if table.rows[0].energy_nj_per_inference is None
        else f"nJ per inference ({energy}), mean over the validation set, log scale",
        source,
    ).png()


def write_found(table: FoundTable, file: Path) -> None:
    """Write the table as CSV."""
    table.write(file, table.drawn)


def _measure_in_words(energy: str) -> str:
    return "synaptic events" if energy == "synaptic_events" else f"energy under {energy}"


def _energy(result: Mapping[str, Any]) -> float:
    nj = result["energy_nj_per_inference"]
    return float(result["synaptic_events_per_inference"] if nj is None else nj)
