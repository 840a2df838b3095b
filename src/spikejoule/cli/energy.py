"""The command `energy`: the energy of a checkpoint's network, or of a NIR graph.

A NIR graph always runs, on the events of `--events`. A checkpoint's network runs only
with `--images`; otherwise the mean counts stored in the file are priced.
"""

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline, load_baseline
from spikejoule.cli.inputs import (
    InputEvents,
    conventional_network,
    is_nir,
    read_events,
    run_checkpoint,
    test_samples,
)
from spikejoule.compare.analysis import analyse
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.compare.from_graph import graph_inputs
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.notes import Note, fact
from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import json_text, write_text
from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import class_counts
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import first_of_scope, headline_profile, load_profiles
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.runs import CountedSamples, counted_runs
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.nir.graph_run import GraphRun
from spikejoule.nir.options import chosen_conventions
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.verification import verified_words
from spikejoule.report.graph_notes import graph_notes
from spikejoule.report.notes import cautions, sentence
from spikejoule.report.page import PageContent, energy_page, energy_text
from spikejoule.report.values import analysis_values

if TYPE_CHECKING:
    from spikejoule.pricing.conventional import BaselineRun


def energy(options: argparse.Namespace) -> str:
    """Return the estimate as text or JSON; also write the page that `--html` names."""
    is_graph = is_nir(options)
    profiles = load_profiles(options.hardware)
    chosen = headline_profile(profiles, options.profile, "--profile")
    inputs = _inputs_of_graph(options) if is_graph else _inputs_of_checkpoint(options)
    # An imported network has one figure, which includes memory.
    arithmetic = None if is_graph else first_of_scope(profiles, "arithmetic")
    analysis = analyse(inputs, profiles, chosen, arithmetic, BootstrapSettings())
    kind = "graph" if is_graph else "checkpoint"
    if options.html is not None:
        files = {kind: options.file, "events": options.events}
        provenance = tuple(
            (f"{label} {path.name}, SHA-256", file_digest(path, "sha256"))
            for label, path in files.items()
            if path is not None
        )
        page = PageContent(analysis, provenance=provenance)
        write_text(options.html, energy_page(page))
    if options.json:
        return json_text({kind: options.file.name, **analysis_values(analysis)})
    return energy_text(f"Energy of {options.file.name}", analysis)


def _inputs_of_checkpoint(options: argparse.Namespace) -> AnalysisInputs:
    """Use the counts stored in a checkpoint, or run its network on `--images`."""
    if options.samples is not None and options.images is None:
        raise DataError(
            "--samples needs --images: without images there are none to choose from."
        )
    checkpoint = Checkpoint.read(options.file)
    counted: CountedSamples | None = None
    labels = None
    notes: tuple[Note, ...] = ()
    if options.images is not None:
        title, samples = test_samples(options.images, options.samples)
        measurement = run_checkpoint(checkpoint, samples)
        labels = samples.labels
        pixels = samples.images if isinstance(samples, LabelledImages) else None
        runs = counted_runs(measurement, checkpoint.encoder, pixels)
        counted = CountedSamples(runs, labels)
        notes = (fact("counted on", title), *_facts_of(measurement, labels))
    baselines: tuple[CountedBaseline, ...] = ()
    if options.baselines is not None:
        n_input = checkpoint.network.n_input
        baselines = load_baseline(options.baselines, labels, n_input)
    try:
        inputs = analysis_inputs(checkpoint, counted, baselines)
    except ArtifactError as error:
        raise ArtifactError(f"{options.file}: {error}") from error
    if baselines:  # these replace the published networks
        inputs = replace(inputs, published=())
    return replace(inputs, notes=notes)


def _facts_of(measured: Measurement, labels: NDArray[Any]) -> list[Note]:
    """List the accuracy and the mean spikes of each layer as notes."""
    n_correct = int((measured.predictions == labels).sum())
    estimate = accuracy(n_correct, len(labels))
    interval = f"{estimate.low_percent:.2f} to {estimate.high_percent:.2f}"
    facts = [fact("classified correctly", f"{estimate.percent:.2f} % ({interval})")]
    for name, mean in measured.counts.means.items():
        facts.append(fact(f"spikes per inference: {name}", f"{mean:,.2f}"))
    return facts


def _inputs_of_graph(options: argparse.Namespace) -> AnalysisInputs:
    """Run a graph on events, and with `--against` also a conventional network."""
    if options.events is None:
        raise DataError("--events is needed: a NIR graph runs on input spikes.")
    network = read_nir(options.file)
    given = read_events(options.events, options.step_us, options.samples)
    run = run_graph(network, given.events, chosen_conventions(options))
    notes = [*graph_notes(run), *given.notes]
    baselines: list[CountedBaseline] = []
    not_counted: tuple[str, ...] = ()
    if options.against is not None:
        baseline_run = _baseline_run(run, given, options.against)
        baselines = [baseline_run.counts(np.asarray(given.samples.labels))]
        not_counted = tuple(map(str, baseline_run.run.not_counted))
        notes += baseline_run.cautions
    inputs = graph_inputs(
        run,
        given.samples,
        verified=verified_words(options.file, run.conventions),
        baselines=baselines,
    )
    inputs = replace(inputs, notes=tuple(notes), not_counted=not_counted)
    for note in cautions(inputs):
        sys.stderr.write(f"warning: {sentence(note, with_label=False)}\n")
    return inputs


def _baseline_run(run: GraphRun, given: InputEvents, text: str) -> "BaselineRun":
    """Run a conventional network on rates: the mean events per step of each unit.

    Args:
        run: the graph's run.
        given: the events that the graph ran on.
        text: the value of `--against`.

    Raises:
        DataError: the samples have no labels, or the graph has no predictions.
        ParameterError: as for `conventional_network`.
    """
    # Imported here: it imports PyTorch, which only `--against` needs.
    from spikejoule.pricing.conventional import BaselineRun

    if given.samples.labels is None or run.predictions is None:
        raise DataError(
            "--against needs labels, since networks are compared at equal accuracy: "
            "use an event file, and a graph whose output fires."
        )
    events = given.events
    rates = (class_counts(events) / events.n_steps).astype(np.float32)
    shape = (events.n_samples, *run.network.input.out_shape)
    return BaselineRun(conventional_network(text), rates.reshape(shape))
