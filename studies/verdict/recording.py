"""Recorded networks from the runs of an MLflow store.

A run of the pipeline stores its networks, which `counted` counts again. Here they are
priced and grouped: networks of equal `configuration` differ only in the seed.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.provenance import content_digest
from spikejoule.core.store import read_json
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.data.dataset import Samples, load_samples
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName, Variant
from spikejoule.energy.prices import HardwareProfile
from spikejoule.tracking.failures import store_errors
from spikejoule.tracking.live import TRAINED_TAG
from spikejoule.tracking.recorded import (
    COMMIT,
    DIGEST,
    ENCODING,
    EXIT_RULE,
    EXIT_TOLERANCE,
    METRIC,
    OF_BASELINE,
    PARAMETER,
    SEED,
    SOURCE,
    TAG,
    WITHOUT_EFFECT,
    ComparableRuns,
    deciding_parameters,
)
from spikejoule.tracking.store import Store, opened_to_read
from studies.verdict.counted import counted_networks, stored_files
from studies.verdict.networks import RecordedNetwork

"""Prefix of the names of networks that were quantised after training."""

STATED_IN_NAMES: Final = (
    SEED,
    f"{PARAMETER}evaluate.",
    f"{PARAMETER}model.hidden",
    f"{PARAMETER}baseline.family_hidden",
    f"{PARAMETER}baseline.family_pruned",
    f"{PARAMETER}baseline.family_bits",
    f"{PARAMETER}baseline.family_bias",
)
"""Parameters that a conventional network's name states, or that do not affect it."""

ONLY_OF_QUANTISED: Final = (f"{PARAMETER}encode.", f"{OF_BASELINE}weight_bits")
"""Parameters that affect only the quantised network, if samples are images."""


@dataclass
class Networks:
    """Comparable recorded networks, and how many were left out, by reason."""

    rows: list[RecordedNetwork]
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Reader:
    """Reads and counts the networks of runs.

    Attributes:
        store: the MLflow store with the runs.
        directory: the project, with the test samples on which networks are counted.
        paths: paths of the pipeline's artifacts within the project.
        profiles: the price lists.
        baseline_parameters: parameters that affect conventional networks, by full name
            or section.
    """

    store: Store
    directory: Path
    paths: ArtifactPaths
    profiles: Sequence[HardwareProfile]
    baseline_parameters: Collection[str]

    def networks(self, comparable: ComparableRuns) -> Networks:
        """Read the networks of comparable runs, those of the latest run first.

        Raises:
            StoreError: the store, or a file in it, cannot be read.
            ArtifactError: a stored file is damaged.
            DataError: the runs measured other samples than the project's.
        """
        networks = Networks([], comparable.left_out.copy())
        spiking = _spiking_parameters(comparable.runs)
        data = read_json(self.directory / self.paths["data_metrics"])
        test = self._test_samples(comparable, data)
        stored = stored_files(self.paths)
        for place, run in comparable.runs.iterrows():
            with tempfile.TemporaryDirectory() as folder:
                files = self._downloaded(run["run_id"], stored, folder)
                lacking = [file for name, file in stored.items() if name not in files]
                if lacking:
                    networks.left_out[f"that did not store {lacking[0]}"] += 1
                    continue
                variants = _counted(run, files, test)
            deciding: dict[SideName, pd.Series[Any]] = {
                SPIKING: spiking.loc[place],
                CONVENTIONAL: self._of_baseline(run),
            }
            networks.rows += self._of_run(run, variants, deciding)
        return networks

    def _test_samples(
        self, comparable: ComparableRuns, data: Mapping[str, Any]
    ) -> Samples:
        """The project's test samples, which all of the runs must have measured.

        Args:
            comparable: the runs.
            data: the description of the project's data.
        """
        if content_digest(data["sha256"]) != comparable.runs[DIGEST].iloc[0]:
            raise DataError(
                "The networks of runs are counted on the project's test samples, of "
                f"{data['source']}, but the runs measured {comparable.data_source}: "
                "choose others with --data, or run the stage prepare on their data."
            )
        return load_samples(self.directory / self.paths["test"])

    def _downloaded(
        self, run_id: str, stored: Mapping[str, Path], folder: str
    ) -> dict[str, Path]:
        """Download the files of a run's networks that the run has, by name.

        The store is open only meanwhile, because no other process may open it then.
        """
        files: dict[str, Path] = {}
        with opened_to_read(self.store) as (client, _):
            for name, file in stored.items():
                path = file.as_posix()
                with store_errors(f"the file {path} of run {run_id} cannot be read"):
                    listed = client.list_artifacts(run_id, file.parent.as_posix())
                    if path in {found.path for found in listed}:
                        local = client.download_artifacts(run_id, path, folder)
                        files[name] = Path(local)
        return files

    def _of_baseline(self, run: "pd.Series[Any]") -> "pd.Series[Any]":
        """The parameters that affect a conventional network, besides its name."""
        sections = [
            f"{PARAMETER}{name}." for name in (*self.baseline_parameters, "data")
        ]
        chosen = [
            name
            for name in run.index
            if any(f"{name}.".startswith(section) for section in sections)
            and not name.startswith((*STATED_IN_NAMES, *WITHOUT_EFFECT))
        ]
        return run[chosen]

    def _of_run(
        self,
        run: "pd.Series[Any]",
        variants: Sequence[Variant],
        deciding: dict[SideName, "pd.Series[Any]"],
    ) -> Iterator[RecordedNetwork]:
        """Yield the networks of a run with known accuracies.

        Args:
            run: the run.
            variants: the networks that it counted.
            deciding: the parameters that affect the networks of each side.
        """
        for variant in variants:
            if variant.test_percent is None:
                continue
            parameters = deciding[variant.side]
            train_seconds, processor_seconds = _times(run, variant, variants)
            yield RecordedNetwork.counted(
                variant,
                self.profiles,
                run=run["name"],
                run_id=run["run_id"],
                git_commit=run[COMMIT],
                data_source=run[SOURCE],
                configuration=_configuration(run, variant, parameters),
                seed=int(run[SEED]),
                train_seconds=train_seconds,
                processor_seconds=processor_seconds,
            )


