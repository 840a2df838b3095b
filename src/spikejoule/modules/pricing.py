"""Pricing a running model of torch: counted by hooks, priced in the ledger of this project.

    report = spikejoule.price(model, loader, time_axis=0)
    print(report)
    report.save("energy.html")

Nothing is exported, and nothing is run but the model itself, as it is: with its own states, on its
own device, in evaluation or in training.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, count
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, InstanceOf
from torch import nn
from tqdm import tqdm

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.energy.analysis import analyse
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.from_graph import counted_inputs
from spikejoule.energy.prices import HardwareProfile, load_profiles, select_profile
from spikejoule.evaluation.accuracy import class_labels
from spikejoule.modules.conventional import Baseline, Contestant
from spikejoule.modules.counted import activity_of
from spikejoule.modules.populations import Describe, Known, Population
from spikejoule.modules.report import Report
from spikejoule.modules.running import Answer, Loop, Run, TimeAxis, batches_of, checked

Given = nn.Module | InstanceOf[Baseline]


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
        profile: id of the profile of the headline; None for the first.
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
    profiles = _packaged_profiles()
    chosen = select_profile(profiles, profile or next(iter(profiles)), "profile")
    systems = [one for one in profiles.values() if one.scope == "system"]
    judging = chosen if profile and chosen.compares else systems[0]
    run = Run(model, Known.of(model, neurons), time_axis, loop, answer)
    others = against if isinstance(against, Sequence) else [against]
    contestants = [Contestant(one) for one in others]
    found: list[NDArray[Any]] = []
    batches = batches_of(loader, time_axis, batch_size)
    total = len(loader) if hasattr(loader, "__len__") and not hasattr(loader, "shape") else None
    for x, of_batch in tqdm(batches, total=total, unit="batch", disable=not progress):
        run.take(x)
        for one in contestants:
            one.take(x, time_axis)
        found += [] if of_batch is None else [of_batch]
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
        baselines = _told_apart(one.counts(classes, batch_size) for one in contestants)
    elif contestants:
        raise ParameterError("against needs labels: networks are compared at an accuracy of both")
    inputs = counted_inputs(
        activity,
        title,
        classes,
        run.answers(),
        n_classes,
        counted_in="modules",
        facts=[("counted in", f"the running model ({', '.join(run.known.packages)})")],
        baselines=baselines,
    )
    runs = [run, *(one.run for one in contestants)]
    unknown = [each for one in runs for each in one.not_counted]
    notes = [each for one in runs for each in one.notes]
    notes += [f"{words}." if label == "warning" else f"{label}: {words}."
              for label, words in inputs.facts[1:]]  # fmt: skip
    for words in (*([f"Not counted: {', '.join(unknown)}."] if unknown else []), *notes):
        warnings.warn(words, stacklevel=5)  # of the caller, before what checks the arguments
    facts = [inputs.facts[0], ("not counted", ", ".join(unknown) or "none")]
    facts += [("warning", " ".join(notes).rstrip("."))] if notes else []
    inputs = replace(inputs, facts=tuple(facts))
    analysis = analyse(inputs, profiles, chosen, judging, BootstrapSettings())
    return Report(analysis, activity, run.answers(), tuple(unknown), tuple(notes))


def _told_apart(baselines: Iterable[BaselineCounts]) -> list[BaselineCounts]:
    """Networks of one name are numbered, or they would be counted as one."""
    found: list[BaselineCounts] = []
    for one in baselines:
        names = {other.name for other in found}
        tried = chain([one.name], (f"{one.name} ({number})" for number in count(2)))
        found.append(replace(one, name=next(name for name in tried if name not in names)))
    return found


@cache
def _packaged_profiles() -> dict[str, HardwareProfile]:
    return load_profiles(None)
