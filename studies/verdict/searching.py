"""Follow the protocol: train, count and choose networks of both sides.

A network that the folder already holds is not trained again. Networks of a search are
counted on validation images only: in `Splits`, these take the place of test images.
"""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

from spikejoule.baselines.counts import load_network, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.core.provenance import content_digest, file_digest, git
from spikejoule.core.schema import (
    Count,
    MaybeNotNegative,
    NotNegative,
    Percent,
    Row,
    Table,
    Text,
)
from spikejoule.core.store import read_json, write_json
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import SPIKING, SideName
from spikejoule.energy.prices import HardwareProfile
from spikejoule.engine.choice import use_threads
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.params import Params
from spikejoule.training.training import Training, train
from studies.verdict.cascades import Entrant
from studies.verdict.counts import operations
from studies.verdict.entrants import Split, Splits
from studies.verdict.headline import PROFILE
from studies.verdict.networks import FOLDER, RecordedNetwork
from studies.verdict.outside import OutsideNetwork, cascades
from studies.verdict.protocol import (
    Configuration,
    Protocol,
    default_params,
)
from studies.verdict.published import ROOT
from studies.verdict.trainings import (
    PreparedImages,
    prepared_images,
    spiking_training,
)

logger = logging.getLogger(__name__)

TABLE: Final = FOLDER / "search.csv"

RUN: Final = "protocol"
"""Runs are named after this and their seeds."""


class SearchedNetwork(Row):
    """A network of the search: a row of `TABLE`.

    Attributes:
        side, network: its side and the name of its configuration.
        method: how it is run.
        seed, epochs: of its training.
        validation_percent: its accuracy.
        operations: synaptic events of a spiking network, weights multiplied or added by
            a conventional one; mean over validation images.
        energy_nj: per inference under `PROFILE`, mean over validation images.
        processor_seconds: of its training.
        git_commit: the code that trained it.
    """

    side: SideName
    network: Text
    method: Text
    seed: Count
    epochs: Count
    validation_percent: Percent
    operations: NotNegative
    energy_nj: NotNegative
    processor_seconds: MaybeNotNegative
    git_commit: Text


