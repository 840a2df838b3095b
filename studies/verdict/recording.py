"""Recorded networks from the runs of an MLflow store.

A run of the pipeline stores the networks that it counted, its own and the conventional
ones. Here they are priced and grouped: networks of equal `configuration` differ only in
the seed.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import content_digest
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Side, Variant
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.variant_file import load_variants
from spikejoule.tracking.recorded import (
    COMMIT,
    ENCODING,
    EXIT_RULE,
    EXIT_TOLERANCE,
    METRIC,
    OF_BASELINE,
    PARAMETER,
    SEED,
    SOURCE,
    WITHOUT_EFFECT,
    ComparableRuns,
    deciding_parameters,
)
from spikejoule.tracking.store import Store, opened_to_read
from studies.verdict.networks import RecordedNetwork

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUANTISED: Final = "quantised "
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
    """Reads the counted networks of runs.

    Attributes:
        store: the MLflow store with the runs.
        artifact: the file of counted networks within a run.
        profiles: the price lists.
        baseline_parameters: parameters that affect conventional networks, by full name
            or section.
    """

    store: Store
    artifact: Path
    profiles: Sequence[HardwareProfile]
    baseline_parameters: Collection[str]

    def networks(self, comparable: ComparableRuns) -> Networks:
        """Read the networks of comparable runs, those of the latest run first.

        Raises:
            StoreError: the store cannot be read.
            ArtifactError: a stored file is damaged.
        """
        networks = Networks([], comparable.left_out.copy())
        spiking = _spiking_parameters(comparable.runs)
        with (
            opened_to_read(self.store) as (client, _),
            tempfile.TemporaryDirectory() as folder,
        ):
            for place, run in comparable.runs.iterrows():
                path = self._downloaded(client, run["run_id"], folder)
                if path is None:
                    networks.left_out["that recorded no counted networks"] += 1
                    continue
                variants = _read(path, run["run_id"])
                path.unlink()
                if not all(variant.weights_sha256 for variant in variants):
                    networks.left_out["recorded before weights had a checksum"] += 1
                    continue
                deciding: dict[Side, pd.Series[Any]] = {
                    SPIKING: spiking.loc[place],
                    CONVENTIONAL: self._of_baseline(run),
                }
                networks.rows += self._of_run(run, variants, deciding)
        return networks

    def _downloaded(
        self, client: "MlflowClient", run_id: str, folder: str
    ) -> Path | None:
        """Download the file of counted networks; None if the run has none."""
        name = self.artifact.as_posix()
        parent = self.artifact.parent.as_posix()
        stored = [file.path for file in client.list_artifacts(run_id, parent)]
        if name not in stored:
            return None
        return Path(client.download_artifacts(run_id, name, folder))

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
        deciding: dict[Side, "pd.Series[Any]"],
    ) -> Iterator[RecordedNetwork]:
        """Yield the networks of a run with known accuracies.

        Args:
            run: the run.
            variants: the networks that it counted.
            deciding: the parameters that affect the networks of each side.
        """
        for variant in variants:
            if variant.accuracies is None:
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


def _read(path: Path, run_id: str) -> Sequence[Variant]:
    try:
        return load_variants(path)
    except ArtifactError as error:
        raise ArtifactError(f"run {run_id}: {error}") from error


def _configuration(
    run: "pd.Series[Any]", variant: Variant, parameters: "pd.Series[Any]"
) -> str:
    """A digest of everything that affects a network except the seed."""
    deciding = parameters.dropna()
    if variant.side == CONVENTIONAL:
        is_quantised = variant.network.startswith(QUANTISED)
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
    elif variant.network.startswith(QUANTISED):
        return None, None
    else:
        stage = "baseline"
        conventional = {
            other.network for other in variants if other.side == CONVENTIONAL
        }
        trained = [name for name in conventional if not name.startswith(QUANTISED)]
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
