"""Networks from files, counted and priced like the recorded ones.

A file is a NIR graph, a PyTorch module in a Python file, a checkpoint of this project,
or one of its conventional networks; FIRST+SECOND is a cascade of two. They run on the
project's validation and test images: a checkpoint in its own encoding, other spiking
networks in the project's. Encoding is counted, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from spikejoule.baselines.counts import load_baseline, load_network
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.core.npz import arrays_digest
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import read_json
from spikejoule.core.user_files import named_object
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.runs import EARLY_EXIT, WHOLE_WINDOW
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.reading import read_nir
from spikejoule.params import Params
from studies.verdict.cascades import Entrant, cascade
from studies.verdict.entrants import DeclaredBits, Split, Splits
from studies.verdict.networks import RecordedNetwork

ALLOWED: Final = (
    "GRAPH.nir, FILE.py:NAME of a module, CHECKPOINT.pth, NETWORKS.npz:NAME, or "
    "FIRST+SECOND of these"
)


@dataclass(frozen=True, eq=False)
class OutsideNetwork:
    """A network from a file, in every way of running it."""

    entrants: Sequence[Entrant]

    @classmethod
    def of(cls, digest: str, entrants: Iterable[Entrant]) -> "OutsideNetwork":
        """Mark the ways of running a network with the SHA-256 of its weights."""
        return cls(
            tuple(
                replace(
                    entrant, variant=replace(entrant.variant, weights_sha256=digest)
                )
                for entrant in entrants
            )
        )

    @property
    def digest(self) -> str:
        """The checksum of its weights."""
        return self.entrants[0].variant.weights_sha256


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a project, on which outside networks are counted.

    Attributes:
        splits: the validation and test images.
        data: the content of metrics/data.json.
        seed: the project's, which draws the validation images.
        first_seed: the number of the first outside network of a configuration.
    """

    splits: Splits
    data: dict[str, Any]
    seed: int
    first_seed: int = 0

    @classmethod
    def load(
        cls,
        directory: Path,
        paths: ArtifactPaths,
        params: Params,
        bits: DeclaredBits,
    ) -> "Images":
        """Read the images of a project.

        Raises:
            ArtifactError: a file is missing or damaged.
            DataError: the project has events in place of images.
        """
        splits = Splits(
            Split.load(directory, paths, "validation"),
            Split.load(directory, paths, "test"),
            params.encode.encoder,
            params.evaluate.early_exit_tolerance_percent,
            bits,
            params.evaluate.early_exit_rule,
        )
        return cls(splits, read_json(directory / paths["data_metrics"]), params.seed)

    @property
    def source(self) -> str:
        """The source of the images."""
        return str(self.data["source"])

    def beside(self, recorded: Sequence[RecordedNetwork]) -> "Images":
        """Number outside networks like recorded ones, which are compared by seed.

        DataError if the recorded networks were counted on other images.
        """
        n_images = len(self.splits.test.samples)
        for network in recorded:
            if (network.data_source, network.n_images) != (self.source, n_images):
                raise DataError(
                    f"--add reads the project's {n_images:,} test images of "
                    f"{self.source}, but the recorded networks were counted on "
                    f"{network.n_images:,} of {network.data_source}: run the "
                    "pipeline on those, or choose other runs with --data."
                )
        first_seed = min((network.seed for network in recorded), default=0)
        return replace(self, first_seed=first_seed)

    def network(
        self, given: str, side: str, conventions: Conventions
    ) -> OutsideNetwork:
        """Run and count a file, or a cascade of two."""
        if "+" not in given or Path(given).exists():
            return self._file(given, side, conventions)
        first, _, second = given.partition("+")
        small = self._file(first, side, conventions)
        large = self._file(second, side, conventions)
        return cascades(small, large, self.splits.exit_tolerance_percent)

    def _file(self, file: str, side: str, conventions: Conventions) -> OutsideNetwork:
        before, names_network, name = file.rpartition(".npz:")
        path = Path(f"{before}.npz" if names_network else file)
        is_spiking = path.suffix in (".nir", ".pth")
        if is_spiking and side == "ann":
            raise ParameterError(f"--side ann: {file} is a network of spiking neurons.")
        if path.suffix == ".npz" and side == "snn":
            raise ParameterError(f"--side snn: {file} is a conventional network.")
        if path.suffix == ".nir":
            entrants = self.splits.of_graph(file, read_nir(path), conventions)
        elif path.suffix == ".pth":
            entrants = self._checkpoint(path)
        elif path.suffix == ".npz":
            return self._baseline(path, name)
        else:
            return self._module(file, side)
        return OutsideNetwork.of(file_digest(path, "sha256"), entrants)

    def _checkpoint(self, path: Path) -> list[Entrant]:
        trained = Checkpoint.read_trained(path)
        trained_on = trained.data["sha256"], trained.seed
        if trained_on != (self.data["sha256"], self.seed):
            raise DataError(
                f"--add: {path} was trained with other images or another seed, so it "
                "may know the project's validation images: judge it in its own project."
            )
        return self.splits.of_checkpoint(trained)

    def _baseline(self, path: Path, name: str) -> OutsideNetwork:
        counts = load_baseline(path)
        names = [baseline.name for baseline in counts]
        if name not in names:
            raise ParameterError(
                f"--add: {path} has no network {name!r}; it has {names}"
            )
        chosen = counts[names.index(name)]
        network = load_network(path, name)
        return OutsideNetwork(
            self.splits.of_baseline(name, network, chosen.activity.pruned)
        )

    def _module(self, file: str, side: str) -> OutsideNetwork:
        """Run and count a PyTorch module or a `Baseline`, given as FILE.py:NAME."""
        from torch import nn

        from spikejoule.pricing.conventional import Baseline

        named = named_object(file, "--add", ALLOWED)
        module = named.module if isinstance(named, Baseline) else named
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"--add: {file} is no PyTorch module and no Baseline of one"
            )
        weights = {
            name: value.cpu().numpy() for name, value in module.state_dict().items()
        }
        count = self._spiking_module if side == "snn" else self._conventional_module
        return OutsideNetwork.of(arrays_digest(weights), count(named, file))

    def _spiking_module(self, module: Any, file: str) -> list[Entrant]:
        from spikejoule.pricing.price_model import price

        splits = self.splits
        reports = {
            name: price(
                module,
                split.spikes(),
                time_axis=0,
                weight_bits=splits.bits.weight,
                state_bits=splits.bits.state,
                progress=False,
            )
            for name, split in splits.by_name.items()
        }
        check_counted(file, reports["test"].not_counted)
        scores = {name: report.scores for name, report in reports.items()}
        return [splits.of_activity(file, reports["test"].activity, scores)]

    def _conventional_module(self, module: Any, file: str) -> list[Entrant]:
        from spikejoule.pricing.conventional import BaselineRun

        counts = {}
        scores = {}
        for name, split in self.splits.by_name.items():
            baseline = BaselineRun(module, split.scaled_images())
            counts[name] = baseline.counts(split.samples.labels.astype(np.int64))
            check_counted(file, [*map(str, baseline.run.not_counted)])
            scores[name] = baseline.run.scores.all
        return self.splits.of_counts(file, counts["test"], scores)


