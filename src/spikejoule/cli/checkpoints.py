"""Commands on a complete checkpoint: what it holds, measuring it, pricing it."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikejoule.baselines.counts import load_baseline
from spikejoule.cli.arguments import DEFAULT_SEED, json_text
from spikejoule.cli.graphs import energy_result, first_samples, graph_energy, is_graph
from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.provenance import file_digest
from spikejoule.core.text import mapping_rows, render
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from spikejoule.data.sources.events import samples_of_file
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy import BootstrapSettings, analyse, load_profiles, select_profile
from spikejoule.energy.from_checkpoint import analysis_inputs
from spikejoule.evaluation.evaluation import evaluate_predictions
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.report.inspect import checkpoint_text, checkpoint_values


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Let what is wrong with a checkpoint say which one."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{file}: {error}") from error


def inspect(options: argparse.Namespace) -> str:
    """Everything that a complete checkpoint holds."""
    checkpoint = read_complete(options.file)
    if options.json:
        return json_text(checkpoint_values(checkpoint))
    return checkpoint_text(options.file.name, checkpoint)


def energy(options: argparse.Namespace) -> str:
    """The energy of a checkpoint's network, or of a graph."""
    if is_graph(options):
        return graph_energy(options)
    if options.samples is not None and options.images is None:
        raise DataError("--samples needs --images: without images there are none to choose from.")
    profiles = load_profiles(options.hardware)
    profile_id = options.profile or next(iter(profiles))
    chosen = select_profile(profiles, profile_id, "--profile")
    systems = [one.id for one in profiles.values() if one.scope == "system"]
    verdict_id = options.verdict_profile or next(iter(systems), profile_id)
    verdict = select_profile(profiles, verdict_id, "--verdict-profile")
    checkpoint = read_complete(options.file)
    measured = labels = shown = None
    if options.images is not None:
        _, images = _test_images(options.images, options.samples)
        measured = _measured(checkpoint, images, _seed_of(checkpoint))
        labels = images.labels
        shown = images.images if isinstance(images, LabelledImages) else None
    baselines = () if options.baselines is None else load_baseline(options.baselines, labels)
    with _naming(options.file):
        inputs = analysis_inputs(checkpoint, measured, labels, baselines, shown)
    analysis = analyse(inputs, profiles, chosen, verdict, BootstrapSettings())
    digest = file_digest(options.file, "sha256")
    provenance = {"checkpoint": options.file.name, "SHA-256 of the checkpoint": digest}
    return energy_result(options, "checkpoint", analysis, provenance)


def _seed_of(checkpoint: CompleteCheckpoint) -> int:
    """The seed of the checkpoint's own encoding, or the default where it records none."""
    recorded: int | None = checkpoint.section("spikejoule").get("seed")
    return DEFAULT_SEED if recorded is None else recorded


def _measured(checkpoint: CompleteCheckpoint, samples: Samples, seed: int) -> Measurement:
    """What the network does on samples, encoded as those that it was trained on."""
    events = encode_samples(checkpoint.encoder, samples, seed, "test").events
    return measure_network(
        checkpoint.state, checkpoint.architecture, events, pruned=checkpoint.pruned
    )


def measure(options: argparse.Namespace) -> str:
    """What the network does on test images: spikes, accuracy, energy proxies."""
    checkpoint = read_complete(options.file)
    title, images = _test_images(options.images, options.samples)
    seed = _seed_of(checkpoint) if options.seed is None else options.seed
    measured = _measured(checkpoint, images, seed)
    accuracy = evaluate_predictions(
        images.labels, measured.predictions, checkpoint.architecture.n_output
    ).overall
    counts = measured.counts
    values = {
        "checkpoint": options.file.name,
        "data": title,
        "n_samples": len(images),
        "seed": seed,
        "accuracy_percent": accuracy.percent,
        "accuracy_low_percent": accuracy.low_percent,
        "accuracy_high_percent": accuracy.high_percent,
        "recorded_accuracy_percent": checkpoint.content.get("test_accuracy"),
        "spikes_total": counts.totals,
        "spikes_per_inference": counts.means,
        **measured.proxies.as_metrics(),
    }
    if options.json:
        return json_text(values)
    return render(f"Measured: {options.file.name}", [("Result", mapping_rows(values))])


def _test_images(source: str, n_samples: int | None) -> tuple[str, Samples]:
    """The data set's title and its first `n_samples` test images, or samples of an event file."""
    here = Path.cwd()
    places = Places(here, here / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    file = places.resolved(source)
    test: Samples
    if file.is_file():
        title, test = samples_of_file(file)
    else:
        dataset = load_dataset(source, places, asked_by="--images")
        title, test = dataset.title, dataset.test
    what = f"test {test.subject.samples} of {source}"
    return title, test.select(first_samples(n_samples, len(test), what))
