"""Price a running PyTorch model: hooks count what it does, the energy ledger prices it.

    report = spikejoule.price(model, loader, time_axis=0)
    print(report)
    report.save("energy.html")

Nothing is exported, and nothing runs but the model itself, as it is: with its own
states, on its own device, in evaluation or in training.
"""

import warnings
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field, InstanceOf
from torch import nn
from tqdm import tqdm

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.energy.analysis import analyse
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.from_graph import Answers, SampleSet, counted_inputs
from spikejoule.energy.notes import fact, sentence
from spikejoule.energy.prices import arithmetic_profile, headline_profile, load_profiles
from spikejoule.evaluation.accuracy import class_labels
from spikejoule.pricing.conventional import Baseline, BaselineRun
from spikejoule.pricing.counted import activity_of
from spikejoule.pricing.neurons import Describe, Known, Population
from spikejoule.pricing.report import Report
from spikejoule.pricing.running import Answer, Loop, Run, TimeAxis, batches_of, checked

Conventional = nn.Module | InstanceOf[Baseline]
_packaged_profiles = cache(load_profiles)


@checked
def price(
    model: nn.Module,
    loader: Any,
    *,
    labels: Any = None,
    against: Conventional | Sequence[Conventional] = (),
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
        model: of snnTorch, SpikingJelly, Norse or Sinabs, or of plain torch with
            neurons of its own (`neurons`).
        loader: batches of samples as the model takes them, or pairs of them and labels,
            such as a DataLoader has; or all samples in one tensor.
        labels: the class of each sample, [N]; None for those of the loader, if it has
            some.
        against: conventional networks (ReLU), which run on the same samples, or a
            `Baseline`, which says what one takes and how wide its weights are.
        time_axis: which axis of a batch is time: 0 of [T, B, ...], 1 of [B, T, ...];
            ``none`` of batches without, of which the model makes steps itself.
        loop: who takes the steps: ``model``, which is given all of them, or ``price``,
            which gives the model one after the other; ``auto`` tries the model.
        answer: what says the scores [B, classes] of what the model gives; None for its
            first tensor, summed over time.
        neurons: of classes that no simulator here knows: ``{MyNeuron: Population()}``.
        profile: id of the price list of the headline; None for the first that includes
            memory.
        title: of the data.
        batch_size: in which a tensor of all samples is taken.
        progress: whether to show a bar.

    Returns:
        the report: print it, or see its `table`, `save` and `check`.

    Raises:
        ParameterError: an argument is not allowed.
        DataError: there are no samples, or their axes or labels are not what they
            should be.
        ArtifactError: the model has no neurons that are known, or no synapse.
    """
    profiles = _packaged_profiles(None)
    headline = headline_profile(profiles, profile, "profile")

    # Run the model, and the networks to compare with, on the same samples.
    run = Run(model, Known.of(model, neurons), time_axis, loop, answer)
    networks = against if isinstance(against, Sequence) else [against]
    baseline_runs = [BaselineRun(network) for network in networks]
    loaded_labels = []
    total = (
        len(loader)
        if isinstance(loader, Sized) and not hasattr(loader, "shape")
        else None
    )
    batches = batches_of(loader, time_axis, batch_size)
    for batch in tqdm(batches, total=total, unit="batch", disable=not progress):
        run.take(batch.samples)
        for baseline_run in baseline_runs:
            baseline_run.take(batch.samples, time_axis)
        if batch.labels is not None:
            loaded_labels.append(batch.labels)
    _check_counted(run)

    # What was counted, and how well they answer.
    activity = activity_of(run.watch, run.steps)
    scores = run.all_scores
    n_classes = activity.network.output.n_out if scores is None else scores.shape[1]
    if labels is None and loaded_labels:
        labels = np.concatenate(loaded_labels)
    baselines: list[BaselineCounts] = []
    if labels is not None:
        labels = class_labels(labels, activity.n_rows, n_classes)
        counts = [
            baseline_run.counts(labels, batch_size) for baseline_run in baseline_runs
        ]
        baselines = _with_unique_names(counts)
    elif baseline_runs:
        raise ParameterError(
            "against needs labels: networks are compared at an accuracy of both"
        )
    inputs = counted_inputs(
        activity,
        SampleSet(title, labels),
        Answers(run.answers(), n_classes),
        "modules",
        baselines,
    )

    # What a reader should know.
    runs = [run, *(baseline_run.run for baseline_run in baseline_runs)]
    not_counted = [part for one_run in runs for part in one_run.not_counted]
    packages = ", ".join(run.known.packages)
    counted_in = fact("counted in", f"the running model ({packages})")
    notes = [note for one_run in runs for note in one_run.notes]
    if not not_counted:
        notes.append(fact("not counted", "none"))
    inputs = replace(
        inputs,
        notes=(counted_in, *inputs.notes, *notes),
        not_counted=tuple(not_counted),
    )
    for note in inputs.cautions:
        # Of the caller, before what checks the arguments.
        warnings.warn(sentence(note, with_label=False), stacklevel=5)

    analysis = analyse(
        inputs, profiles, headline, arithmetic_profile(profiles), BootstrapSettings()
    )
    return Report(analysis, activity, run.answers(), tuple(run.not_counted), scores)


def _check_counted(run: Run) -> None:
    """Refuse a run without samples, or without neurons."""
    if not run.watch.sizes:
        raise DataError("there is no sample, and at least one is needed.")
    if all(place.population is None for place in run.watch.places.values()):
        raise ArtifactError(
            "no module of the model is a neuron that is known; say which are: "
            "price(..., neurons={MyNeuron: Population()})."
        )


def _with_unique_names(baselines: Sequence[BaselineCounts]) -> list[BaselineCounts]:
    """Networks of one name are numbered, or they would be counted as one."""
    named: dict[str, BaselineCounts] = {}
    for baseline in baselines:
        name, number = baseline.name, 1
        while name in named:
            number += 1
            name = f"{baseline.name} ({number})"
        named[name] = replace(baseline, name=name)
    return [*named.values()]
