"""Runs in MLflow: complete, once for each result, and never the reason that anything fails."""

import base64
import json
import logging
import socket
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import provenance_tags
from spikejoule.core.store import write_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.energy.prices import PACKAGED
from spikejoule.model.trained import save_trained
from spikejoule.tracking.publishing import Publication, RunRecord, build_run_record, publish
from spikejoule.tracking.registry import ModelFiles
from spikejoule.tracking.store import (
    VIEW,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    opened_to_read,
    project_store,
    shown_uri,
)
from spikejoule.training.epochs import EpochTimes
from tests.tools.committed import committed_params
from tests.tools.examples import (
    ENERGY_METRICS,
    EVALUATION_METRICS,
    INFERENCE_METRICS,
    TRAIN_METRICS,
    TRAIN_TIMINGS,
    trained_network,
    write_example,
)

PARAMS = committed_params()
SECRETS: dict[str, dict[str, str]] = yaml.safe_load(
    Path(__file__).with_name("secrets.yaml").read_text(encoding="utf-8")
)
FILES = tuple(artifact_paths(Path(__file__).parents[2], "publish"))


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    (tmp_path / "figure.png").write_bytes(b"picture")
    (tmp_path / "note.txt").write_text("note")
    return RunRecord(
        result_id="0123",
        parameters={f"section.parameter{number}": number for number in range(250)},
        history=[{"epoch": epoch, "loss": 1 / epoch} for epoch in range(1, 1200)],
        metrics={"test_accuracy_percent": 97.5, "per_class/3": 96.0},
        tags={"data.source": "mnist5k", "mlflow.runName": "a-name"},
        artifacts={tmp_path / "figure.png": "figures", tmp_path / "note.txt": ""},
    )


def runs(store: Store) -> list[Any]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(store.experiment)
    return list(client.search_runs([experiment.experiment_id]))


class TestPublish:
    def test_the_run_is_complete_and_added_once(
        self, store: Store, record: RunRecord, project: Path
    ) -> None:
        publication = publish(record, store)
        (run,) = runs(store)
        assert (run.info.run_id, True) == (publication.run_id, publication.added)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "a-name"
        assert run.data.params == {name: str(value) for name, value in record.parameters.items()}
        assert record.metrics.items() <= run.data.metrics.items()
        assert run.data.tags["data.source"] == "mnist5k"
        client = MlflowClient(tracking_uri=store.tracking_uri)
        curve = client.get_metric_history(run.info.run_id, "by_epoch/loss")
        assert [(one.step, one.value) for one in curve] == [(n, 1 / n) for n in range(1, 1200)]
        files = project / "mlartifacts" / run.info.run_id / "artifacts"
        assert (files / "figures" / "figure.png").read_bytes() == b"picture"
        assert (files / "note.txt").read_text() == "note"
        assert publish(record, store) == Publication(publication.run_id, added=False)
        assert publish(replace(record, result_id="4567"), store).added
        assert len(runs(store)) == 2

    def test_a_failure_leaves_the_run_failed_with_its_reason_until_it_is_recorded(
        self, store: Store, record: RunRecord, tmp_path: Path
    ) -> None:
        record = replace(record, tags={**record.tags, "trained.sha256": "ab"})
        broken = replace(record, artifacts={tmp_path / "missing.png": "figures"})
        with pytest.raises(StoreError, match=r"missing\.png"):
            publish(broken, store)
        (run,) = runs(store)
        assert run.info.status == "FAILED"
        assert "missing.png" in run.data.tags["spikejoule.failure"]
        assert publish(record, store) == Publication(run.info.run_id, added=True)
        (run,) = runs(store)
        assert run.info.status == "FINISHED"
        assert "spikejoule.failure" not in run.data.tags

    def test_runs_of_another_machine_are_left_alone(self, store: Store, record: RunRecord) -> None:
        """One whose process has died on this one is ended: `test_live.py`."""
        kept = {**keeper_tags(), "spikejoule.keeper.host": "another-machine"}
        kept["spikejoule.keeper.process"] = f"{2**22 + 1} 1000000000.0"
        with opened(store) as (client, experiment_id):
            elsewhere = client.create_run(experiment_id, tags=kept).info.run_id
        assert publish(record, store).added
        assert {run.info.run_id: run.info.status for run in runs(store)}[elsewhere] == "RUNNING"


def test_a_store_out_of_reach_is_said_at_once(
    project: Path, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own limits hold.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # which accepts and never answers
        for uri in (
            "http://127.0.0.1:9",
            "postgresql://user:secret@127.0.0.1:9/mlflow",
            "sqlite:////proc/none/mlflow.db",
            f"http://127.0.0.1:{silent.getsockname()[1]}",
        ):
            store = project_store(project, "spikejoule", {"MLFLOW_TRACKING_URI": uri})
            start = time.monotonic()
            with pytest.raises(StoreError, match="^the run was not recorded at ") as raised:
                publish(record, store)
            assert time.monotonic() - start < 20
            assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("said", "shown"), SECRETS["messages"].items())
def test_messages_show_scheme_and_host_alone(said: str, shown: str) -> None:
    assert in_one_line(OSError(said)) == shown


@pytest.mark.parametrize(("uri", "shown"), SECRETS["uris"].items())
def test_a_whole_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


def test_no_library_logs_a_secret(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(project / "none"))
    logger = logging.getLogger("mlflow.utils.databricks_utils")
    monkeypatch.setattr(logger, "propagate", True)
    logger.addHandler(caplog.handler)
    store = project_store(project, "spikejoule", {"MLFLOW_TRACKING_URI": "databricks://s3cret@h"})
    with pytest.raises(StoreError) as raised, opened_to_read(store):
        pass
    logger.removeHandler(caplog.handler)
    assert "s3cret" not in caplog.text + str(raised.value)


