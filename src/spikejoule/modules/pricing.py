"""Pricing a running model of torch: counted by hooks, priced in the ledger of this project.

    report = spikejoule.price(model, loader, time_axis=0)
    print(report)
    report.save("energy.html")

Nothing is exported, and nothing is run but the model itself, as it is: with its own states, on its
own device, in evaluation or in training.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn
from tqdm import tqdm

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.data.subject import Subject, numbered
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.energy.analysis import AnalysisInputs, analyse, network_name
from spikejoule.energy.counting import count_spiking
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import SPIKING, WHOLE_WINDOW, Accuracies, Variant
from spikejoule.energy.prices import HardwareProfile, load_profiles, select_profile
from spikejoule.evaluation.accuracy import accuracy, class_labels
from spikejoule.evaluation.measurement import Activity, energy_proxies
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.modules.conventional import Baseline, Contestant
from spikejoule.modules.counted import activity_of
from spikejoule.modules.populations import Describe, Known, Population
from spikejoule.modules.report import Report
from spikejoule.modules.running import (
    NO_ANSWER,
    Answer,
    Loop,
    Run,
    TimeAxis,
    batches_of,
    check_choices,
)
from spikejoule.modules.simulators import simulators_of
from spikejoule.modules.watching import INPUT


def price(
    model: nn.Module,
    loader: Any,
    *,
    labels: ArrayLike | None = None,
    against: nn.Module | Baseline | Sequence[nn.Module | Baseline] = (),
    time_axis: TimeAxis,
    loop: Loop = "auto",
    answer: Answer | None = None,
    neurons: Mapping[type, Population | Describe] | None = None,
    profile: str | None = None,
    title: str = "samples",
    batch_size: int = 64,
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
    if not isinstance(model, nn.Module):
        raise ParameterError(
            f"model is {type(model).__name__}, but must be a module of torch; files and graphs of "
            "NIR are priced by `spikejoule energy` and spikejoule.energy.from_graph"
        )
    check_choices(time_axis, loop)
    _check_neurons({} if neurons is None else neurons)
    profiles = _packaged_profiles()
    chosen = select_profile(profiles, profile or next(iter(profiles)), "profile")
    systems = [one for one in profiles.values() if one.scope == "system"]
    judging = chosen if profile and chosen.compares else systems[0]
    known = Known(simulators_of(model), neurons or {})
    run = Run(model, known, time_axis, loop, answer)
    given: list[Any] = [*against] if isinstance(against, list | tuple) else [against]
    contestants = [Contestant(one) for one in given]
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
    classes = np.concatenate(found) if found and labels is None else labels
    if contestants and classes is None:
        raise ParameterError("against needs labels: networks are compared at an accuracy of both")
    inputs, activity = _inputs(run, known, title, classes, contestants, batch_size)
    notes = _notes(run, activity, [one.run for one in contestants])
    for note in notes:
        warnings.warn(note, stacklevel=2)
    unknown = dict.fromkeys(run.watch.unknown.values())
    unknown |= dict.fromkeys(text for one in contestants for text in one.not_counted)
    facts = [*inputs.facts, ("not counted", ", ".join(unknown) or "none")]
    facts += [("notes", " ".join(notes))] if notes else []
    inputs = replace(inputs, facts=tuple(facts))
    analysis = analyse(inputs, profiles, chosen, judging, BootstrapSettings())
    return Report(analysis, activity, run.answers(), tuple(unknown), notes)


def _check_neurons(neurons: Any) -> None:
    """ParameterError unless these are classes, each with what is known of it."""
    pairs = neurons.items() if isinstance(neurons, Mapping) else [(None, None)]
    for kind, said in pairs:
        if not (isinstance(kind, type) and (isinstance(said, Population) or callable(said))):
            raise ParameterError(
                "neurons must map classes to a Population, or to a function that gives one for a "
                "module: {MyNeuron: Population()}"
            )


@cache
def _packaged_profiles() -> dict[str, HardwareProfile]:
    return load_profiles(None)


def _inputs(
    run: Run,
    known: Known,
    title: str,
    labels: ArrayLike | None,
    contestants: Sequence[Contestant],
    batch_size: int,
) -> tuple[AnalysisInputs, Activity]:
    """What was counted, arranged for the ledger."""
    places = run.watch.places.values()
    if not any(one.population is not None for one in places):
        raise ArtifactError(
            "no module of the model is a neuron that is known; say which are: "
            "price(..., neurons={MyNeuron: Population()})."
        )
    if all(one.fan_out is None for one in places):
        raise ArtifactError("the model has no layer with weights, and nothing to price.")
    activity = activity_of(run.watch)
    network, window, n_samples = activity.network, activity.time_window, activity.n_rows
    encoder = NoEncoding.model_construct(time_window=window, window_ms=float(window))
    name, operations = network_name(network, encoder), count_spiking(activity)
    spikes = {name: float(activity.of("spikes", name).mean()) for name in network.spiking}
    events = [float(activity.of("events", name).mean()) for name in network.connection_names]
    answers, classes, known_accuracies = run.answers(), None, None
    n_classes = run.n_classes or network.output.n_out
    if labels is not None:
        classes = class_labels(labels, n_samples, n_classes)
        if answers is not None:
            of_all = accuracy(int((answers == classes).sum()), n_samples)
            assert of_all.percent is not None
            percents = of_all.percent, of_all.low_percent, of_all.high_percent
            known_accuracies = Accuracies(of_all.percent, *percents)
    baselines = tuple(one.counts(classes, batch_size) for one in contestants if classes is not None)
    reached = [one.accuracy_percent for one in baselines]
    level = None
    if reached and known_accuracies is not None:
        level = min(known_accuracies.test_percent, max(reached))
    used = ", ".join(one.package for one in known.simulators) or "torch"
    inputs = AnalysisInputs(
        title=title,
        architecture=network,
        encoder=encoder,
        variants=(Variant(SPIKING, name, WHOLE_WINDOW, known_accuracies, FLOAT_BITS, operations),),
        proxies=energy_proxies(network, spikes, window, events),
        n_images=n_samples,
        labels=classes,
        baselines=baselines,
        value_macs_per_inference=float(activity.total("macs").mean()) or None,
        facts=(("counted in", f"the running model ({used})"),),
        subject=Subject("class", numbered(n_classes), "samples"),
        counted_in="modules",
        level_percent=level,
    )
    return inputs, activity


def training_note(name: str) -> str:
    """Of a model that is not in evaluation mode."""
    return f"{name} is in training mode, and was counted as it ran: call eval() for an inference."


def _notes(run: Run, activity: Activity, others: Sequence[Run]) -> tuple[str, ...]:
    """What a reader has to know besides."""
    training = [type(one.model).__name__ for one in (run, *others) if one.model.training]
    notes = [training_note(name) for name in training]
    silent = [
        name
        for name, place in run.watch.places.items()
        if place.population is not None and place.population.fires
        and not activity.of("spikes", name).any()
    ]  # fmt: skip
    if silent:
        notes.append(f"No neuron of {', '.join(silent)} spikes on any sample.")
    answers = run.answers()
    undecided = 0 if answers is None else int((answers == NO_ANSWER).sum())
    if undecided:
        notes.append(
            f"{undecided:,} of {activity.n_rows:,} samples have no answer, since several classes "
            "have the most spikes, and count as wrong."
        )
    readers = [one for one in run.watch.places.values() if INPUT in one.sources]
    peak = max((one.peak for one in readers if not one.takes_values), default=0.0)
    if peak > 1:
        notes.append(
            f"The input holds whole numbers up to {peak:g}, which are counted as so many spikes."
        )
    return tuple(notes)
