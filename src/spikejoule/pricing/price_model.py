"""Price a running PyTorch model: hooks count its operations, the energy ledger prices
them.

    report = spikejoule.price(model, loader, time_axis=0)
    print(report)
    report.save("energy.html")

Nothing is exported: the model itself runs, as it is, with its own states, on its own
device, in evaluation or training mode.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, InstanceOf
from torch import nn
from tqdm import tqdm

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.analysis import analyse
from spikejoule.compare.from_counts import Answers, SampleSet, counted_inputs
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.notes import Note, fact, warning
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.counts.records import Activity
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.evaluation.accuracy import class_labels
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.pricing.activity import activity_of
from spikejoule.pricing.arguments import checked
from spikejoule.pricing.cautions import cautions_of
from spikejoule.pricing.conventional import Baseline, BaselineRun
from spikejoule.pricing.modules.neurons import Describe, Known, Population
from spikejoule.pricing.report import Report
from spikejoule.pricing.running.other_counters import Tool, beside_ours
from spikejoule.pricing.running.run import Answer, Loop, Run, Stepping
from spikejoule.pricing.running.samples import (
    SampleBatch,
    TimeAxis,
    batches_of,
    n_batches,
)
from spikejoule.pricing.watching.omissions import Accepted, accepted

Conventional = nn.Module | InstanceOf[Baseline]
Bits = Annotated[int, Field(ge=1, le=FLOAT_BITS)]
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
    weight_bits: Bits = FLOAT_BITS,
    state_bits: Bits = FLOAT_BITS,
    pruned: bool = False,
    accept_uncounted: Accepted = False,
    count_as: Tool | Sequence[Tool] = (),
    profile: str | None = None,
    title: str = "samples",
    batch_size: Annotated[int, Field(ge=1)] = 64,
    progress: bool = True,
) -> Report:
    """Run a spiking model on samples, count its operations, and price them.

    Args:
        model: from snnTorch, SpikingJelly, Norse or Sinabs, or plain PyTorch with
            neurons of your own (`neurons`).
        loader: batches of samples as the model takes them, or of samples and labels,
            such as a DataLoader; or all samples in one tensor, or from
            `spikejoule.encode`. Batches may be dictionaries or dataclasses of a tensor
            of samples and one named ``label``, ``labels``, ``target``, ``targets`` or
            ``y``.
        labels: the class of each sample, [N]; None for the labels of the loader, if it
            has any.
        against: conventional networks (ReLU) to compare with, which run on the same
            samples, or a `Baseline` with other samples or integer weights.
        time_axis: the time axis of a batch: 0 for [T, B, ...], 1 for [B, T, ...],
            ``none`` for batches without time, from which the model makes steps itself.
        loop: who makes the steps: ``model``, which takes a whole batch, or ``price``,
            which passes one step after another; ``auto`` tries the model first.
        answer: returns the scores [B, classes] in the model's output; None for its
            first tensor, summed over time.
        neurons: your own classes of neurons: ``{MyNeuron: Population()}``.
        weight_bits: width of the model's weights: 32 for floating point, fewer for
            integers; it must compute in them, or round as if it did.
        state_bits: width of its potentials, currents and biases, in the same way.
        pruned: whether a weight of 0 is no weight.
        accept_uncounted: names of functions, classes or modules that need not be
            counted for a verdict, which then says so; True for everything.
        count_as: other tools (``neurobench``, ``spikingjelly``, ``torch``) whose counts
            the report shows next to ours; each batch then runs once more per tool.
        profile: id of the headline's price list; None for the first that includes
            memory.
        title: of the data.
        batch_size: for samples in one tensor.
        progress: whether to show a progress bar.

    Returns:
        the report: print it, or see its `table`, `save` and `check`.

    Raises:
        ParameterError: an argument is not allowed.
        DataError: there are no samples, or their axes or labels do not fit.
        ArtifactError: the model has no known neurons, or no synapses.
    """
    profiles = _packaged_profiles(None)
    headline = headline_profile(profiles, profile, "profile")
    networks = against if isinstance(against, Sequence) else [against]
    tools = (count_as,) if isinstance(count_as, str) else count_as
    stepping = Stepping(time_axis, loop, answer, tuple(tools))
    run = Run(model, Known.of(model, neurons, pruned), stepping)
    baseline_runs = [BaselineRun(network) for network in networks]
    batches = batches_of(loader, time_axis, batch_size)
    total = n_batches(loader, time_axis, batch_size)
    bar = tqdm(batches, total=total, unit="batch", disable=not progress)
    loaded_labels = _take_all(bar, run, baseline_runs)
    if labels is None:
        labels = loaded_labels
    activity = _activity(run, weight_bits, state_bits)
    samples = SampleSet(title, labels)
    inputs = _inputs(run, baseline_runs, activity, samples, batch_size)
    inputs = _with_omissions(inputs, run, baseline_runs, accept_uncounted)
    if not run.is_split_known:
        activity = activity.as_mean
        means = [
            replace(one, operations=one.operations.as_mean) for one in inputs.variants
        ]
        inputs = replace(inputs, variants=tuple(means))
    analysis = analyse(inputs, profiles, headline, None, BootstrapSettings())
    report = Report(
        analysis, activity, run.scores.classes, tuple(run.not_counted), run.scores.all
    )
    # Counts read weights, which updates spectral norms.
    run.state.restore()
    return report


def _take_all(
    batches: Iterable[SampleBatch], run: Run, baseline_runs: Sequence[BaselineRun]
) -> NDArray[np.int64] | None:
    """Run all models on each batch; return the labels of the loader, if it has any."""
    labels = []
    for batch in batches:
        run.take(batch.samples)
        for baseline_run in baseline_runs:
            baseline_run.take(batch.samples, run.axes)
        if batch.labels is not None:
            labels.append(batch.labels)
    return np.concatenate(labels) if labels else None


def _activity(run: Run, weight_bits: int, state_bits: int) -> Activity:
    """Return the counts of the spiking model, stored in words of some widths.

    Raises:
        ArtifactError: no module is known to be neurons, or all weights are in parts
            that cannot be counted.
        DataError: there is no sample.
    """
    if not run.watch.calls.n_samples:
        raise DataError("there is no sample, and at least one is needed.")
    parts = ", ".join(map(str, run.not_counted))
    not_counted = f" Not counted: {parts}." if parts else ""
    if all(place.population is None for place in run.watch.places.values()):
        raise ArtifactError(
            "no module of the model is a known neuron; declare yours: price(..., "
            f"neurons={{MyNeuron: Population()}}).{not_counted}"
        )
    activity = activity_of(run.watch, run.steps, weight_bits, state_bits, run.scores)
    if parts and not any(activity.network.synapses):
        raise ArtifactError(
            "no weights of the model could be counted, so there is nothing to "
            f"price.{not_counted}"
        )
    return activity


def _inputs(
    run: Run,
    baseline_runs: list[BaselineRun],
    activity: Activity,
    samples: SampleSet,
    batch_size: int,
) -> AnalysisInputs:
    """Collect counts, accuracies and notes for the analysis.

    Raises:
        ParameterError: networks are to be compared, but labels are missing.
    """
    scores = run.scores.all
    n_classes = activity.network.output.n_out if scores is None else scores.shape[1]
    baselines: list[CountedBaseline] = []
    if baseline_runs:
        if samples.labels is None:
            raise ParameterError(
                "against needs labels: networks are compared at equal accuracy"
            )
        labels = class_labels(samples.labels, activity.n_rows, n_classes)
        baselines = _with_unique_names(
            baseline.counts(labels, batch_size) for baseline in baseline_runs
        )
    answers = Answers(run.scores.classes, n_classes)
    inputs = counted_inputs(activity, samples, answers, "modules", baselines)
    packages = ", ".join(run.known.packages)
    counted_in = fact("counted in", f"the running model ({packages})")
    notes: list[Note] = [counted_in, *_nonzero_products(activity), *inputs.notes]
    for any_run in (run, *(baseline.run for baseline in baseline_runs)):
        notes += cautions_of(any_run)
    if samples.labels is not None and scores is None:
        shape = run.scores.other_shape
        notes.append(
            warning(
                "the labels were not used: the output, summed over time, has the shape "
                f"{shape}, not [samples, classes]; let answer= return scores"
            )
        )
    return replace(
        inputs,
        notes=tuple(notes),
        other_counts=beside_ours(run.other_counts, inputs),
    )


def _nonzero_products(activity: Activity) -> Iterator[Note]:
    """Note how many products of two activations have two nonzero factors."""
    for name, counts in activity.counts.items():
        products = counts.events if counts.macs is None else counts.macs
        if counts.nonzero_products is not None and products is not None:
            words = f"{counts.nonzero_products.mean():,.1f} of {products.mean():,.1f}"
            yield fact("products without a zero", f"{words} in {name}")


def _with_omissions(
    inputs: AnalysisInputs,
    run: Run,
    baseline_runs: Iterable[BaselineRun],
    accept_uncounted: Accepted,
) -> AnalysisInputs:
    """Add what was not counted, and what of that the user accepts."""
    runs = (run, *(baseline.run for baseline in baseline_runs))
    omissions = [omission for one in runs for omission in one.not_counted]
    if not omissions:
        none = fact("not counted", "none")
        return replace(inputs, notes=(*inputs.notes, none))
    return replace(
        inputs,
        not_counted=tuple(map(str, omissions)),
        accepted=tuple(map(str, accepted(omissions, accept_uncounted))),
    )


def _with_unique_names(baselines: Iterable[CountedBaseline]) -> list[CountedBaseline]:
    """Number networks with the same name: the ledger would take them for one."""
    by_name: dict[str, CountedBaseline] = {}
    for baseline in baselines:
        name = baseline.name
        number = 1
        while name in by_name:
            number += 1
            name = f"{baseline.name} ({number})"
        by_name[name] = replace(baseline, name=name)
    return [*by_name.values()]
