"""`spikejoule verdict --add`: networks of others among the recorded ones, by the same rule.

A graph of NIR, or a module of torch in a Python file, reads the project's validation and test
images, a spiking one as the spikes that the project's encoding makes of them. It is counted by the
executor or by hooks, with what encoding takes, and becomes a row as a recorded network has.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import weights_digest
from spikejoule.cli.networks import given_conventions
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import read_json
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList, load_events
from spikejoule.energy.analysis import network_name
from spikejoule.energy.bands import RecordedNetwork, energy_cells
from spikejoule.energy.counting import averaging, count_spiking
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Variant,
    baseline_variants,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.measurement import Activity
from spikejoule.graphs.nir_in import read_nir
from spikejoule.graphs.running import run_graph
from spikejoule.model.quantisation import FLOAT_BITS

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Split:
    """Images of a project, N of them, and the spikes that its encoding makes of them."""

    samples: LabelledImages
    events: EventList

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of each, [N]."""
        return self.samples.labels.astype(np.int64)

    def batches(self, side: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Spikes [steps, B, units] for a spiking network; images [B, 1, height, width] from 0 to 1
        for a conventional one; and their labels."""
        for first in range(0, len(self.labels), _BATCH):
            chosen = slice(first, first + _BATCH)
            if side == SPIKING:
                x = self.events.select(chosen).to_dense().transpose(1, 0, 2).astype(np.float32)
            else:
                x = (self.samples.images[chosen, None] / 255).astype(np.float32)
            yield x, self.labels[chosen]


def added_networks(
    options: argparse.Namespace,
    paths: Mapping[str, Path],
    encoder: Encoder,
    profiles: Sequence[HardwareProfile],
) -> list[RecordedNetwork]:
    """The networks of `options.add`, one configuration of as many seeds.

    Args:
        options: of the command.
        paths: of the project's artifacts, by the names of dvc.yaml.
        encoder: of the project.
        profiles: by which networks are priced.

    Raises:
        ArtifactError: a file is missing or damaged, or what it holds gives no classes.
        ParameterError: a file is neither graph nor FILE.py:NAME, or not of the side.
        DataError: the project's samples are no images.
    """
    where = options.directory
    splits = {}
    for name in ("validation", "test"):
        samples = load_samples(where / paths[name])
        if not isinstance(samples, LabelledImages):
            raise DataError("--add needs a project of images: what it has are events.")
        splits[name] = Split(samples, load_events(where / paths[f"events_{name}"])[0])
    data = read_json(where / paths["data_metrics"])
    n_pixels = splits["test"].samples.images[0].size
    side_of_squares = data.get("average_pixels") or 1
    side = {"snn": SPIKING, "ann": CONVENTIONAL}[options.side]
    configuration = content_digest({"side": side, "added": list(map(str, options.add))})[:12]
    rows = []
    for seed, given in enumerate(options.add):
        is_graph = given.endswith(".nir")
        if is_graph and side != SPIKING:
            raise ParameterError(f"--side ann: {given} is a graph of spiking neurons.")
        count = _of_graph if is_graph else _of_module
        digest, variants = count(given, side, splits, encoder, options)
        for one in variants:
            operations = averaging(one.operations, side_of_squares, n_pixels)
            known = one.accuracies
            assert known is not None
            assert known.validation_percent is not None
            rows.append(
                RecordedNetwork(
                    run=Path(given).name,
                    run_id=digest[:32],
                    git_commit="of another project",
                    data_source=data["source"],
                    side=one.side,
                    network=one.network.removeprefix("spiking "),
                    method=one.method,
                    configuration=configuration,
                    seed=seed,
                    weights_sha256=digest,
                    weight_bits=one.weight_bits,
                    n_images=len(operations.counts),
                    validation_percent=known.validation_percent,
                    test_percent=known.test_percent,
                    **energy_cells(replace(one, operations=operations), profiles),
                )
            )
    return rows


Counted = tuple[str, Sequence[Variant]]


def _percent(split: Split, answers: NDArray[np.integer] | None, given: str) -> float:
    """Of right answers; a sample without one is wrong."""
    if answers is None:
        raise ArtifactError(
            f"{given} gives values and no classes, so that its accuracy is unknown."
        )
    return 100 * float((answers == split.labels).mean())


def _spiking(
    activity: Activity, encoder: Encoder, split: Split, accuracies: Accuracies
) -> tuple[Variant, ...]:
    operations = count_spiking(activity, encoder.operations(split.samples.images))
    name = network_name(activity.network, encoder)
    return (Variant(SPIKING, name, WHOLE_WINDOW, accuracies, FLOAT_BITS, operations),)


def _of_graph(
    given: str,
    side: str,
    splits: Mapping[str, Split],
    encoder: Encoder,
    options: argparse.Namespace,
) -> Counted:
    """A graph of NIR: the checksum of its file, and what it does."""
    network, conventions = read_nir(Path(given)), given_conventions(options)
    runs = {name: run_graph(network, of.events, conventions) for name, of in splits.items()}
    percents = [_percent(splits[name], runs[name].predictions, given) for name in splits]
    variants = _spiking(runs["test"], encoder, splits["test"], Accuracies(*percents))
    return file_digest(given, "sha256"), variants


def _of_module(
    given: str,
    side: str,
    splits: Mapping[str, Split],
    encoder: Encoder,
    options: argparse.Namespace,
) -> Counted:
    """A module of torch, or a `Baseline`: the checksum of its parameters, and what it does."""
    from torch import nn

    from spikejoule.modules import Baseline
    from spikejoule.modules.conventional import Contestant
    from spikejoule.modules.pricing import price

    found = _named(given)
    module = found.module if isinstance(found, Baseline) else found
    if not isinstance(module, nn.Module):
        raise ParameterError(f"--add: {given} is a {type(module).__name__}, but must be a module "
                             "of torch, or a Baseline of one")  # fmt: skip
    digest = weights_digest({name: of.cpu().numpy() for name, of in module.state_dict().items()})
    if side == SPIKING:
        reports = {
            name: price(module, of.batches(side), time_axis=0, progress=False)
            for name, of in splits.items()
        }
        percents = [_percent(splits[name], reports[name].predictions, given) for name in splits]
        accuracies = Accuracies(*percents)
        return digest, _spiking(reports["test"].activity, encoder, splits["test"], accuracies)
    counts = {}
    for name, of in splits.items():
        baseline = found if isinstance(found, Baseline) else Baseline(found)
        contestant = Contestant(replace(baseline, samples=of.batches(side)))
        counts[name] = contestant.counts(of.labels, _BATCH)
    validated = counts["validation"].accuracy_percent
    counted = replace(counts["test"], validation_accuracy_percent=validated)
    return digest, baseline_variants((counted,), len(splits["test"].labels))


def _named(given: str) -> Any:
    """What FILE.py:NAME names."""
    file, _, name = given.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(f"--add: {given!r} is no GRAPH.nir and no FILE.py:NAME of a module")
    spec = spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise ArtifactError(f"{file} is no file of Python.")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ParameterError(f"--add: {file} has no {name}")
    return getattr(module, name)