class SearchTable(Table):
    """The file `TABLE`."""

    row: ClassVar[type[Row]] = SearchedNetwork
    rows: tuple[SearchedNetwork, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """A trained network in a folder.

    Attributes:
        configuration: its configuration.
        network: its ways of running, counted.
        times: ``train_seconds``, ``processor_seconds`` and ``git_commit``.
    """

    configuration: Configuration
    network: OutsideNetwork
    times: Mapping[str, Any]

    @property
    def n_operations(self) -> float:
        """Synaptic events, or products: the fewest of its ways of running."""
        return min(
            sum(
                float(one.variant.operations.of(term).sum())
                for term in ("synaptic_event", "mac", "accumulation")
            )
            for one in self.network.entrants
        )


@dataclass(frozen=True, eq=False)
class Priced:
    """A counted and priced network or cascade.

    Attributes:
        members: the networks that it consists of.
        row: its way of running, priced.
    """

    members: Sequence[Kept]
    row: RecordedNetwork

    @property
    def searched(self) -> SearchedNetwork:
        """Describe a single network for the table of the search."""
        (only,) = self.members
        configuration = only.configuration
        energy = self.row.energy(PROFILE)
        assert energy is not None
        return SearchedNetwork(
            side=configuration.side,
            network=configuration.name,
            method=self.row.method,
            seed=self.row.seed,
            epochs=configuration.epochs,
            validation_percent=rounded(self.row.validation_percent, 6),
            operations=rounded(operations(self.row), 6),
            energy_nj=rounded(energy.middle_pj / 1000, 6),
            processor_seconds=rounded(self.row.processor_seconds, 4),
            git_commit=self.row.git_commit,
        )


@dataclass(frozen=True)
class Workshop:
    """Where networks are trained and counted.

    Attributes:
        folder: where trained networks are kept.
        profiles: price lists.
        tolerance_percent: points of validation accuracy that an early exit may cost,
            and a cascade.
    """

    folder: Path
    profiles: Sequence[HardwareProfile]
    tolerance_percent: float

    def kept(self, configuration: Configuration, seed: int) -> Kept:
        """Train a configuration unless the folder has it, and count it."""
        # Threads that wait for each other would count as processor time, too.
        use_threads(1)
        params = configuration.params(seed)
        images = images_of(seed)
        validation = Split(images.splits["validation"])
        splits = Splits(
            validation,
            Split(images.splits["test"]) if configuration.is_final else validation,
            params.encode.encoder,
            self.tolerance_percent,
        )
        file = self.folder / f"{configuration.digest}-{seed}.npz"
        if configuration.side == SPIKING:
            file = file.with_suffix(".pth")
            entrants = _spiking(file, params, splits, images)
        else:
            entrants = _conventional(file, configuration, params, splits, images)
        network = OutsideNetwork.of(file_digest(file, "sha256"), entrants)
        accuracy = max(one.validation.accuracy_percent for one in entrants)
        logger.info("%s, seed %d: %.2f %%", configuration.name, seed, accuracy)
        return Kept(configuration, network, read_json(_times_of(file)))

    def rows(self, kept: Sequence[Kept], seed: int) -> Iterator[Priced]:
        """Price networks of one side and seed, and the cascades of every two."""
        for one in kept:
            yield from self._priced((one,), one.network, seed)
        by_cost = sorted(kept, key=lambda one: one.n_operations)
        for first, second in itertools.combinations(by_cost, 2):
            joined = cascades(first.network, second.network, self.tolerance_percent)
            yield from self._priced((first, second), joined, seed)

    def _priced(
        self, members: Sequence[Kept], network: OutsideNetwork, seed: int
    ) -> Iterator[Priced]:
        names = tuple(one.configuration.name for one in members)
        side = members[0].configuration.side
        times = members[0].times if len(members) == 1 else {}
        for entrant in network.entrants:
            row = RecordedNetwork.counted(
                entrant.variant,
                self.profiles,
                run=f"{RUN}-seed-{seed}",
                run_id=content_digest({RUN: seed})[:32],
                git_commit=members[-1].times["git_commit"],
                data_source=images_of(seed).description.source,
                configuration=content_digest({side: names})[:12],
                n_networks=len(members),
                sent_once=entrant.mean_sent_once,
                seed=seed,
                train_seconds=times.get("train_seconds"),
                processor_seconds=times.get("processor_seconds"),
            )
            yield Priced(members, row)


def search(
    side: SideName, protocol: Protocol, workshop: Workshop
) -> list[SearchedNetwork]:
    """Train the networks of the search."""
    seed = protocol.search_seed
    return [
        one.searched
        for configuration in protocol.configurations("search", side)
        for one in workshop.rows([workshop.kept(configuration, seed)], seed)
    ]


def final_rows(
    side: SideName, seed: int, protocol: Protocol, workshop: Workshop
) -> list[RecordedNetwork]:
    """Train the chosen networks with a seed of the study; join every two."""
    kept = [
        workshop.kept(configuration, seed)
        for configuration in protocol.configurations("final", side)
    ]
    return [one.row for one in workshop.rows(kept, seed)]


@lru_cache(maxsize=1)
def images_of(seed: int) -> PreparedImages:
    """The images of a seed, which draws those of validation."""
    return prepared_images(default_params(seed))


def _spiking(
    file: Path, params: Params, splits: Splits, images: PreparedImages
) -> list[Entrant]:
    """Train a spiking network unless its file exists; returns its ways of running.

    Those that update neurons in every step are left out: they only do more.
    """
    if not file.exists():
        training = spiking_training(params, images.splits)
        train(training)
        data = images.description.model_dump(exclude_unset=True)
        training.trained_network(data).checkpoint().write(file)
        _write_times(file, training)
    entrants = splits.of_checkpoint(Checkpoint.read_trained(file))
    return [one for one in entrants if one.variant.lazy] or entrants


def _conventional(
    file: Path,
    configuration: Configuration,
    params: Params,
    splits: Splits,
    images: PreparedImages,
) -> list[Entrant]:
    """Train a conventional network unless its file exists; returns its ways."""
    variant = configuration.baseline(params, images.splits["train"])
    counted = {name: split.samples for name, split in splits.by_name.items()}
    if not file.exists():
        settings = params.baseline.training(params.train)
        training = BaselinesTraining(
            images.splits["train"],
            images.splits["validation"],
            [variant],
            settings,
            params.seed,
        )
        train_baselines(training)
        (trained,) = training.baselines
        measured = measure_baseline(
            variant.name, trained.network, False, True, counted
        ).trained_in(training.record_of(trained))
        save_baseline(file, [measured], counted["test"].labels)
        _write_times(file, training)
    return splits.of_baseline(variant.name, load_network(file, variant.name), True)


def _write_times(file: Path, training: Training | BaselinesTraining) -> None:
    """Write the time of a training next to its network."""
    times = {
        "train_seconds": sum(training.epoch_seconds),
        "processor_seconds": training.processor_seconds,
        "git_commit": git(ROOT, "rev-parse", "HEAD"),
    }
    write_json(_times_of(file), times)


def _times_of(file: Path) -> Path:
    return file.with_suffix(".json")
