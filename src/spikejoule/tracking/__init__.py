"""Runs in an MLflow store: the only package that imports mlflow.

A run is written from a `RunRecord`, once for each distinct result: publishing the same result again
finds the run and adds nothing. While a network is trained, `training_run` shows its run as it
grows, which costs the training nothing: whatever goes wrong is one warning. What goes wrong while a
run is published is one error, in bounded time, and is made up for by publishing again.
"""

from spikejoule.tracking.publishing import Publication, publish
from spikejoule.tracking.queries import compare_citations, finished_runs, front_citations
from spikejoule.tracking.records import (
    RESULT_TAG,
    TRAINED_TAG,
    CitedRun,
    ModelFiles,
    RunRecord,
    StoredFile,
    epoch_row,
)
from spikejoule.tracking.registry import Registration
from spikejoule.tracking.store import Store, opened, project_store

__all__ = [
    "RESULT_TAG",
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
