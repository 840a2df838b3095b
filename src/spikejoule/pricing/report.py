"""What an inference of a model takes, as `spikejoule.price` reports it: ten lines, a
table, a page, and the check of a budget."""

import os
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikejoule.core.errors import LimitError, ParameterError
from spikejoule.core.store import write_text
from spikejoule.counts.records import Activity
from spikejoule.energy.analysis import EnergyAnalysis
from spikejoule.energy.estimates import energy_words, joules
from spikejoule.energy.notes import NoteKind, sentence
from spikejoule.energy.terms import in_words
from spikejoule.report.page import PageContent, energy_page


@dataclass(frozen=True, eq=False)
class Report:
    """What an inference of a model takes.

    Attributes:
        analysis: counts, prices, comparisons; everything else is a selection of it.
        activity: what was counted, of each sample.
        predictions: the class of each sample, [N], -1 where none or several have the
            most spikes; None where the model gives no scores.
        own_not_counted: what of `not_counted` is in the model, not in a network to
            compare with.
        scores: from which the classes follow, float64 [N, classes]; None where there
            are none.
    """

    analysis: EnergyAnalysis
    activity: Activity
    predictions: NDArray[np.int64] | None
    own_not_counted: tuple[str, ...]
    scores: NDArray[np.float64] | None

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Modules and functions that ran and are not known."""
        return self.analysis.inputs.not_counted

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader should know, a sentence each."""
        return tuple(
            sentence(note, with_label=False)
            for note in self.analysis.inputs.cautions
            if note.kind is not NoteKind.NOT_COUNTED
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every term at every place under every profile, and the totals
        (`EnergyAnalysis`).
        """
        return pd.DataFrame([row.cells for row in self.analysis.table])

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is printed, label and value."""
        inputs = self.analysis.inputs
        proxies = inputs.proxies
        macs = inputs.value_macs_per_inference
        rows = [("verdict", line) for line in self.verdict]
        total = self.analysis.total()
        in_joules = f"{joules(total.lowest_pj)} to {joules(total.highest_pj)}"
        headline = (
            f"{energy_words(total)} under {self.analysis.chosen.id} ({in_joules})"
        )
        rows.append(("energy per inference", headline))
        for prices in self.analysis.shown[1:]:
            total = self.analysis.total(profile=prices.id)
            rows.append(("arithmetic only", f"{energy_words(total)} under {prices.id}"))
        title = "" if inputs.title == "samples" else f" of {inputs.title}"
        accuracy = "accuracy not known"
        if inputs.accuracy is not None:
            accuracy = f"{inputs.accuracy.test_percent:.2f} % correct"
        layers = inputs.network.layer_names[1:]
        spikes = sum(float(self.activity.spikes_of(name).mean()) for name in layers)
        return [
            *rows,
            (
                "network",
                f"{inputs.network.sizes}, {inputs.operations.time_window} steps",
            ),
            ("samples", f"{inputs.n_images:,}{title}, {accuracy}"),
            (
                "synaptic events",
                f"{proxies.synaptic_events_per_inference:,.1f} of "
                f"{proxies.dense_operations_per_inference:,}",
            ),
            ("products of values", f"{macs:,.1f}" if macs else "none"),
            (
                "spikes of neurons",
                f"{spikes:,.1f} in {self.activity.updates.mean():,.0f} updates",
            ),
            ("most of it", self._largest),
            ("not counted", ", ".join(self.not_counted) or "none"),
            *(("note", note) for note in self.notes),
        ]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Who needs less at the accuracy that both reach, or why that cannot be said;
        nothing without a network to compare with."""
        return self.analysis.answer[:1] if self.analysis.inputs.baselines else ()

    @property
    def _largest(self) -> str:
        """The two terms that take the most."""
        priced = [
            (row, row.energy)
            for row in self.analysis.records()
            if row.energy is not None
        ]
        priced.sort(key=lambda pair: -pair[1].highest_pj)
        parts = [
            f"{in_words(row.term)} of {row.layer} {energy_words(energy)}"
            for row, energy in priced[:2]
        ]
        return "; ".join(parts) or "nothing is priced"

    def __str__(self) -> str:
        return "\n".join(f"{label:<22}{value}" for label, value in self.rows)

    def _repr_html_(self) -> str:
        cells = [
            f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>"
            for label, value in self.rows
        ]
        return f"<table>{''.join(cells)}</table>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, a self-contained HTML file."""
        write_text(path, energy_page(PageContent(self.analysis)))

    def check(
        self,
        *,
        budget_nj: float,
        profile: str | None = None,
        accept_uncounted: bool = False,
    ) -> "Report":
        """This report, if an inference takes no more than a budget.

        Args:
            budget_nj: in nJ; compared is the mean, and where prices are ranges the
                upper end.
            profile: id of the profile; None for that of the headline.
            accept_uncounted: whether to compare the energy of what was counted although
                parts of the model were not (`own_not_counted`).

        Raises:
            LimitError: it takes more, part of the model was not counted, or nothing
                that it does has a price under the profile.
            ParameterError: there is no such profile.
        """
        name = profile or self.analysis.chosen.id
        if name not in (known.id for known in self.analysis.ledger.profiles):
            raise ParameterError(f"profile: {name!r} is not a profile")
        if self.own_not_counted and not accept_uncounted:
            raise LimitError(
                "the budget cannot be checked: part of the model was not counted "
                f"({', '.join(self.own_not_counted)}); accept_uncounted=True "
                "checks the rest."
            )
        if all(row.energy is None for row in self.analysis.records(profile=name)):
            raise LimitError(
                "the budget cannot be checked: nothing that the model does has a price "
                f"under {name}."
            )
        total = self.analysis.total(profile=name)
        spent = total.high_pj if total.value_pj is None else total.value_pj
        if not spent <= 1000 * budget_nj:
            raise LimitError(
                f"an inference takes {spent / 1000:,.7g} nJ under {name}; the "
                "budget is "
                f"{budget_nj:,.7g} nJ."
            )
        return self
