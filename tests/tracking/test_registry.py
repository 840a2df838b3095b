"""Versions of the model: one for each result, the best on validation is champion."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import file_digest
from spikejoule.energy.prices import PACKAGED
from spikejoule.tracking import publishing
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.publishing import Publication
from spikejoule.tracking.registry import MODEL_NAME, Registration
from spikejoule.tracking.run_record import RunRecord
from spikejoule.tracking.served_folder import ModelFiles
from spikejoule.tracking.store import Store, opened, project_store
from tests.tools.examples import trained_network, write_example
from tests.tools.processes import start_python

PROFILE = "45nm-fp32"
Publish = Callable[..., Publication]


@pytest.fixture
def publish(store: Store, tmp_path: Path) -> Publish:
    """Publishes a result whose checkpoint has the accuracy and data of a test."""

    def published(result: str, accuracy: float = 87.0, **changes: Any) -> Publication:
        record = record_of(tmp_path / f"{result}.pth", result, accuracy, **changes)
        return publishing.publish(record, store)

    return published


def record_of(
    path: Path, result: str, accuracy: float = 87.0, seed: int = 7, **changes: Any
) -> RunRecord:
    network = trained_network()
    data = {**network.data, **changes}
    reached = {"validation_accuracy_percent": accuracy}
    history = [epoch.model_copy(update=reached) for epoch in network.history]
    write_example(path, replace(network, history=history, data=data, seed=seed))
    return RunRecord(
        result_id=result,
        tags={"mlflow.source.git.commit": "c0ffee", "data.source": "mnist5k"},
        model=ModelFiles(path, PACKAGED, PROFILE),
    )


def named(name: str, store: Store) -> Any:
    """The version of a number or an alias; None if there is none."""
    client = MlflowClient(tracking_uri=store.tracking_uri)
    try:
        if name.isdigit():
            return client.get_model_version(MODEL_NAME, name)
        return client.get_model_version_by_alias(MODEL_NAME, name)
    except MlflowException:
        return None


PUBLISH_ALL = """
import sys
from pathlib import Path
from spikejoule.energy.prices import (PACKAGED)
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.run_record import RunRecord
from spikejoule.tracking.served_folder import ModelFiles
from spikejoule.tracking.store import project_store

uri, root, *results = sys.argv[1:]
store = project_store(Path(root), "spikejoule", {"MLFLOW_TRACKING_URI": uri})
for result in results:
    model = ModelFiles(Path(root).with_name(f"{result}.pth"), PACKAGED, "45nm-fp32")
    assert publish(RunRecord(result, model=model), store).registration
