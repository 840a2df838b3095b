"""Commands on a network: what a checkpoint holds, measuring it, and what it takes in joules.

`spikejoule energy` prices a complete checkpoint, or any network given as a graph of NIR, which is
run on given events.
"""

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import PydanticSerializationError, to_json
from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

from spikejoule.baselines.counts import BaselineCounts, load_baseline
from spikejoule.cli.arguments import DEFAULT_SEED, GRAPH_CHOICES
from spikejoule.core.errors import ArtifactError, DataError, ParameterError, in_one_sentence
from spikejoule.core.npz import schema_of
from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.store import json_text, write_text
from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from spikejoule.data.sources.events import samples_of_file
from spikejoule.encoding.binning import bin_all
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.encoding.events import EVENTS, EventList, load_events
from spikejoule.energy import BootstrapSettings, analyse, load_profiles
from spikejoule.energy.analysis import AnalysisInputs
from spikejoule.energy.from_checkpoint import analysis_inputs
from spikejoule.energy.from_graph import graph_inputs
from spikejoule.energy.notes import Note, fact, sentence
from spikejoule.energy.outputs import analysis_values
from spikejoule.energy.prices import PACKAGED, arithmetic_profile, headline_profile
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.conventions import Conventions, conventions_of
from spikejoule.nir.executor import GraphRun
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.verification import verified_words
from spikejoule.report import PageContent, energy_page
from spikejoule.report.page import energy_text
from spikejoule.tracking.store import project_store

_OF_CHECKPOINTS = ("images", "baselines")
_OF_GRAPHS = ("events", "step_us", "against", "dt", *GRAPH_CHOICES, "pruned")


def inspect(options: argparse.Namespace) -> str:
    """What a complete checkpoint holds, or a graph; of every array, its shape and type."""
    if options.file.suffix == ".nir":
        content = _graph_content(read_nir(options.file))
    else:
        content = read_complete(options.file).content
    try:
        return _content_text(content, options.json)
    except (PydanticSerializationError, RecursionError) as error:
        raise ArtifactError(
            f"{options.file} cannot be shown: its values are nested too deep."
        ) from error


def _content_text(content: dict[str, Any], as_json: bool) -> str:
    text = to_json(content, fallback=_json_value, inf_nan_mode="strings")
    values = json.loads(text)
    if as_json:
        return json_text(values)
    yaml, buffer = YAML(typ="safe", pure=True), io.StringIO()
    yaml.Representer, yaml.default_flow_style, yaml.width = _ListsInLines, False, 110
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, buffer)
    return buffer.getvalue()


class _ListsInLines(SafeRepresenter):
    def represent_sequence(self, tag: Any, sequence: Any, flow_style: Any = None) -> Any:
        """One number of many epochs is no line of its own."""
        return super().represent_sequence(tag, sequence, flow_style=True)


def _graph_content(network: ImportedGraph) -> dict[str, Any]:
    """A graph's metadata, its nodes with the shapes that they receive and give, and its edges."""
    nodes = {}
    for name, node in network.nodes.items():
        shapes = (" x ".join(map(str, shape)) for shape in (node.in_shape, node.out_shape))
        nodes[name] = f"{getattr(node, 'kind', type(node).__name__)}, {' -> '.join(shapes)}"
    edges = {
        target: " + ".join(
            f"{source} (a step before)" if (source, target) in network.waiting else source
            for source in sources
        )
        for target, sources in network.sources.items()
        if sources
    }
    return {"metadata": network.metadata, "nodes": nodes, "receives from": edges}


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return str(value)


def energy(options: argparse.Namespace) -> str:
    """The energy of a checkpoint's network, or of a graph; the page too, if one is asked for."""
    is_graph = is_nir(options)
    profiles = load_profiles(options.hardware)
    chosen = headline_profile(profiles, options.profile, "--profile")
    inputs = _inputs_of_graph(options) if is_graph else _inputs_of_checkpoint(options)
    arithmetic = arithmetic_profile(profiles)
    analysis = analyse(inputs, profiles, chosen, arithmetic, BootstrapSettings())
    kind = "graph" if is_graph else "checkpoint"
    if options.html is not None:
        files = {kind: options.file, "events": options.events}
        provenance = tuple(
            (f"{label} {path.name}, SHA-256", file_digest(path, "sha256"))
            for label, path in files.items()
            if path is not None
        )
        write_text(options.html, energy_page(PageContent(analysis, provenance=provenance)))
    if options.json:
        return json_text({kind: options.file.name, **analysis_values(analysis)})
    return energy_text(f"Energy of {options.file.name}", analysis)


def is_nir(options: argparse.Namespace) -> bool:
    """Whether the file is a graph; ParameterError for an option of the other kind."""
    is_graph: bool = options.file.suffix == ".nir"
    names, kind = (_OF_CHECKPOINTS, "checkpoint") if is_graph else (_OF_GRAPHS, "graph of NIR")
    for name in names:
        if getattr(options, name, None) is not None:
            raise ParameterError(
                f"--{name.replace('_', '-')} is for a {kind}, which {options.file.resolve().name} "
                "is not: a graph's name ends in .nir."
            )
    return is_graph


