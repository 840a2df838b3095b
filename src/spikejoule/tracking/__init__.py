"""Runs in an MLflow store: the only package that imports mlflow.

A run is written from a `RunRecord`, once for each distinct result: publishing the same result again
finds the run and adds nothing. While a pipeline trains, `live` shows its run as it grows. Whatever
goes wrong takes bounded time and is a warning to the pipeline, never an error: one whose outputs
are on disk has not failed because a server is down.
"""

from spikejoule.tracking.publishing import (
    PIPELINE_TAG,
    TIME_LIMIT_SECONDS,
    TRAINED_TAG,
    Publication,
    publish,
)
from spikejoule.tracking.queries import compare_citations, finished_runs, front_citations
from spikejoule.tracking.records import (
    RESULT_TAG,
    CitedRun,
    ModelFiles,
    RunRecord,
    StoredFile,
    epoch_row,
)
from spikejoule.tracking.registry import Registration
from spikejoule.tracking.store import Store, opened, project_store

__all__ = [
    "PIPELINE_TAG",
    "RESULT_TAG",
    "TIME_LIMIT_SECONDS",
    "TRAINED_TAG",
    "CitedRun",
    "ModelFiles",
    "Publication",
    "Registration",
    "RunRecord",
    "Store",
    "StoredFile",
    "compare_citations",
    "epoch_row",
    "finished_runs",
    "front_citations",
    "opened",
    "project_store",
    "publish",
]
