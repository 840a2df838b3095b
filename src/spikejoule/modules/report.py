"""The report of a priced model: ten lines, a table, the page, and a check of a budget."""

import os
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikejoule.core.errors import LimitError, ParameterError
from spikejoule.core.store import write_text
from spikejoule.energy.analysis import EnergyAnalysis
from spikejoule.energy.estimates import energy_words, joules
from spikejoule.energy.terms import in_words
from spikejoule.evaluation.measurement import Activity
from spikejoule.report.page import PageContent, energy_page


@dataclass(frozen=True, eq=False)
class Report:
    """What an inference of a model takes.

    Attributes:
        analysis: counts, prices, comparisons; everything else is a selection of it.
        activity: what was counted, of each sample.
        predictions: the class of each sample, [N], -1 where none or several have the most spikes;
            None where the model gives no scores.
        not_counted: modules that ran and are not known.
        notes: what a reader has to know besides, a sentence each.
    """

    analysis: EnergyAnalysis
    activity: Activity
    predictions: NDArray[np.int64] | None = None
    not_counted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """Every term at every place under every profile, and the totals (`EnergyAnalysis`)."""
        return self.analysis.table

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is printed, label and value."""
        analysis, inputs = self.analysis, self.analysis.inputs
        proxies, total = inputs.proxies, analysis.total()
        macs = inputs.value_macs_per_inference
        spikes = sum(float(one.mean()) for name, one in self.activity.counts["spikes"].items()
                     if name in inputs.architecture.layer_names[1:])  # fmt: skip
        priced = [row for row in analysis.records() if row["energy"] is not None]
        priced.sort(key=lambda row: -row["energy"].highest_pj)
        parts = [f"{in_words(row['term'])} of {row['layer']} {energy_words(row['energy'])}"
                 for row in priced[:2]]  # fmt: skip
        other = analysis.judging if analysis.judging.id != analysis.chosen.id else None
        of = "" if inputs.title == "samples" else f" of {inputs.title}"
        rows = [
            ("energy per inference", f"{energy_words(total)} under {analysis.chosen.id}"
             f" ({joules(total.lowest_pj)} to {joules(total.highest_pj)})"),
            *([("with memory", f"{energy_words(analysis.total(profile=other.id))} under "
                f"{other.id}")] if other is not None else []),
            ("network", f"{inputs.architecture.sizes}, {inputs.encoder.time_window} steps"),
            ("samples", f"{inputs.n_images:,}{of}, {self._accuracy}"),
            ("synaptic events", f"{proxies.synaptic_events_per_inference:,.1f} of "
             f"{proxies.dense_operations_per_inference:,}"),
            ("products of values", "none" if not macs else f"{macs:,.1f}"),
            ("spikes of neurons", f"{spikes:,.1f} in "
             f"{self.activity.total('updates').mean():,.0f} updates"),
            ("most of it", "; ".join(parts) or "nothing is priced"),
            ("not counted", ", ".join(self.not_counted) or "none"),
        ]  # fmt: skip
        return [*(("verdict", line) for line in self.verdict), *rows]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Who needs less at the accuracy that both reach, if there is a network to compare with."""
        return self.analysis.answer[:1] if self.analysis.inputs.baselines else ()

    @property
    def _accuracy(self) -> str:
        known = self.analysis.inputs.accuracy
        return "accuracy not known" if known is None else f"{known.test_percent:.2f} % correct"

    def __str__(self) -> str:
        lines = [f"{label:<22}{value}" for label, value in self.rows]
        return "\n".join([*lines, *(f"{'note':<22}{note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = [*self.rows, *(("note", note) for note in self.notes)]
        cells = (f"<tr><th>{escape(one)}</th><td>{escape(two)}</td></tr>" for one, two in rows)
        return f"<table>{''.join(cells)}</table>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, a self-contained HTML file."""
        write_text(path, energy_page(PageContent(self.analysis)))

    def check(self, *, budget_nj: float, profile: str | None = None) -> "Report":
        """This report, if an inference takes no more than a budget.

        Args:
            budget_nj: in nJ; compared is the mean, and where prices are ranges the upper end.
            profile: id of the profile; None for that of the headline.

        Raises:
            LimitError: it takes more.
            ParameterError: there is no such profile.
        """
        name = profile or self.analysis.chosen.id
        if name not in (one.id for one in self.analysis.ledger.profiles):
            raise ParameterError(f"profile: {name!r} is not a profile")
        if isinstance(budget_nj, bool) or not isinstance(budget_nj, float | int):
            raise ParameterError(f"budget_nj is {budget_nj!r}; allowed: a number of nJ")
        total = self.analysis.total(profile=name)
        spent = total.high_pj if total.value_pj is None else total.value_pj
        if not spent <= 1000 * budget_nj:
            raise LimitError(
                f"an inference takes {spent / 1000:,.7g} nJ under {name}; the budget is "
                f"{budget_nj:,.7g} nJ."
            )
        return self
