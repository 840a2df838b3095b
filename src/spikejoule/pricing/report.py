"""The report of `spikejoule.price`: ten lines, a table, a page, a budget check."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.core.errors import LimitError, ParameterError
from spikejoule.core.store import json_text, write_text
from spikejoule.counts.records import Activity
from spikejoule.pricing.modules.parts import Omission
from spikejoule.pricing.printed import html_table, in_lines
from spikejoule.pricing.watching.omissions import Accepted, accepted
from spikejoule.report.names import architecture, terms_in_words
from spikejoule.report.notes import NOT_COUNTED, cautions, sentence
from spikejoule.report.page import PageContent, energy_page
from spikejoule.report.statements import answer
from spikejoule.report.units import energy_words, joules
from spikejoule.report.values import analysis_values, row_cells
from spikejoule.report.words import with_time


@dataclass(frozen=True, eq=False)
class Report:
    """The energy of an inference.

    Attributes:
        analysis: counts, prices, comparisons; everything else is selected from it.
        activity: the counts of each sample.
        predictions: the class of each sample, [N], -1 where several have the highest
            score; None if the model gives no scores.
        own_not_counted: what ran in the model itself, not in networks to compare with,
            and is not counted.
        scores: float64 [N, classes]; None if the model gives none.
    """

    analysis: EnergyAnalysis
    activity: Activity
    predictions: NDArray[np.int64] | None
    own_not_counted: tuple[Omission, ...]
    scores: NDArray[np.float64] | None

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Modules and functions that ran and are not counted."""
        return self.analysis.inputs.not_counted

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings, one sentence each."""
        return tuple(
            sentence(note, with_label=False)
            for note in cautions(self.analysis.inputs)
            if note.name != NOT_COUNTED
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every term at every place under every price list, and the totals."""
        return pd.DataFrame([row_cells(row) for row in self.analysis.table])

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The printed lines, label and value."""
        inputs = self.analysis.inputs
        rows = [("verdict", line) for line in self.verdict]
        total = self.analysis.total()
        in_joules = f"{joules(total.lowest_pj)} to {joules(total.highest_pj)}"
        headline = self.analysis.chosen.id
        energy = f"{energy_words(total)} under {headline} ({in_joules})"
        title = "" if inputs.title == "samples" else f" of {inputs.title}"
        accuracy = "no labels" if inputs.labels is None else "labels not used"
        percent = inputs.variant.test_percent
        if percent is not None:
            accuracy = f"{percent:.2f} % correct"
        n_steps = inputs.operations.time_window
        activity = inputs.activity
        events = activity.synaptic_events_per_inference
        dense = activity.dense_operations_per_inference
        macs = inputs.value_macs_per_inference
        layers = inputs.network.layer_names[1:]
        spikes = sum(float(self.activity.spikes_of(name).mean()) for name in layers)
        updates = self.activity.updates.mean()
        rows += [
            ("energy per inference", energy),
            ("static power and time", with_time(self.analysis.timed())),
            ("network", f"{architecture(inputs.network)}, {n_steps} steps"),
            ("samples", f"{inputs.n_images:,}{title}, {accuracy}"),
            ("synaptic events", f"{events:,.1f} of {dense:,}"),
            ("multiply-accumulates", f"{macs:,.1f}" if macs else "none"),
            ("neuron spikes", f"{spikes:,.1f} in {updates:,.0f} updates"),
            ("largest terms", self._largest),
            *self._rows_of_other_tools,
            ("not counted", ", ".join(self.not_counted) or "none"),
        ]
        return [*rows, *(("note", note) for note in self.notes)]

    @property
    def _rows_of_other_tools(self) -> list[tuple[str, str]]:
        """The counts of other tools, a row for each."""
        by_tool: dict[str, list[str]] = {}
        for other in self.analysis.inputs.other_counts:
            words = f"{other.quantity} {other.count:,.1f}"
            by_tool.setdefault(f"{other.tool} counts", []).append(words)
        return [(label, ", ".join(words)) for label, words in by_tool.items()]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Which network wins at equal accuracy, or why there is no winner.

        Empty without a network to compare with.
        """
        return answer(self.analysis)[:1] if self.analysis.inputs.baselines else ()

    @property
    def _largest(self) -> str:
        """The two most expensive terms."""
        priced = []
        for row in self.analysis.records():
            if row.energy is not None:
                term = terms_in_words(row.term)
                words = f"{term} in {row.layer} {energy_words(row.energy)}"
                priced.append((row.energy.highest_pj, words))
        priced.sort(key=lambda pair: pair[0], reverse=True)
        return "; ".join(words for _, words in priced[:2]) or "nothing is priced"

    def __str__(self) -> str:
        return in_lines(self.rows)

    def _repr_html_(self) -> str:
        return html_table(self.rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report in the format that the file's name ends in.

        ``.html`` is a self-contained page, ``.csv`` the `table`, and ``.json`` what
        `spikejoule energy --json` prints.

        Raises:
            ParameterError: the name has another ending.
        """
        ending = Path(path).suffix.lower()
        if ending == ".html":
            text = energy_page(PageContent(self.analysis))
        elif ending == ".csv":
            text = self.table.to_csv(index=False)
        elif ending == ".json":
            text = json_text(analysis_values(self.analysis))
        else:
            raise ParameterError(
                f"path is {os.fspath(path)!r}, but must end in .html, .csv or .json."
            )
        write_text(path, text)

    def check(
        self,
        *,
        budget_nj: float,
        profile: str | None = None,
        accept_uncounted: Accepted | None = None,
    ) -> "Report":
        """Return this report if an inference stays within a budget.

        Args:
            budget_nj: in nJ; compared with the mean, or with the upper end where prices
                are ranges.
            profile: id of the price list; None for the headline's.
            accept_uncounted: names of functions, classes or modules that need not be
                counted, such as ``("mean",)``; True for everything; None for what
                `price` was given.

        Raises:
            LimitError: the energy is over budget, part of the model is not counted, or
                the price list has no price for anything it does.
            ParameterError: there is no such price list.
        """
        name = profile or self.analysis.chosen.id
        if name not in (known.id for known in self.analysis.ledger.profiles):
            raise ParameterError(f"profile: {name!r} is not a price list")
        missing = self._missing(accept_uncounted)
        if missing:
            names = dict.fromkeys(name for part in missing for name in part.names)
            raise LimitError(
                "the budget cannot be checked: part of the model was not counted "
                f"({', '.join(map(str, missing))}); to check the rest, accept that: "
                f"accept_uncounted={[*names]}."
            )
        if all(row.energy is None for row in self.analysis.records(profile=name)):
            raise LimitError(
                f"the budget cannot be checked: {name} has no price for anything that "
                "the model does."
            )
        total = self.analysis.total(profile=name)
        spent = total.high_pj if total.value_pj is None else total.value_pj
        if not spent <= 1000 * budget_nj:  # also if the energy is NaN
            raise LimitError(
                f"an inference takes {spent / 1000:,.7g} nJ under {name}; the budget "
                f"is {budget_nj:,.7g} nJ."
            )
        return self

    def _missing(self, accept_uncounted: Accepted | None) -> list[Omission]:
        """Return what of the model is neither counted nor accepted as not counted."""
        if accept_uncounted is None:
            known = self.analysis.inputs.accepted
            return [part for part in self.own_not_counted if str(part) not in known]
        fine = accepted(self.own_not_counted, accept_uncounted)
        return [part for part in self.own_not_counted if part not in fine]