_METHOD_OF_SMALL: Final = {EARLY_EXIT: WHOLE_WINDOW}
"""The method of the small network beside that of the large one, if it differs."""


def cascades(
    small: OutsideNetwork, large: OutsideNetwork, tolerance_percent: float
) -> OutsideNetwork:
    """The cascades of two networks that are run alike.

    A small spiking network runs its whole window, since all leads are equal where it
    stops early; the large one may stop early.
    """
    pairs = [
        (first, second)
        for first in small.entrants
        for second in large.entrants
        if first.variant.lazy == second.variant.lazy
        and first.variant.method
        == _METHOD_OF_SMALL.get(second.variant.method, second.variant.method)
    ]
    return OutsideNetwork(
        tuple(cascade(first, second, tolerance_percent) for first, second in pairs)
    )


def check_counted(file: str, not_counted: Sequence[str]) -> None:
    """Refuse a network that is not counted completely: it would look too cheap."""
    if not_counted:
        raise ArtifactError(
            f"--add: {file} is not counted whole: {', '.join(not_counted)}. Layers "
            "such as Linear and functions such as matmul are counted; integer networks "
            "must be given as a Baseline that says so."
        )


def outside_networks(
    files: Sequence[str],
    side: str,
    conventions: Conventions,
    images: Images,
    profiles: Sequence[HardwareProfile],
) -> list[RecordedNetwork]:
    """Count and price outside networks as the seeds of one configuration.

    Args:
        files: each as in `ALLOWED`.
        side: ``snn`` or ``ann``.
        conventions: how to run graphs.
        images: the project's images.
        profiles: the price lists.

    Raises:
        ArtifactError: a file is missing or damaged, gives no class scores, or is not
            counted whole.
        DataError: a checkpoint was trained on other images.
        ParameterError: a file is not allowed, is of the other side, is given twice, or
            fails.
    """
    configuration = content_digest({"side": side, "added": list(files)})[:12]
    rows: list[RecordedNetwork] = []
    for seed, file in enumerate(files, start=images.first_seed):
        network = images.network(file, side, conventions)
        if any(row.weights_sha256 == network.digest for row in rows):
            raise ParameterError(f"--add: {file} has the weights of an earlier file")
        for entrant in network.entrants:
            row = RecordedNetwork.counted(
                entrant.variant,
                profiles,
                run="+".join(Path(part).name for part in file.split("+")),
                run_id=network.digest[:32],
                git_commit="of another project",
                data_source=images.source,
                configuration=configuration,
                n_networks=entrant.n_networks,
                sent_once=entrant.mean_sent_once,
                seed=seed,
            )
            rows.append(row)
    return rows
