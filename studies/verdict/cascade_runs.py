"""Train the networks of cascades, and count them alone and as cascades.

Each side has small and large networks per seed; every small one is joined with every
large one. The spiking ones are trained by presets of `experiments/`. The conventional
ones, one of each, have 4-bit weights, 16-bit sums, and requantise by shifts, and the
small one reads 1-bit pixels. All see the same images in the same order, for the same
number of epochs. A network that the folder already holds is not trained again.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spikejoule.baselines.counts import load_baseline, load_network, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.settings import BaselineVariant
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.core.provenance import content_digest, file_digest, git
from spikejoule.core.store import read_json, write_json
from spikejoule.data.images import LabelledImages
from spikejoule.energy.ledger import SPIKING, SideName
from spikejoule.energy.prices import HardwareProfile
from spikejoule.engine.choice import use_threads
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.pruning import PruningSettings
from spikejoule.params import Params
from spikejoule.training.training import Training, train
from studies.verdict.entrants import Split, Splits
from studies.verdict.networks import RecordedNetwork
from studies.verdict.outside import OutsideNetwork, cascades
from studies.verdict.published import ROOT
from studies.verdict.trainings import (
    PreparedImages,
    prepared_images,
    preset_params,
    spiking_training,
)

RUN: Final = "cascades"
"""Runs are named after this and their seeds."""

SMALL: Final = ("contest-95", "contest-96")
"""Presets of the small spiking networks."""

LARGE: Final = ("contest-98", "contest-98.25", "contest-98.5")
"""Presets of the large spiking networks."""

RECORDED: Final = ("contest-98", "contest-98.5")
"""Large ones that the table already has, from runs of the pipeline."""

PIXEL_THRESHOLD: Final = 114
"""0.45 of white."""


@dataclass(frozen=True, eq=False)
class KeptNetwork:
    """A trained network in a folder.

    Attributes:
        name: the same for all seeds.
        network: its ways of running.
        times: ``train_seconds``, ``processor_seconds`` and ``git_commit`` of its
            training; only the commit for a cascade.
    """

    name: str
    network: OutsideNetwork
    times: Mapping[str, Any]


def rows_of(
    side: SideName, seed: int, folder: Path, profiles: Sequence[HardwareProfile]
) -> list[RecordedNetwork]:
    """Train one side with a seed, and price each network and each cascade."""
    # Threads that wait for each other would count as processor time, too.
    use_threads(1)
    params = preset_params(LARGE[0], seed)
    images = prepared_images(params)
    splits = Splits(
        Split(images.splits["validation"]),
        Split(images.splits["test"]),
        params.encode.encoder,
        params.evaluate.early_exit_tolerance_percent,
    )
    about: dict[str, Any] = {
        "run": f"{RUN}-seed-{seed}",
        "run_id": content_digest({RUN: seed})[:32],
        "data_source": images.description.source,
        "seed": seed,
    }
    kept = (
        spiking(seed, folder, splits, images)
        if side == SPIKING
        else conventional(params, seed, folder, splits, images.splits)
    )
    rows: list[RecordedNetwork] = []
    for entering in kept:
        for entrant in entering.network.entrants:
            row = RecordedNetwork.counted(
                entrant.variant,
                profiles,
                configuration=content_digest({RUN: entering.name})[:12],
                n_networks=entrant.n_networks,
                **about,
                **entering.times,
            )
            rows.append(row)
    return rows


def spiking(
    seed: int, folder: Path, splits: Splits, images: PreparedImages
) -> Iterator[KeptNetwork]:
    """Train the spiking networks; yields those without rows, then the cascades."""
    small, large = (
        [_spiking(preset, seed, folder, splits, images) for preset in presets]
        for presets in (SMALL, LARGE)
    )
    yield from small
    yield from (network for network in large if network.name not in RECORDED)
    for first, second in itertools.product(small, large):
        yield cascade_of(first, second, splits)


def cascade_of(small: KeptNetwork, large: KeptNetwork, splits: Splits) -> KeptNetwork:
    """Join two networks of a side; their own rows have the times of their training."""
    joined = cascades(small.network, large.network, splits.exit_tolerance_percent)
    commit = {"git_commit": large.times["git_commit"]}
    return KeptNetwork(f"{small.name}+{large.name}", joined, commit)


def _spiking(
    preset: str, seed: int, folder: Path, splits: Splits, images: PreparedImages
) -> KeptNetwork:
    file = folder / f"{preset}-seed-{seed}.pth"
    if not file.exists():
        params = preset_params(preset, seed)
        training = spiking_training(params, images.splits)
        train(training)
        data = images.description.model_dump(exclude_unset=True)
        training.trained_network(data).checkpoint().write(file)
        write_times(file, training, 1)
    entrants = splits.of_checkpoint(Checkpoint.read_trained(file))
    network = OutsideNetwork.of(file_digest(file, "sha256"), entrants)
    return KeptNetwork(preset, network, read_json(times_of(file)))


def conventional(
    params: Params,
    seed: int,
    folder: Path,
    splits: Splits,
    images: Mapping[str, LabelledImages],
) -> Iterator[KeptNetwork]:
    """Train the conventional networks side by side; yields both and their cascade."""
    file = folder / f"conventional-seed-{seed}.npz"
    if not file.exists():
        settings = params.baseline.training(params.train)
        variants = conventional_variants(params, images["train"])
        training = BaselinesTraining(
            images["train"], images["validation"], variants, settings, seed
        )
        train_baselines(training)
        measured = [
            measure_baseline(
                trained.variant.name, trained.network, False, True, images
            ).trained_in(training.record_of(trained))
            for trained in training.baselines
        ]
        save_baseline(file, measured, images["test"].labels)
        write_times(file, training, len(variants))
    times = read_json(times_of(file))
    small, large = (
        KeptNetwork(
            counts.name,
            OutsideNetwork(
                splits.of_baseline(counts.name, load_network(file, counts.name), True)
            ),
            times,
        )
        for counts in load_baseline(file)
    )
    yield from (small, large)
    yield cascade_of(small, large, splits)


def conventional_variants(
    params: Params, train_set: LabelledImages
) -> list[BaselineVariant]:
    """The small and the large network."""
    return [
        BaselineVariant(
            ConventionalNetwork.of_layers(
                train_set.images[0].size, [hidden], train_set.subject.n_classes
            ),
            PruningSettings(
                pruned_fraction=pruned,
                prune_start=params.train.prune_start,
                prune_end=params.train.prune_end,
            ),
            bits=4,
            sum_bits=params.model.state_bits,
            pixel_threshold=threshold,
            shifts=True,
        )
        for hidden, pruned, threshold in (
            (100, 0.97, PIXEL_THRESHOLD),
            (200, 0.95, None),
        )
    ]


def write_times(
    file: Path, training: Training | BaselinesTraining, n_networks: int
) -> None:
    """Write the time of a training next to its networks, which share it equally."""
    times = {
        "train_seconds": sum(training.epoch_seconds) / n_networks,
        "processor_seconds": training.processor_seconds / n_networks,
        "git_commit": git(ROOT, "rev-parse", "HEAD"),
    }
    write_json(times_of(file), times)


def times_of(file: Path) -> Path:
    """The file with the times of a file of networks."""
    return file.with_suffix(".json")
