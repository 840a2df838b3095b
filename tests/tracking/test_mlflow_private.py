"""What `mlflow_private` takes from MLflow is still there."""

import json
from pathlib import Path

import mlflow.store.db.utils
import pytest
from mlflow.utils import mlflow_tags
from sqlalchemy.exc import OperationalError

from spikejoule.tracking import mlflow_private
from spikejoule.tracking.mlflow_private import VIEW
from spikejoule.tracking.store import opened, project_store


def test_an_experiment_has_a_saved_view(project: Path) -> None:
    """An older experiment gets one too; `test_mlflow_pages.py` opens it."""
    tag = f"mlflow.sharedViewState.{VIEW}"
    store = project_store(project, "digits", {})
    for _ in range(2):
        with opened(store) as (client, experiment_id):
            saved = json.loads(client.get_experiment(experiment_id).tags[tag])
            assert "metrics.`accuracy`" in json.loads(saved["state"])["selectedColumns"]
            client.set_experiment_tag(experiment_id, tag, "{}")


def test_a_database_is_tried_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", pauses.append)
    mlflow_private.try_databases_less_often()
    with pytest.raises(OperationalError):
        # A folder is no database.
        mlflow.store.db.utils.create_sqlalchemy_engine_with_retry(
            f"sqlite:///{tmp_path}"
        )
    assert len(pauses) == 2


def test_the_tag_of_versions_is_the_one_of_mlflow() -> None:
    assert mlflow_tags.MLFLOW_MODEL_VERSIONS == mlflow_private.VERSIONS_TAG
