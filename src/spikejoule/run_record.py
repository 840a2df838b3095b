"""What one run of the pipeline tells MLflow: its outputs, arranged as a `RunRecord`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from spikejoule.checkpoint import TrainedNetwork
from spikejoule.provenance import (
    code_version,
    content_digest,
    file_digest,
    library_versions,
)
from spikejoule.tracking import Artifact, RunRecord

# Entries of the metrics files that are no figure of merit.
_SKIPPED = ("n_samples", "confidence", "per_layer", "spikes_total")


def build_run_record(
    network: TrainedNetwork,
    trained_path: Path,
    checkpoint_path: Path,
    parameters: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    timings: Mapping[str, Any],
    artifacts: Sequence[Artifact],
    tags: Mapping[str, str],
) -> RunRecord:
    """Arrange the outputs of a pipeline run.

    `metrics` holds the contents of the metrics files, none of which may contain a clock: with
    `parameters` and the bytes at `trained_path` they decide whether a result is a new one.
    `timings` holds the contents of the timing files, merged. `tags` are those of
    `provenance_tags`; an experiment of DVC gives the run its name.
    """
    final: dict[str, float] = {}
    for content in metrics:
        final.update(_numbers(content))
    trained_sha256 = file_digest(trained_path, "sha256")
    result_id = content_digest(
        {
            "parameters": dict(parameters),
            "trained": trained_sha256,
            "metrics": [dict(content) for content in metrics],
        }
    )
    seconds = {
        name: float(value)
        for name, value in timings.items()
        if name.endswith("_seconds") and isinstance(value, int | float)
    }
    started_ms = _milliseconds(timings.get("timestamp"))
    ended_ms = None
    if started_ms is not None:
        ended_ms = started_ms + round(1000 * seconds.get("training_time_seconds", 0.0))
    return RunRecord(
        result_id=result_id,
        name=tags.get("dvc.experiment"),
        parameters=parameters,
        history=_history(network, timings.get("epoch_times_seconds", ())),
        metrics={**final, **seconds},
        tags={
            **tags,
            "data.source": str(network.data["source"]),
            "data.title": str(network.data["title"]),
            "data.note": str(network.data["note"]),
            **{f"data.sha256.{file}": digest for file, digest in network.data["sha256"].items()},
            "engine": network.engine,
            "device": str(timings.get("device", "unknown")),
            "checkpoint.md5": file_digest(checkpoint_path, "md5"),
            "trained.sha256": trained_sha256,
        },
        artifacts=artifacts,
        started_ms=started_ms,
        ended_ms=ended_ms,
    )


def provenance_tags(
    directory: Path, code_paths: Sequence[str], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The git commit, whether `code_paths` differ from it, DVC's experiment, library versions."""
    code = code_version(directory, code_paths)
    tags = {
        "git.commit": code["commit"],
        "git.dirty": code["dirty"],
        # MLflow's own name for it: its pages show this one beside the run
        "mlflow.source.git.commit": code["commit"],
        "mlflow.source.name": "dvc.yaml",
        **{f"library.{name}": found for name, found in library_versions().items()},
    }
    if environment.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = environment["DVC_EXP_NAME"]
        tags["dvc.baseline"] = environment.get("DVC_EXP_BASELINE_REV", "unknown")
    return tags


def _history(
    network: TrainedNetwork, epoch_times_seconds: Sequence[float]
) -> tuple[dict[str, float], ...]:
    rows = []
    elapsed = 0.0
    for number, record in enumerate(network.history):
        if number < len(epoch_times_seconds):
            elapsed += epoch_times_seconds[number]
        spikes = {
            f"{name}_spikes_per_sample": total / record["samples"]
            for name, total in zip(network.architecture.layer_names, record["spikes"], strict=True)
        }
        rows.append(
            {
                "epoch": record["epoch"],
                "elapsed_seconds": elapsed,
                "learning_rate": record["learning_rate"],
                "train_loss": record["train_loss"],
                "train_accuracy_percent": record["train_accuracy_percent"],
                "validation_accuracy_percent": record["validation_accuracy_percent"],
                **spikes,
            }
        )
    return tuple(rows)


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number under its keys joined by slashes, by which MLflow groups its charts."""
    for key, value in content.items():
        if key in _SKIPPED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def _milliseconds(timestamp: Any) -> int | None:
    try:
        return round(1000 * datetime.fromisoformat(str(timestamp)).timestamp())
    except ValueError:
        return None
