"""Train both sides to a level, for the table of `studies.verdict.training`.

Parameters are those of a preset in experiments/. The conventional network is its
family's of equal layers, of those the least pruned. Both trainings end with the first
epoch that reaches the highest level.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import Widths, quantise
from spikejoule.baselines.settings import BaselineVariant, family
from spikejoule.baselines.training import (
    CALIBRATION_IMAGES,
    BaselinesTraining,
    train_baselines,
)
from spikejoule.core.provenance import git
from spikejoule.core.yaml_files import PARAMS_FILE, read_mapping
from spikejoule.counts.training import TrainingRecord, TrainingSetup, record_of_epochs
from spikejoule.data.dataset import DataDescription
from spikejoule.data.images import LabelledImages, load_images
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.prices import HardwareProfile
from spikejoule.engine.learning import chosen_trainer
from spikejoule.network.network import State
from spikejoule.network.sections import EpochRecord, TrainingConfigSection
from spikejoule.params import Params, parse_params
from spikejoule.training.relu.running import activations
from spikejoule.training.training import Training, TrainingData
from stages import prepare
from studies.verdict.published import ROOT
from studies.verdict.training import (
    LEVELS_PERCENT,
    TrainingRow,
    conventional,
    spiking,
)

Splits = Mapping[str, LabelledImages]


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The images of ``train``, ``validation`` and ``test``, and their description."""

    splits: Splits
    description: DataDescription


class LevelReachedError(Exception):
    """Ends the conventional training."""


def is_enough(accuracy_percent: float) -> bool:
    """Whether an epoch reaches the highest level."""
    return accuracy_percent >= max(LEVELS_PERCENT)


def rows_of(
    preset: str, seed: int, profiles: Sequence[HardwareProfile]
) -> Iterator[TrainingRow]:
    """Train both sides of a preset with a seed, and price the trainings."""
    params = preset_params(preset, seed)
    splits = prepared_images(params).splits
    about = {
        "run": f"{preset}-seed-{seed}",
        "seed": seed,
        "git_commit": git(ROOT, "rev-parse", "HEAD"),
    }
    history = train_spiking(params, splits)
    setup = setup_of(params, splits)
    yield from spiking(f"{preset}: {setup.network.sizes}", setup, history).rows(
        profiles, about
    )
    record = record_of_epochs(setup, history)
    assert record is not None
    trained = train_conventional(params, splits)
    learned = conventional(
        trained.counts, trained.runs, trained.accuracies_percent, record
    )
    yield from learned.rows(profiles, about)


def preset_params(preset: str, seed: int) -> Params:
    """The parameters of a preset, with a seed."""
    content: dict[str, Any] = read_mapping(ROOT / PARAMS_FILE)
    content["seed"] = seed
    chosen = read_mapping(ROOT / "experiments" / f"{preset}.yaml")
    for key, value in chosen.items():
        section, name = key.split(".")
        content[section][name] = value
    return parse_params(content)


def prepared_images(params: Params) -> PreparedImages:
    """Run the stage `prepare`."""
    names = ("train", "validation", "test")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.npz") for name in names}
        described = Path(folder, "data.json")
        needed = prepare.Params(seed=params.seed, data=params.data)
        prepare.main({**paths, "data_metrics": described}, needed)
        splits = {name: load_images(path) for name, path in paths.items()}
        return PreparedImages(splits, DataDescription.read(described))


def setup_of(params: Params, splits: Splits) -> TrainingSetup:
    """What is trained on the spiking side, and how."""
    train_set = splits["train"]
    return TrainingSetup(
        network=params.model.network_of(train_set.shape, train_set.subject.n_classes),
        encoder=params.encode.encoder,
        trained_with=TrainingConfigSection.model_validate(
            params.train.model_dump(mode="json")
        ),
        engine="event",
    )


def train_spiking(params: Params, splits: Splits) -> list[EpochRecord]:
    """Train the spiking network to the highest level; returns its epochs."""
    training = spiking_training(params, splits)
    training.warm_up()
    while not training.stop_reason:
        training.run_epoch()
        if is_enough(training.history[-1].validation_accuracy_percent):
            break
    return training.history


def spiking_training(params: Params, splits: Splits) -> Training:
    """A training of the spiking network that has not begun."""
    setup = setup_of(params, splits)
    validation = splits["validation"]
    events = encode_samples(setup.encoder, validation, params.seed, "validation").events
    data = TrainingData(splits["train"], setup.encoder, events, validation.labels)
    trainer, _ = chosen_trainer(params.train, setup.network, params.train, params.seed)
    return Training(data, trainer, params.train, params.seed)


@dataclass(frozen=True, eq=False)
class ConventionalEpochs:
    """The training of a conventional network.

    Attributes:
        counts: the network after its last epoch.
        accuracies_percent: on validation images, after each epoch.
        runs: the training up to each epoch.
    """

    counts: CountedBaseline
    accuracies_percent: Sequence[float]
    runs: Sequence[TrainingRecord]


def train_conventional(params: Params, splits: Splits) -> ConventionalEpochs:
    """Train the conventional network to the highest level."""
    variant = conventional_variant(params, splits["train"])
    settings = params.baseline.training(params.train)
    training = BaselinesTraining(
        splits["train"], splits["validation"], [variant], settings, params.seed
    )
    (trained,) = training.baselines
    accuracies = trained.validation_accuracies_percent
    runs: list[TrainingRecord] = []

    def stop(epoch: int) -> None:
        # Synapses removed later are counted in every epoch, so there are no masks.
        runs.append(replace(training.record_of(trained), pruned=False))
        if is_enough(accuracies[-1]):
            raise LevelReachedError

    with suppress(LevelReachedError):
        train_baselines(training, on_epoch=stop)
    counts = counted(variant, training.networks[0].state, splits)
    return ConventionalEpochs(counts, accuracies, runs)


def conventional_variant(params: Params, train_set: LabelledImages) -> BaselineVariant:
    """Of the family's networks with the spiking network's layers, the least pruned."""
    pruning = params.train.prune_start, params.train.prune_end
    settings = params.baseline.model_copy(
        update={"family_hidden": params.model.hidden, "family_bias": (True,)}
    )
    n_pixels = train_set.images[0].size
    n_classes = train_set.subject.n_classes
    variants = family(n_pixels, n_classes, settings, pruning, params.model.state_bits)
    return min(variants, key=lambda variant: variant.pruning.pruned_fraction)


def counted(variant: BaselineVariant, state: State, splits: Splits) -> CountedBaseline:
    """Count the products of a network after its last epoch.

    Removed synapses count, too: this is an upper bound from where pruning starts.
    """
    calibration = activations(state, splits["train"].images[:CALIBRATION_IMAGES])
    widths = Widths(variant.activation_bits, variant.bits, variant.sum_bits)
    network = quantise(state, calibration, widths)
    return measure_baseline(variant.name, network, False, False, splits).counts
