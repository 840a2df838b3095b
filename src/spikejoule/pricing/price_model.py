"""Pricing a running model of torch: counted by hooks, priced in the ledger of this project.

    report = spikejoule.price(model, loader, time_axis=0)
    print(report)
    report.save("energy.html")

Nothing is exported, and nothing is run but the model itself, as it is: with its own states, on its
own device, in evaluation or in training. The report is ten lines, a table, the page, and a check of
a budget.
"""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from html import escape
from itertools import chain, count
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, InstanceOf
from torch import nn
from tqdm import tqdm

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError, DataError, LimitError, ParameterError
from spikejoule.core.store import write_text
from spikejoule.energy.analysis import EnergyAnalysis, analyse
from spikejoule.energy.estimates import BootstrapSettings, energy_words, joules
from spikejoule.energy.from_graph import counted_inputs
from spikejoule.energy.notes import NoteKind, fact, sentence, warning
from spikejoule.energy.prices import arithmetic_profile, headline_profile, load_profiles
from spikejoule.energy.terms import in_words
from spikejoule.evaluation.accuracy import class_labels
from spikejoule.evaluation.measurement import Activity
from spikejoule.pricing.conventional import Baseline, BaselineRun
from spikejoule.pricing.counted import activity_of
from spikejoule.pricing.neurons import Describe, Known, Population
from spikejoule.pricing.running import Answer, Loop, Run, TimeAxis, batches_of, checked
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
        own_not_counted: those of them in the model itself, not in a network to compare with.
        notes: what a reader has to know besides, a sentence each.
        scores: from which the classes follow, float64 [N, classes]; None where there are none.
    """

    analysis: EnergyAnalysis
    activity: Activity
    predictions: NDArray[np.int64] | None = None
    not_counted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    own_not_counted: tuple[str, ...] = ()
    scores: NDArray[np.float64] | None = None

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every term at every place under every profile, and the totals (`EnergyAnalysis`)."""
        return pd.DataFrame([row.cells for row in self.analysis.table])

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is printed, label and value."""
        analysis, inputs = self.analysis, self.analysis.inputs
        proxies, total = inputs.proxies, analysis.total()
        macs = inputs.value_macs_per_inference
        spikes = sum(float(one.mean()) for name, one in self.activity.counts["spikes"].items()
                     if name in inputs.network.layer_names[1:])  # fmt: skip
        priced = [(row, row.energy) for row in analysis.records() if row.energy is not None]
        priced.sort(key=lambda pair: -pair[1].highest_pj)
        parts = [
            f"{in_words(row.term)} of {row.layer} {energy_words(energy)}"
            for row, energy in priced[:2]
        ]
        second = analysis.shown[1:]
        of = "" if inputs.title == "samples" else f" of {inputs.title}"
        rows = [
            ("energy per inference", f"{energy_words(total)} under {analysis.chosen.id}"
             f" ({joules(total.lowest_pj)} to {joules(total.highest_pj)})"),
            *[("arithmetic only", f"{energy_words(analysis.total(profile=prices.id))} under "
               f"{prices.id}") for prices in second],
            ("network", f"{inputs.network.sizes}, {inputs.time_window} steps"),
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
        """Who needs less at the accuracy that both reach, or why that cannot be said; nothing
        without a network to compare with."""
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

    def check(
        self,
        *,
        budget_nj: float,
        profile: str | None = None,
        accept_uncounted: bool = False,
    ) -> "Report":
        """This report, if an inference takes no more than a budget.

        Args:
            budget_nj: in nJ; compared is the mean, and where prices are ranges the upper end.
            profile: id of the profile; None for that of the headline.
            accept_uncounted: whether to compare the energy of what was counted although parts
                of the model were not (`own_not_counted`).

        Raises:
            LimitError: it takes more, part of the model was not counted, or nothing that it
                does has a price under the profile.
            ParameterError: there is no such profile.
        """
        name = profile or self.analysis.chosen.id
        if name not in (one.id for one in self.analysis.ledger.profiles):
            raise ParameterError(f"profile: {name!r} is not a profile")
        if isinstance(budget_nj, bool) or not isinstance(budget_nj, float | int):
            raise ParameterError(f"budget_nj is {budget_nj!r}; allowed: a number of nJ")
        if self.own_not_counted and not accept_uncounted:
            raise LimitError(
                "the budget cannot be checked: part of the model was not counted "
                f"({', '.join(self.own_not_counted)}); accept_uncounted=True checks the rest."
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
                f"an inference takes {spent / 1000:,.7g} nJ under {name}; the budget is "
                f"{budget_nj:,.7g} nJ."
            )
        return self


Given = nn.Module | InstanceOf[Baseline]
_packaged_profiles = cache(load_profiles)


@checked
def price(
    model: nn.Module,
    loader: Any,
    *,
    labels: Any = None,
    against: Given | Sequence[Given] = (),
    time_axis: TimeAxis,
    loop: Loop = "auto",
    answer: Answer | None = None,
    neurons: Mapping[type, InstanceOf[Population] | Describe] | None = None,
    profile: str | None = None,
    title: str = "samples",
    batch_size: Annotated[int, Field(ge=1)] = 64,
    progress: bool = True,
) -> Report:
    """Run a spiking model on samples, count what happens in it, and price that.

    Args:
        model: of snnTorch, SpikingJelly, Norse or Sinabs, or of plain torch with neurons of its
            own (`neurons`).
        loader: batches of samples as the model takes them, or pairs of them and labels, such as a
            DataLoader has; or all samples in one tensor.
        labels: the class of each sample, [N]; None for those of the loader, if it has some.
        against: conventional networks (ReLU), which run on the same samples, or a `Baseline`, which
            says what one takes and how wide its weights are.
        time_axis: which axis of a batch is time: 0 of [T, B, ...], 1 of [B, T, ...]; ``none`` of
            batches without, of which the model makes steps itself.
        loop: who takes the steps: ``model``, which is given all of them, or ``price``, which gives
            the model one after the other; ``auto`` tries the model.
        answer: what says the scores [B, classes] of what the model gives; None for its first
            tensor, summed over time.
        neurons: of classes that no simulator here knows: ``{MyNeuron: Population()}``.
        profile: id of the price list of the headline; None for the first that includes memory.
        title: of the data.
        batch_size: in which a tensor of all samples is taken.
        progress: whether to show a bar.

    Returns:
        the report: print it, or see its `table`, `save` and `check`.

    Raises:
        ParameterError: an argument is not allowed.
        DataError: there are no samples, or their axes or labels are not what they should be.
        ArtifactError: the model has no neurons that are known, or no synapse.
    """
    profiles = _packaged_profiles(None)
    chosen = headline_profile(profiles, profile, "profile")
    run = Run(model, Known.of(model, neurons), time_axis, loop, answer)
    others = against if isinstance(against, Sequence) else [against]
    baseline_runs = [BaselineRun(one) for one in others]
    found: list[NDArray[Any]] = []
    batches = batches_of(loader, time_axis, batch_size)
    total = len(loader) if hasattr(loader, "__len__") and not hasattr(loader, "shape") else None
    for batch in tqdm(batches, total=total, unit="batch", disable=not progress):
        run.take(batch.samples)
        for one in baseline_runs:
            one.take(batch.samples, time_axis)
        if batch.labels is not None:
            found.append(batch.labels)
    if not run.watch.sizes:
        raise DataError("there is no sample, and at least one is needed.")
    if all(one.population is None for one in run.watch.places.values()):
        raise ArtifactError(
            "no module of the model is a neuron that is known; say which are: "
            "price(..., neurons={MyNeuron: Population()})."
        )
    activity = activity_of(run.watch, run.steps)
    n_classes = run.n_classes or activity.network.output.n_out
    classes = np.concatenate(found) if found and labels is None else labels
    baselines: list[BaselineCounts] = []
    if classes is not None:
        classes = class_labels(classes, activity.n_rows, n_classes)
        baselines = _told_apart(one.counts(classes, batch_size) for one in baseline_runs)
    elif baseline_runs:
        raise ParameterError("against needs labels: networks are compared at an accuracy of both")
    inputs = counted_inputs(
        activity,
        title,
        classes,
        run.answers(),
        n_classes,
        counted_in="modules",
        notes=[fact("counted in", f"the running model ({', '.join(run.known.packages)})")],
        baselines=baselines,
    )
    runs = [run, *(one.run for one in baseline_runs)]
    unknown = [each for one in runs for each in one.not_counted]
    of_runs = [warning(words) for one in runs for words in one.notes]
    if not unknown:
        of_runs.append(fact("not counted", "none"))
    inputs = replace(inputs, notes=(*inputs.notes, *of_runs), not_counted=tuple(unknown))
    for note in inputs.cautions:
        # Of the caller, before what checks the arguments.
        warnings.warn(sentence(note, with_label=False), stacklevel=5)
    arithmetic = arithmetic_profile(profiles)
    analysis = analyse(inputs, profiles, chosen, arithmetic, BootstrapSettings())
    return Report(
        analysis,
        activity,
        run.answers(),
        not_counted=tuple(unknown),
        notes=tuple(
            sentence(note, with_label=False)
            for note in inputs.cautions
            if note.kind is not NoteKind.NOT_COUNTED
        ),
        own_not_counted=tuple(run.not_counted),
        scores=run.all_scores,
    )


def _told_apart(baselines: Iterable[BaselineCounts]) -> list[BaselineCounts]:
    """Networks of one name are numbered, or they would be counted as one."""
    found: list[BaselineCounts] = []
    for one in baselines:
        names = {other.name for other in found}
        tried = chain([one.name], (f"{one.name} ({number})" for number in count(2)))
        found.append(replace(one, name=next(name for name in tried if name not in names)))
    return found
