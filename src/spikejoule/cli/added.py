"""`spikejoule verdict --add`: networks of others among the recorded ones, by the same rule.

A graph of NIR, or a module of torch in a Python file, reads the project's validation and test
images, a spiking one as the spikes that the project's encoding makes of them. It is counted by the
executor or by hooks, with what encoding takes, and becomes a row as a recorded network has.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import weights_digest
from spikejoule.cli.networks import given_conventions, of_file
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import read_json
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.encoding.counting import best_class
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList, load_events
from spikejoule.energy import ledger
from spikejoule.energy.analysis import network_name
from spikejoule.energy.bands import RecordedNetwork
from spikejoule.energy.counting import count_operations
from spikejoule.energy.ledger import SPIKING, Accuracies, Variant
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.measurement import Activity
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Split:
    """Validation or test images of a project, and the spikes that its encoding makes of them."""

    samples: LabelledImages
    events: EventList

    def spikes(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Batches [steps, B, units] and their labels."""
        for first in range(0, len(self.samples), _BATCH):
            chosen = slice(first, first + _BATCH)
            dense = self.events.select(chosen).to_dense().transpose(1, 0, 2)
            yield dense, self.samples.labels[chosen]

    def percent(self, scores: NDArray[Any] | None, given: str) -> float:
        """Of right answers, as of the project's own networks, given scores [N, classes]."""
        if scores is None:
            raise ArtifactError(f"{given} gives no scores of classes: its accuracy is not known.")
        return 100 * float((best_class(scores) == self.samples.labels).mean())


Splits = tuple[Split, Split]


def added_networks(
    options: argparse.Namespace,
    paths: ArtifactPaths,
    encoder: Encoder,
    profiles: Sequence[HardwareProfile],
    recorded: Sequence[RecordedNetwork],
) -> list[RecordedNetwork]:
    """The networks of `options.add`, one configuration of as many seeds.

    Args:
        options: of the command.
        paths: of the project's artifacts.
        encoder: of the project.
        profiles: by which networks are priced.
        recorded: networks beside which they are judged.

    Raises:
        ArtifactError: a file is missing or damaged, or what it holds gives no classes.
        ParameterError: a file is neither graph nor FILE.py:NAME, or not of the side.
            A file is given twice, or fails.
        DataError: the project's samples are no images, or not those of the recorded networks.
    """

    def split(name: str) -> Split:
        samples = load_samples(options.directory / paths[name])
        if not isinstance(samples, LabelledImages):
            raise DataError("--add needs a project of images: what it has are events.")
        return Split(samples, load_events(options.directory / paths[f"events_{name}"])[0])

    splits = split("validation"), split("test")
    data = read_json(options.directory / paths["data_metrics"])
    for row in recorded:
        if (row.data_source, row.n_images) != (data["source"], len(splits[1].samples)):
            raise DataError(
                f"--add reads the project's {len(splits[1].samples):,} test images of "
                f"{data['source']}, but the recorded networks were counted on {row.n_images:,} of "
                f"{row.data_source}: run the pipeline on those, or choose other runs with --data."
            )
    side, n_pixels = data.get("average_pixels") or 1, splits[1].samples.images[0].size
    configuration = content_digest({"side": options.side, "added": options.add})[:12]
    rows: list[RecordedNetwork] = []
    for seed, given in enumerate(options.add):
        if not given.endswith(".nir"):
            digest, variants = _of_module(given, options.side, splits, encoder)
        elif options.side == "snn":
            digest, variants = _of_graph(given, options, splits, encoder)
        else:
            raise ParameterError(f"--side ann: {given} is a graph of spiking neurons.")
        if digest in {row.weights_sha256 for row in rows}:
            raise ParameterError(f"--add: {given} has the weights of a file before it")
        for one in ledger.averaged(variants, side, n_pixels):
            row = RecordedNetwork.of(
                one,
                profiles,
                run=Path(given).name,
                run_id=digest[:32],
                git_commit="of another project",
                data_source=data["source"],
                configuration=configuration,
                seed=seed,
                weights_sha256=digest,
                crop_pixels=data.get("crop_pixels") or 0,
                average_pixels=side,
            )
            rows.append(row)
    return rows


def _of_graph(
    given: str, options: argparse.Namespace, splits: Splits, encoder: Encoder
) -> tuple[str, list[Variant]]:
    """A graph of NIR: the checksum of its file, and what it does."""
    network, conventions = read_nir(Path(given)), given_conventions(options)
    runs = [run_graph(network, split.events, conventions) for split in splits]
    is_read = network.answer is not None
    percents = [
        split.percent(run.output if is_read else None, given)
        for split, run in zip(splits, runs, strict=True)
    ]
    return file_digest(given, "sha256"), [_spiking(runs[1], percents, splits[1], encoder)]


def _spiking(
    activity: Activity, percents: Sequence[float], test: Split, encoder: Encoder
) -> Variant:
    operations = count_operations(activity, encoder.operations(test.samples.images))
    name, known = network_name(activity.network, encoder.name), Accuracies(*percents)
    return Variant(SPIKING, name, ledger.WHOLE_WINDOW, known, FLOAT_BITS, operations)


def _of_module(
    given: str, side: str, splits: Splits, encoder: Encoder
) -> tuple[str, Sequence[Variant]]:
    """A module of torch, or a `Baseline`: the checksum of its parameters, and what it does."""
    from torch import nn

    from spikejoule.pricing.conventional import Baseline, BaselineRun
    from spikejoule.pricing.price_model import price

    found = of_file(given, "--add", "GRAPH.nir or FILE.py:NAME of a module", lambda named: named)
    module = found.module if isinstance(found, Baseline) else found
    if not isinstance(module, nn.Module):
        raise ParameterError(f"--add: {given} is no module of torch, and no Baseline of one")
    digest = weights_digest({name: of.cpu().numpy() for name, of in module.state_dict().items()})
    if side == "snn":
        reports = [price(module, split.spikes(), time_axis=0, progress=False) for split in splits]
        percents = [
            split.percent(report.scores, given)
            for split, report in zip(splits, reports, strict=True)
        ]
        _check_counted(given, reports[1].not_counted)
        return digest, [_spiking(reports[1].activity, percents, splits[1], encoder)]
    percents = []
    for split in splits:
        baseline_run = BaselineRun(found, (split.samples.images[:, None] / 255).astype(np.float32))
        counts = baseline_run.counts(split.samples.labels.astype(np.int64))
        percents.append(split.percent(baseline_run.run.all_scores, given))
        _check_counted(given, baseline_run.run.watch.not_counted)
    counts = replace(counts, validation_accuracy_percent=percents[0], accuracy_percent=percents[1])
    return digest, ledger.baseline_variants((counts,), len(splits[1].samples))


def _check_counted(given: str, not_counted: Sequence[str]) -> None:
    """Refuse a network of which not all is counted: it would look cheaper than it is."""
    if not_counted:
        raise ArtifactError(
            f"--add: {given} is not counted whole: {', '.join(not_counted)}. Weights have to be in "
            "modules of torch such as Linear and Conv2d, and integers in a Baseline that says so."
        )
