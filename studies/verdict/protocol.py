"""The protocol: which networks of both sides are searched, chosen and trained.

`protocol.yaml` is the protocol in writing; `searching` follows it. A configuration is
one set of parameters; a conventional network takes its layers, widths, pruning and
learning constants from the same sections as a spiking one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from spikejoule.baselines.settings import BaselineVariant
from spikejoule.core.provenance import content_digest
from spikejoule.core.yaml_files import PARAMS_FILE, read_mapping
from spikejoule.data.images import LabelledImages
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.pruning import PruningSettings
from spikejoule.params import Params, parse_params
from studies.verdict.networks import FOLDER
from studies.verdict.published import ROOT

FILE: Final = FOLDER / "protocol.yaml"

Stage = Literal["search", "final"]

PIXEL_BITS: Final = "pixel_bits"
"""A key of conventional precisions that is no parameter of the pipeline."""


@dataclass(frozen=True)
class Configuration:
    """A network to train, without its seed.

    Attributes:
        side: spiking or conventional.
        stage: the stage that trains it.
        hidden: number of hidden neurons.
        pruned: fraction of the weights that is removed.
        precision, learning: names of its further settings.
        changes: its parameters, besides sizes and epochs.
        epochs: epochs of its training.
    """

    side: SideName
    stage: Stage
    hidden: int
    pruned: float
    precision: str
    learning: str
    changes: Mapping[str, Any]
    epochs: int

    @property
    def name(self) -> str:
        """A name that no other configuration of the side and stage has."""
        size = f"{self.hidden}, {100 * self.pruned:g} % pruned"
        return f"{size}, {self.precision}, {self.learning}"

    @property
    def is_final(self) -> bool:
        """Whether its networks see the test images."""
        return self.stage == "final"

    @property
    def digest(self) -> str:
        """A digest of all that affects its networks besides the seed."""
        sizes = self.side, self.hidden, self.pruned, self.epochs
        return content_digest({"sizes": sizes, **self.changes})[:12]

    def params(self, seed: int) -> Params:
        """The parameters of the pipeline with a seed."""
        content: dict[str, Any] = read_mapping(ROOT / PARAMS_FILE)
        content["seed"] = seed
        sizes = {
            "model.hidden": self.hidden,
            "train.pruned_fraction": self.pruned,
            "train.max_epochs": self.epochs,
        }
        for key, value in {**self.changes, **sizes}.items():
            if key != PIXEL_BITS:
                section, name = key.split(".")
                content[section][name] = value
        return parse_params(content)

    def baseline(self, params: Params, images: LabelledImages) -> BaselineVariant:
        """The conventional network; its sums become activations by shifts."""
        threshold = None
        if self.changes[PIXEL_BITS] == 1:
            threshold = int(255 * self.changes["encode.binary_threshold"])
        pruning = PruningSettings(
            pruned_fraction=self.pruned,
            prune_start=params.train.prune_start,
            prune_end=params.train.prune_end,
        )
        return BaselineVariant(
            ConventionalNetwork.of_layers(
                images.images[0].size,
                [self.hidden],
                images.subject.n_classes,
                bool(self.changes["model.bias"]),
            ),
            pruning,
            bits=params.model.weight_bits,
            sum_bits=params.model.state_bits,
            pixel_threshold=threshold,
            shifts=True,
        )


@dataclass(frozen=True)
class Protocol:
    """The content of `protocol.yaml`."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls) -> Self:
        """Read the file."""
        return cls(read_mapping(FILE))

    @property
    def search_seed(self) -> int:
        """Seed of the networks that are searched."""
        seed: int = self.content["search"]["seed"]
        return seed

    @property
    def seeds(self) -> list[int]:
        """Seeds of the final networks."""
        seeds: list[int] = self.content["final"]["seeds"]
        return seeds

    def configurations(self, stage: Stage, side: SideName) -> Iterator[Configuration]:
        """The networks of a stage."""
        stated = self.content[stage]
        for network in stated["networks"][side]:
            changes = {
                **self.content["parameters"],
                **self.content["learning"][side][network["learning"]],
                **self.content["precisions"][side][network["precision"]],
            }
            usual = {"epochs": stated["epochs"][side]}
            yield Configuration(side, stage, changes=changes, **{**usual, **network})


def default_params(seed: int) -> Params:
    """The parameters of the pipeline, with a seed."""
    content: dict[str, Any] = read_mapping(ROOT / PARAMS_FILE)
    content["seed"] = seed
    return parse_params(content)


SIDES: Final[tuple[SideName, ...]] = (SPIKING, CONVENTIONAL)
