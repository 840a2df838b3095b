"""Data splits of a run as MLflow datasets, identified by their digests."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Run

CONTEXT_TAG = "mlflow.data.context"


@dataclass(frozen=True)
class DataSplit:
    """One split of the data of a run.

    Attributes:
        source: name of the data set.
        context: ``training``, ``validation`` or ``testing``.
        path: its file within the project.
        digest: MD5 of that file, as dvc.lock records it.
        n_samples: number of samples.
    """

    source: str
    context: str
    path: Path
    digest: str
    n_samples: int


def log_splits(
    client: "MlflowClient", run_id: str, splits: Iterable[DataSplit]
) -> None:
    """Log splits as datasets of an unfinished run.

    MLflow recognises a dataset by name and digest, and adds none of them twice.
    """
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


def logged_splits(run: "Run") -> dict[str, "Dataset"]:
    """Return the datasets of a run by context: ``training`` and so on."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {
        tag.value: logged.dataset
        for logged in inputs
        for tag in logged.tags
        if tag.key == CONTEXT_TAG
    }