class TestProjectStore:
    def test_a_project_of_any_name_is_moved_with_its_files(
        self, tmp_path: Path, record: RunRecord
    ) -> None:
        root = tmp_path / "here" / "a?b%20c"
        root.mkdir(parents=True)
        (root / ".mlflow.db.tmp").write_bytes(b"half made, by a process that was killed")
        model = ModelFiles(write_example(tmp_path / "snn.pth"), PACKAGED, "45nm-fp32")
        publish(replace(record, model=model), project_store(root, "name", {}))
        assert {file.name for file in root.iterdir()} == {
            "mlflow.db", "mlflow.db.lock", "mlartifacts",
        }  # fmt: skip
        moved = root.rename(tmp_path / "there")
        store = project_store(moved, "name", {})
        publish(replace(record, result_id="another"), store)
        for run in runs(store):
            files = moved / "mlartifacts" / run.info.run_id / "artifacts"
            assert run.info.artifact_uri == files.as_uri()
            assert (files / "note.txt").is_file()
        assert not root.exists()

    def test_places_start_at_the_root(self, project: Path) -> None:
        """Not at the working directory: that of a queued experiment vanishes."""
        quoted = str(project).replace("%", "%25")
        here, there = (project / "mlartifacts").as_uri(), (project / "of runs").as_uri()
        bucket = "s3://bucket/runs"
        for uri, files, expected in (
            ("", "", (f"sqlite:///{quoted}/mlflow.db", here)),
            ("sqlite:///a/b.db", "of runs", (f"sqlite:///{quoted}/a/b.db", there)),
            ("sqlite:////a/b.db", bucket, ("sqlite:////a/b.db", bucket)),
            ("http://server", "", ("http://server", None)),
        ):
            environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DEFAULT_ARTIFACT_ROOT": files}
            found = project_store(project, "name", environment)
            assert (found.tracking_uri, found.artifact_location) == expected


def test_a_new_experiment_has_view_and_description(project: Path) -> None:
    store = project_store(project, "digits", {})
    assert publish(RunRecord("a", history=[{"epoch": 1, "loss": 0.5}]), store)
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name("digits")
    assert "one run for each distinct result" in experiment.tags["mlflow.note.content"]
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    method, _, packed = view["state"].partition(";")  # as MLflow's page unpacks it
    assert method == "deflate"
    columns = json.loads(zlib.decompress(base64.b64decode(packed)))["selectedColumns"]
    shown = {name.split("`")[1] for name in columns if name.startswith("params.")}
    assert shown
    assert shown <= PARAMS.flattened().keys()
    (run,) = runs(store)
    # Curves form a group of charts of their own.
    assert run.data.metrics == {"by_epoch/loss": 0.5}


class TestRunRecord:
    def build(self, folder: Path, **changes: Any) -> RunRecord:
        """Of the outputs of a pipeline, some of them changed."""
        paths = {name: folder / "out" / name for name in FILES}
        (folder / "out").mkdir(exist_ok=True)
        for path in paths.values():
            path.write_text("{}")
        save_trained(paths["trained"], changes.pop("trained", trained_network()))
        write_example(paths["checkpoint"])
        contents = {
            "evaluate_metrics": EVALUATION_METRICS,
            "train_metrics": TRAIN_METRICS,
            "inference_metrics": INFERENCE_METRICS,
            "energy_metrics": ENERGY_METRICS,
            "train_timings": TRAIN_TIMINGS,
            "inference_timings": {"measurement_time_seconds": 0.5},
            "baseline_timings": {name: TRAIN_TIMINGS[name] for name in EpochTimes.model_fields},
        }
        for name, content in contents.items():
            write_json(paths[name], {**content, **changes.get(name, {})})
        tags = provenance_tags(folder, {"DVC_EXP_NAME": "brash-fan"})
        return build_run_record(paths, changes.get("params", PARAMS), tags)

    def test_content(self, tmp_path: Path) -> None:
        record = self.build(tmp_path)
        expected = {
            "test_accuracy_percent": 91.25,
            "input_spikes_per_inference": 4.5,
            "training_time_seconds": 12.5,
            "baseline_time_seconds": 12.5,
        }
        assert expected.items() <= record.metrics.items()
        second = {"epoch": 2, "hidden_spikes_per_sample": 50.1}
        assert second.items() <= record.history[1].items()
        assert record.tags["mlflow.runName"] == "brash-fan"
        ours = {name for name in record.tags if not name.startswith("mlflow.")}
        assert ours == {"data.source", "data.title", "data.sha256", "git.dirty", "trained.sha256"}
        note = record.tags["mlflow.note.content"]
        assert note == (tmp_path / "out" / "energy_card").read_text()

    def test_all_but_clocks_makes_a_new_result(self, tmp_path: Path) -> None:
        clocks = {"timestamp": "2027-01-01", "epoch_times_seconds": [90.0, 9.0]}
        changes: tuple[dict[str, Any], ...] = (
            {},
            {"train_timings": {**clocks, "training_time_seconds": 99.0}},
            {"params": PARAMS.model_copy(update={"seed": 7})},
            {"trained": trained_network(seed=2)},
            {"evaluate_metrics": {"test_accuracy_percent": 91.26}},
        )
        known = [self.build(tmp_path, **change).result_id for change in changes]
        assert known[0] == known[1]
        assert len(set(known)) == 4