def _inputs_of_checkpoint(options: argparse.Namespace) -> AnalysisInputs:
    """What a checkpoint records, or what its network does on the images that are given."""
    if options.samples is not None and options.images is None:
        raise DataError("--samples needs --images: without images there are none to choose from.")
    checkpoint = read_complete(options.file)
    measured = labels = shown = None
    notes: tuple[Note, ...] = ()
    if options.images is not None:
        title, images = _test_images(options.images, options.samples, checkpoint)
        measured = _measured(checkpoint, images)
        labels = images.labels
        shown = images.images if isinstance(images, LabelledImages) else None
        notes = (fact("counted on", title), *_facts_of(measured, labels))
    baselines: tuple[BaselineCounts, ...] = ()
    if options.baselines is not None:
        n_input = checkpoint.architecture.n_input
        baselines = load_baseline(options.baselines, labels, n_input)
    try:
        inputs = analysis_inputs(checkpoint, measured, labels, baselines, shown)
    except ArtifactError as error:
        raise ArtifactError(f"{options.file}: {error}") from error
    if baselines:  # given to be compared with, in place of published ones
        inputs = replace(inputs, published=())
    return replace(inputs, notes=notes)


def _measured(checkpoint: CompleteCheckpoint, samples: Samples) -> Measurement:
    """What the network does on samples, encoded as those that it was trained on: from its own seed,
    or the default where it records none."""
    recorded: int | None = checkpoint.section("spikejoule").get("seed")
    seed = DEFAULT_SEED if recorded is None else recorded
    events = encode_samples(checkpoint.encoder, samples, seed, "test").events
    return measure_network(
        checkpoint.state, checkpoint.architecture, events, pruned=checkpoint.pruned
    )


def _facts_of(measured: Measurement, labels: NDArray[Any]) -> list[Note]:
    """Accuracy and spikes on the images that were given."""
    found = accuracy(int((measured.predictions == labels).sum()), len(labels))
    means = measured.counts.means.items()
    return [
        fact(
            "classified correctly",
            f"{found.percent:.2f} % ({found.low_percent:.2f} to {found.high_percent:.2f})",
        ),
        *(fact(f"spikes per inference: {name}", f"{mean:,.2f}") for name, mean in means),
    ]


def _inputs_of_graph(options: argparse.Namespace) -> AnalysisInputs:
    """What a graph does on the events."""
    if options.events is None:
        raise DataError("--events is needed: a graph is run on the spikes of its input.")
    network = read_nir(options.file)
    events, about, notes = read_given_events(options.events, options.step_us, options.samples)
    run = run_graph(network, events, given_conventions(options))
    about["verified"] = verified_words(options.file, run.conventions)
    not_counted: tuple[str, ...] = ()
    if options.against is not None:
        baseline, not_counted, warned = _beside(run, about.get("labels"), options.against, events)
        about["baselines"] = [baseline]
        notes = (*notes, *warned)
    inputs = graph_inputs(run, **about)
    inputs = replace(inputs, notes=(*inputs.notes, *notes), not_counted=not_counted)
    for note in inputs.cautions:
        sys.stderr.write(f"warning: {sentence(note, with_label=False)}\n")
    return inputs


def _beside(
    run: GraphRun, labels: NDArray[np.int64] | None, text: str, events: EventList
) -> tuple[BaselineCounts, tuple[str, ...], tuple[Note, ...]]:
    """A conventional network on the mean of each sample's events over time; beside its counts
    what of it is not counted, and notes for users."""
    from spikejoule.pricing.conventional import BaselineRun  # needs torch, a graph alone does not

    if labels is None or run.predictions is None:
        raise DataError(
            "--against needs labels, since networks are compared at an accuracy of both: give an "
            "event file, and a graph whose output fires."
        )
    shape = (events.n_samples, *run.network.input.out_shape)
    rates = (class_counts(events) / events.n_steps).astype(np.float32).reshape(shape)
    baseline_run = BaselineRun(given_network(text), rates)
    counts = baseline_run.counts(labels)
    return counts, tuple(baseline_run.run.not_counted), tuple(baseline_run.run.notes)


def given_network(text: str) -> Any:
    """The network that a function of a user's file returns, of ``FILE.py:FUNCTION``, as a Baseline.

    Raises:
        ParameterError: there is no such file or function, or the function fails.
    """
    from spikejoule.pricing import Baseline

    network = of_file(text, "--against", "FILE.py:FUNCTION", lambda found: found())
    return network if isinstance(network, Baseline) else Baseline(network)