def _spiking_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """The parameters that affect a spiking network, early exit included."""
    of_training = deciding_parameters(runs).drop(columns=SEED)
    return pd.concat([of_training, runs[[EXIT_RULE, EXIT_TOLERANCE]]], axis=1)


def _counted(
    run: "pd.Series[Any]", files: Mapping[str, Path], test: Samples
) -> Sequence[Variant]:
    try:
        return counted_networks(files, test, run[f"{TAG}{TRAINED_TAG}"])
    except ArtifactError as error:
        raise ArtifactError(f"run {run['run_id']}: {error}") from error


def _configuration(
    run: "pd.Series[Any]", variant: Variant, parameters: "pd.Series[Any]"
) -> str:
    """A digest of everything that affects a network except the seed."""
    deciding = parameters.dropna()
    if variant.side == CONVENTIONAL:
        is_quantised = variant.is_quantised
        reads_images = run[ENCODING] != "none"
        if reads_images and not is_quantised:
            others = [not name.startswith(ONLY_OF_QUANTISED) for name in deciding.index]
            deciding = deciding[others]
        deciding = pd.concat([deciding, pd.Series({"network": variant.network})])
    return content_digest({variant.side: deciding.astype(str).to_dict()})[:12]


def _times(
    run: "pd.Series[Any]", variant: Variant, variants: Sequence[Variant]
) -> tuple[float | None, float | None]:
    """Training time by the clock and over all cores, in seconds; None if unknown.

    The conventional networks of a run are trained together and share its time equally.
    A network quantised after training has no training time.
    """
    if variant.side == SPIKING:
        stage = "training"
        fraction = 1.0
    elif variant.is_quantised:
        return None, None
    else:
        stage = "baseline"
        trained = {
            other.network
            for other in variants
            if other.side == CONVENTIONAL and not other.is_quantised
        }
        fraction = 1 / len(trained)

    def seconds(clock: str) -> float | None:
        total = run[f"{METRIC}{stage}_{clock}_seconds"]
        return None if pd.isna(total) else fraction * total

    return seconds("time"), seconds("processor")


def beside_table(
    found: Networks, table: Sequence[RecordedNetwork], data_source: str
) -> Networks:
    """Join the networks of a store and those that only a table has.

    Each network counts once, identified by its weights and how it is run. If networks
    of one configuration and seed differ in their weights (trained on another processor
    or by another version), the store's latest counts. Only networks counted on the
    largest number of test images remain.

    Args:
        found: the networks of the store, the latest first.
        table: the networks of the table.
        data_source: the data of all networks.
    """
    left_out = found.left_out.copy()
    priced = {(row.configuration, row.method): row.priced for row in found.rows}
    candidates = [*found.rows]
    for row in table:
        needed = priced.get((row.configuration, row.method), set())
        if row.data_source != data_source:
            reason = f"counted on {row.data_source} instead of {data_source}"
            left_out[f"recorded networks, {reason}"] += 1
        elif needed <= row.priced:
            candidates.append(row)
        else:
            left_out["networks of the table, without some of the prices"] += 1
    distinct = list(_distinct(candidates))
    most = max((row.n_images for row in distinct), default=0)
    rows = [row for row in distinct if row.n_images == most]
    if len(rows) < len(distinct):
        left_out["networks counted on fewer test images"] = len(distinct) - len(rows)
    rows.sort(key=lambda row: (row.side, row.name, row.seed, row.run_id))
    return Networks(rows, left_out)


def _distinct(rows: Sequence[RecordedNetwork]) -> Iterator[RecordedNetwork]:
    """Yield the first of equal networks."""
    known: set[tuple[Any, ...]] = set()
    for row in rows:
        drawn = (row.configuration, row.method, row.seed)
        weights = (row.weights_sha256, row.method, row.validation_percent)
        if drawn not in known and weights not in known:
            known |= {drawn, weights}
            yield row