"""


class TestVersions:
    def test_one_for_each_result(self, publish: Publish, store: Store) -> None:
        bare = publishing.publish(RunRecord("one"), store)
        assert bare.registration is None
        first = publish("one")
        again = publish("one")
        second = publish("two")
        assert (first.run_id, first.added) == (bare.run_id, False)
        assert [run.registration for run in (first, again, second)] == [
            Registration(1, is_champion=True),
            Registration(1, is_champion=True),
            Registration(2, is_champion=False),
        ]
        assert named("3", store) is None

    def test_tags_lead_to_file_and_code(
        self, publish: Publish, store: Store, tmp_path: Path
    ) -> None:
        """`tests/stages/test_runs.py` checks where the model itself is."""
        run = publish("one", accuracy=88.5)
        version = named("1", store)
        assert version.run_id == run.run_id
        assert version.tags["dvc.md5"] == file_digest(tmp_path / "one.pth", "md5")
        assert version.tags["git.commit"] == "c0ffee"
        assert version.tags["validation_accuracy_percent"] == "88.5"

    def test_the_logged_model_has_metrics_with_their_data_and_its_version(
        self, store: Store, tmp_path: Path
    ) -> None:
        splits = [
            DataSplit("mnist5k", context, tmp_path / context, f"digest-{context}", 100)
            for context in ("training", "validation", "testing")
        ]
        record = record_of(tmp_path / "one.pth", "one")
        metrics = {"accuracy": 86.0, "accuracy_val": 87.0, "early": 85.0}
        run = publishing.publish(replace(record, metrics=metrics, splits=splits), store)
        with opened(store) as (client, experiment_id):
            (model,) = client.search_logged_models([experiment_id])
        assert model.source_run_id == run.run_id
        assert named("1", store).source == model.artifact_location
        (version,) = json.loads(model.tags["mlflow.modelVersions"])
        assert (version["name"], str(version["version"])) == (MODEL_NAME, "1")
        assert {
            metric.key: (metric.value, metric.dataset_name, metric.dataset_digest)
            for metric in model.metrics
        } == {
            "accuracy": (86.0, "mnist5k testing", "digest-testing"),
            "accuracy_val": (87.0, "mnist5k validation", "digest-validation"),
        }

    @pytest.mark.slow
    def test_processes_at_once_give_one_run_and_version_for_each_result(
        self, tmp_path: Path
    ) -> None:
        """From two projects that share a database, which does not exist yet."""
        uri = f"sqlite:///{tmp_path / 'shared' / 'runs.db'}"
        for result, accuracy in {"a": 80.0, "b": 95.0}.items():
            record_of(tmp_path / f"{result}.pth", result, accuracy)
        processes = [
            start_python("-c", PUBLISH_ALL, uri, str(tmp_path / root), *results)
            for root, results in (("a new project", "ab"), ("a clone", "ba"))
        ]
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
        store = project_store(tmp_path, "spikejoule", {"MLFLOW_TRACKING_URI": uri})
        with opened(store) as (client, experiment_id):
            runs = client.search_runs([experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * 2
        results = [
            named(number, store).tags["spikejoule.result_id"] for number in ("1", "2")
        ]
        assert sorted(results) == ["a", "b"]
        assert named("3", store) is None
        assert named("champion", store).tags["spikejoule.result_id"] == "b"


class TestChampion:
    def test_is_the_best_on_validation_and_never_one_validated_on_the_test_set(
        self, publish: Publish, store: Store
    ) -> None:
        assert not publish(
            "on test", 99.0, validated_on_test=True
        ).registration.is_champion
        assert named("champion", store) is None
        accuracies = {"first": 90.0, "worse": 89.9, "equal": 90.0, "better": 90.1}
        runs = [publish(result, accuracy) for result, accuracy in accuracies.items()]
        assert [run.registration.is_champion for run in runs] == [
            True,
            False,
            False,
            True,
        ]
        assert not publish(
            "on test, too", 99.0, validated_on_test=True
        ).registration.is_champion
        assert named("champion", store).version == 5
        # A result that is published again does not move it.
        assert not publish("first", 90.0).registration.is_champion

    @pytest.mark.parametrize(
        "changes", [{"sha256": {"train-images-idx3-ubyte": "cd" * 32}}, {"seed": 8}]
    )
    def test_other_validation_images_do_not_move_the_champion(
        self, publish: Publish, store: Store, changes: dict[str, Any]
    ) -> None:
        publish("first", 90.0)
        assert not publish("other", 99.0, **changes).registration.is_champion
        # Versions compete with a champion that was moved by hand.
        client = MlflowClient(tracking_uri=store.tracking_uri)
        client.set_registered_model_alias(MODEL_NAME, "champion", "2")
        assert not publish("second", 99.5).registration.is_champion
        assert publish("third", 99.5, **changes).registration.is_champion


def test_a_registry_out_of_reach_is_an_error_that_publishing_again_repairs(
    publish: Publish, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RestException(
            {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "not\nnow"}
        )

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_model_versions", refuse)
        with pytest.raises(
            StoreError,
            match="is recorded, but .* was not registered .*TEMPORARILY_UNAVAILABLE",
        ):
            publish("one")
    again = publish("one")
    assert not again.added, "the run was whole"
    assert again.registration == Registration(1, is_champion=True)
