"""Recorded networks from the runs of an MLflow store.

A run of the pipeline stores the networks that it counted, its own and the conventional
ones. They are priced here, and named by what decides them: networks of equal
`configuration` differ in nothing but the seed.
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
    AVERAGE,
    COMMIT,
    CROP,
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
"""How the name of a network begins that was quantised after its training."""

STATED_IN_NAMES: Final = (
    SEED,
    f"{PARAMETER}evaluate.",
    f"{PARAMETER}model.hidden",
    f"{PARAMETER}baseline.family_hidden",
    f"{PARAMETER}baseline.family_pruned",
    f"{PARAMETER}baseline.family_bits",
    f"{PARAMETER}baseline.family_bias",
)
"""Parameters of conventional networks that their names state, or that decide none."""

ONLY_OF_QUANTISED: Final = (f"{PARAMETER}encode.", f"{OF_BASELINE}weight_bits")
"""Parameters that decide the quantised network alone, where samples are images."""


@dataclass
class Networks:
    """Recorded networks that can be compared, and the number of what is left out, by
    reason.
    """

    rows: list[RecordedNetwork]
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Reader:
    """How counted networks are read from runs.

    Attributes:
        store: where the runs are.
        artifact: the file of counted networks within a run.
        profiles: the price lists.
        baseline_parameters: what decides a conventional network, by full name or
            section.
    """

    store: Store
    artifact: Path
    profiles: Sequence[HardwareProfile]
    baseline_parameters: Collection[str]

    def networks(self, comparable: ComparableRuns) -> Networks:
        """The networks of runs that can be compared, those of the latest run first.

        Raises:
            StoreError: the store cannot be read.
            ArtifactError: a stored file is damaged.
        """
        found = Networks([], comparable.left_out.copy())
        spiking = _spiking_parameters(comparable.runs)
        with (
            opened_to_read(self.store) as (client, _),
            tempfile.TemporaryDirectory() as folder,
        ):
            for place, run in comparable.runs.iterrows():
                path = self._downloaded(client, run["run_id"], folder)
                if path is None:
                    found.left_out["that recorded no counted networks"] += 1
                    continue
                variants = _read(path, run["run_id"])
                path.unlink()
                if not all(variant.weights_sha256 for variant in variants):
                    found.left_out["recorded before weights had a checksum"] += 1
                    continue
                deciding: dict[Side, pd.Series[Any]] = {
                    SPIKING: spiking.loc[place],
                    CONVENTIONAL: self._of_baseline(run),
                }
                found.rows += self._of_run(run, variants, deciding)
        return found

    def _downloaded(
        self, client: "MlflowClient", run_id: str, folder: str
    ) -> Path | None:
        """The file of counted networks; None where the run has none."""
        parent = self.artifact.parent.as_posix()
        stored = [one.path for one in client.list_artifacts(run_id, parent)]
        if self.artifact.as_posix() not in stored:
            return None
        return Path(client.download_artifacts(run_id, self.artifact.as_posix(), folder))

    def _of_baseline(self, run: "pd.Series[Any]") -> "pd.Series[Any]":
        """The parameters of a run that decide a conventional network, beside its
        name.
        """
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
        """The networks of known accuracy that a run counted.

        Args:
            run: the run.
            variants: what it counted.
            deciding: the parameters that decide the networks of each side.
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
                crop_pixels=int(run[CROP]),
                average_pixels=int(run[AVERAGE]),
            )


def _spiking_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """The parameters that decide a spiking network, its early exit included."""
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
    """A digest of what decides a network, but for the seed."""
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
    """Training time by the clock and over all cores, in seconds; None where not known.

    The conventional networks of a run are trained together, and share its time equally.
    A network that is quantised afterwards is not trained.
    """
    if variant.side == SPIKING:
        kind = "training"
        fraction = 1.0
    elif variant.network.startswith(QUANTISED):
        return None, None
    else:
        conventional = {one.network for one in variants if one.side == CONVENTIONAL}
        trained = [name for name in conventional if not name.startswith(QUANTISED)]
        kind = "baseline"
        fraction = 1 / len(trained)
    seconds = [run[f"{METRIC}{kind}_{of}_seconds"] for of in ("time", "processor")]
    by_clock, by_processors = (
        None if pd.isna(one) else fraction * one for one in seconds
    )
    return by_clock, by_processors


def beside_table(
    found: Networks, table: Sequence[RecordedNetwork], data_source: str
) -> Networks:
    """The networks of a store, and those of a table that it lacks.

    Each network counts once, by its weights and how it is run. Of networks that differ
    in their weights alone (one configuration and seed, trained on another processor or
    by another version), the store's latest counts. All are counted on as many test
    images as the most.

    Args:
        found: the networks of the store, the latest first.
        table: the networks of the table.
        data_source: the data of all of them.
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
    """The first of the networks that are the same."""
    known: set[tuple[Any, ...]] = set()
    for row in rows:
        drawn = row.configuration, row.method, row.seed
        weights = row.weights_sha256, row.method, row.validation_percent
        if drawn not in known and weights not in known:
            known |= {drawn, weights}
            yield row