def of_file(text: str, option: str, allowed: str, use: Callable[[Any], Any]) -> Any:
    """What `use` makes of what ``FILE.py:NAME`` names in a user's file.

    Raises:
        ParameterError: there is no such file or name, or the file or `use` fails.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise ParameterError(f"{option} is {text!r}; allowed is {allowed}, of a file here")
    sys.path.insert(0, str(Path(file).resolve().parent))  # for what it imports from beside it
    with in_one_sentence(f"{option} {text}"):
        held = run_path(file)
        if name not in held:
            raise NameError(f"{file} has no {name}")
        return use(held[name])


def given_conventions(options: argparse.Namespace) -> Conventions:
    """What the options say of how a graph is run."""
    said = {name: getattr(options, name) for name in ("dt", "reset", "current", "initial")}
    return Conventions(comparison=options.threshold, pruned=options.pruned, **said)


def publish_graph(options: argparse.Namespace) -> str:
    """Record how a graph is run, and a version of the model that bears its file's name, in the
    store of the working directory."""
    from spikejoule.tracking.publishing import RunRecord, publish
    from spikejoule.tracking.registry import MODEL_NAME, ModelFiles

    path, profile = options.file, next(iter(load_profiles(PACKAGED)))
    conventions = conventions_of(read_nir(path), given_conventions(options))
    if not re.fullmatch(r"[\w.-]+", path.stem, re.ASCII) or path.stem == MODEL_NAME:
        raise ParameterError(
            f"the model would be called {path.stem!r}; allowed are letters, digits, '.', '_' and "
            f"'-', and not {MODEL_NAME}, which are checkpoints: rename the file."
        )
    digest, said = {"graph.sha256": file_digest(path, "sha256")}, asdict(conventions)
    model = ModelFiles(path, PACKAGED, profile, conventions=conventions, name=path.stem)
    tags = {**provenance_tags(Path.cwd()), **digest, "mlflow.runName": path.stem}
    record = RunRecord(content_digest({**digest, **said}), said, tags=tags, model=model)
    return f"{publish(record, project_store(Path.cwd(), 'graphs'))}\n"


def _test_images(
    source: str, n_samples: int | None, checkpoint: CompleteCheckpoint
) -> tuple[str, Samples]:
    """The data set's title and its first `n_samples` test images, reduced as those that the network
    was trained on, or samples of an event file."""
    here = Path.cwd()
    places = Places(here, here / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    file = places.resolved(source)
    test: Samples
    if file.is_file():
        title, test = samples_of_file(file)
    else:
        dataset = load_dataset(source, places, asked_by="--images")
        data = checkpoint.section("spikejoule").get("data") or {}
        reduction = data.get("crop_pixels") or 0, data.get("average_pixels") or 1
        if isinstance(dataset.test, LabelledImages):
            dataset = dataset.reduced(*reduction)
        title, test = dataset.title, dataset.test
    what = f"test {test.subject.samples} of {source}"
    return title, test.select(first_samples(n_samples, len(test), what))


def read_given_events(
    path: Path, step_us: int | None, n_samples: int | None
) -> tuple[EventList, dict[str, Any], tuple[Note, ...]]:
    """The first samples of a file of `save_events`, or of an event file's test samples.

    Args:
        path: of the file.
        step_us: microseconds of one step, of an event file.
        n_samples: how many; None for all.

    Returns:
        the events by step; what the file says beside them, as `graph_inputs` takes it; and how
        stamps of time became steps.

    Raises:
        ArtifactError: the file is missing or damaged.
        ParameterError: `step_us` is missing or makes too many steps, or the file has steps already.
        DataError: there are fewer samples.
    """
    if schema_of(path) in ("", EVENTS.schema):
        events, _ = load_events(path)
        if step_us is not None:
            raise ParameterError(f"--step-us is for event files; {path} has its events in steps.")
        chosen = first_samples(n_samples, events.n_samples, f"samples of {path}")
        return events.select(chosen), {"title": path.name}, ()
    title, samples = samples_of_file(path)
    if step_us is None:
        raise ParameterError(
            f"{path} has stamps of time in microseconds: --step-us says how many make a step."
        )
    samples = samples.select(first_samples(n_samples, len(samples), f"samples of {path}"))
    n_steps = -(-samples.setting.duration_us // step_us)
    binned = bin_all(samples.inputs, n_steps, n_steps * step_us)
    about = {
        "title": title,
        "labels": samples.labels.astype(np.int64),
        "subject": samples.subject,
        "step_ms": step_us / 1000,
    }
    return (
        binned.events, about,
        (fact("a step of the events", f"{step_us:,} us"),
         fact("events outside of the window", f"{binned.dropped.mean():,.1f} per sample"),
         fact("events merged in a step", f"{binned.merged.mean():,.1f} per sample")),
    )  # fmt: skip


def first_samples(n_samples: int | None, available: int, what: str) -> slice:
    """The first samples of so many, all if it is None; DataError, which says what they are."""
    if n_samples is not None and n_samples > available:
        raise DataError(f"--samples {n_samples} is more than the {available} {what}.")
    return slice(n_samples)
