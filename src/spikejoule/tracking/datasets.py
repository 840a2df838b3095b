"""The data of a run as MLflow shows them: a dataset for each split, by its digest."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONTEXT_TAG = "mlflow.data.context"


@dataclass(frozen=True)
class DataSplit:
    """A part of the data that a run used.

    Attributes:
        source: the data set.
        context: what it was used for: ``training``, ``validation`` or ``testing``.
        path: its file within the project.
        digest: MD5 of that file, as dvc.lock records it.
        n_samples: number of samples in it.
    """

    source: str
    context: str
    path: Path
    digest: str
    n_samples: int


def log_splits(
    client: "MlflowClient", run_id: str, splits: Iterable[DataSplit]
) -> None:
    """Log datasets of an unfinished run; those it has already are not added again."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=f"{split.source} {split.context}",
                digest=split.digest,
                source_type="local",
                source=json.dumps({"uri": split.path.as_posix()}),
                profile=json.dumps({"num_rows": split.n_samples}),
            ),
            [InputTag(CONTEXT_TAG, split.context)],
        )
        for split in splits
    ]
    if inputs:
        client.log_inputs(run_id, inputs)
