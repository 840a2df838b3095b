"""What a run holds, before any store knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULT_TAG = "spikejoule.result_id"
TRAINED_TAG = "trained.sha256"
TRAINING_TAG = "spikejoule.training"
"""What the training of a run is known by, in whichever process it goes on."""

_NOT_METRICS = ("epoch", "samples", "spikes", "input_macs")


@dataclass(frozen=True)
class StoredFile:
    """A file to store with a run, and the folder within the run that it goes to."""

    path: Path
    folder: str


@dataclass(frozen=True)
class ModelFiles:
    """What a run's version in the model registry is made of.

    Attributes:
        checkpoint: the complete checkpoint.
        price_list: the file of hardware profiles.
        profile: id of the profile that the version states energies under.
        card: the energy card, which describes the version; None of a revision from before there
            was one.
        nir: the network as a NIR graph; None of a revision from before there was one.
    """

    checkpoint: Path
    price_list: Path
    profile: str
    card: Path | None = None
    nir: Path | None = None


@dataclass(frozen=True)
class CitedRun:
    """What a file says of a run that a store may hold.

    Attributes:
        where: the file and the place in it, in words.
        run_id: MLflow's identifier of the run.
        metrics: some of its metrics.
        parameters: some of its parameters, as MLflow keeps them; "" for one that it has not.
        tags: some of its tags; "unknown" for one that it has not.
    """

    where: str
    run_id: str
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and metrics.
        name: the run's name in the user interface; None lets MLflow invent one.
        parameters: every parameter by its full name (`train.lr`).
        history: one mapping per epoch: `epoch` (from 1) becomes the step, `elapsed_seconds` (since
            the start; optional) its place on the time axis, the rest metrics.
        metrics: the final figures.
        tags: provenance in words.
        artifacts: files to store.
        model: what to register as a version of the model; None for nothing.
        cited: what its files say of other runs, which must not differ from them.
        started_ms: start, in milliseconds since 1970; None for now.
        ended_ms: end likewise.
    """

    result_id: str
    name: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[StoredFile] = ()
    model: ModelFiles | None = None
    cited: Sequence[CitedRun] = ()
    started_ms: int | None = None
    ended_ms: int | None = None


def epoch_row(
    record: Mapping[str, Any], layer_names: Sequence[str], elapsed_seconds: float
) -> dict[str, float]:
    """One epoch of a `RunRecord.history`, whether it is shown live or afterwards.

    `record` holds the fields of `training.EpochRecord`; spikes become means over its samples.
    """
    spikes = {
        f"{name}_spikes_per_sample": total / record["samples"]
        for name, total in zip(layer_names, record["spikes"], strict=True)
    }
    numbers = {
        name: value
        for name, value in record.items()
        if name not in _NOT_METRICS and isinstance(value, int | float)
    }
    return {
        "epoch": record["epoch"],
        "elapsed_seconds": elapsed_seconds,
        **numbers,
        **spikes,
    }
