"""Runs in MLflow: complete, once for each result, and never the reason that anything fails."""

import logging
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from spikejoule.run_record import build_run_record, provenance_tags
from spikejoule.tracking import Artifact, RunRecord, Store, project_store, publish
from spikejoule.trained import save_trained
from tests.examples import (
    EVALUATION,
    TRAIN_TIMINGS,
    exit_status_of,
    start_python,
    trained_network,
    write_example,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "a project, with 100 % odd name"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path) -> Store:
    return project_store(root, "spikejoule", {})


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    (tmp_path / "figure.png").write_bytes(b"picture")
    (tmp_path / "note.txt").write_text("note")
    return RunRecord(
        result_id="0123",
        name="a-name",
        parameters={f"section.parameter{number}": number for number in range(250)},
        history=[
            {"epoch": epoch, "elapsed_seconds": 2.0 * epoch, "loss": 1 / epoch}
            for epoch in range(1, 1200)
        ],
        metrics={"test_accuracy_percent": 97.5, "per_class/3": 96.0},
        tags={"data.source": "mnist5k"},
        artifacts=[
            Artifact(tmp_path / "figure.png", "figures"),
            Artifact(tmp_path / "note.txt", ""),
        ],
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_060_000,
    )


def runs(store: Store) -> list[Any]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(store.experiment)
    return list(client.search_runs([experiment.experiment_id]))


class TestPublish:
    def test_the_run_is_complete(self, store: Store, record: RunRecord, root: Path) -> None:
        publication = publish(record, store)
        assert publication is not None
        assert publication.added
        (run,) = runs(store)
        assert run.info.run_id == publication.run_id
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "a-name"
        assert run.info.end_time - run.info.start_time == 60_000
        assert len(run.data.params) == 250
        assert run.data.params["section.parameter7"] == "7"
        assert run.data.metrics["test_accuracy_percent"] == 97.5
        assert run.data.metrics["per_class/3"] == 96.0
        assert run.data.tags["data.source"] == "mnist5k"
        client = MlflowClient(tracking_uri=store.tracking_uri)
        curve = client.get_metric_history(run.info.run_id, "loss")
        assert [point.step for point in curve] == list(range(1, 1200))
        assert [point.value for point in curve] == [1 / epoch for epoch in range(1, 1200)]
        assert curve[4].timestamp == 1_700_000_010_000
        files = root / "mlartifacts" / run.info.run_id / "artifacts"
        assert (files / "figures" / "figure.png").read_bytes() == b"picture"
        assert (files / "note.txt").read_text() == "note"
        assert client.list_artifacts(run.info.run_id, "figures")[0].path == "figures/figure.png"

    def test_the_same_result_is_not_added_twice(self, store: Store, record: RunRecord) -> None:
        first, second = publish(record, store), publish(record, store)
        assert first is not None
        assert second is not None
        assert second.run_id == first.run_id
        assert not second.added
        other = publish(replace(record, result_id="4567"), store)
        assert other is not None
        assert other.added
        assert len(runs(store)) == 2

    def test_a_failure_leaves_the_run_failed_with_its_reason(
        self, store: Store, record: RunRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = replace(record, artifacts=[Artifact(tmp_path / "missing.png", "figures")])
        assert publish(broken, store) is None
        (run,) = runs(store)
        assert run.info.status == "FAILED"
        assert "missing.png" in run.data.tags["spikejoule.failure"]
        assert "missing.png" in caplog.text
        again = publish(record, store)
        assert again is not None
        assert again.added

    def test_a_run_left_by_a_killed_process_is_closed_and_written_anew(
        self, store: Store, record: RunRecord
    ) -> None:
        publish(replace(record, result_id="other"), store)
        client = MlflowClient(tracking_uri=store.tracking_uri)
        experiment = client.get_experiment_by_name(store.experiment)
        left = client.create_run(
            experiment.experiment_id, tags={"spikejoule.result_id": record.result_id}
        )
        publication = publish(record, store)
        assert publication is not None
        assert publication.added
        assert client.get_run(left.info.run_id).info.status == "KILLED"

    def test_processes_at_once_on_a_store_that_does_not_exist_yet(self, root: Path) -> None:
        code = (
            "import sys; from pathlib import Path;"
            "from spikejoule.tracking import RunRecord, project_store, publish;"
            "store = project_store(Path(sys.argv[1]), 'spikejoule', {});"
            "done = publish(RunRecord(sys.argv[2], metrics={'m': 1.0}), store);"
            "sys.exit(0 if done else 1)"
        )
        # two of them publish the same result
        processes = [start_python("-c", code, str(root), result) for result in ("a", "b", "b")]
        assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
        found = runs(project_store(root, "spikejoule", {}))
        assert sorted(run.data.tags["spikejoule.result_id"] for run in found) == ["a", "b"]
        assert {run.info.status for run in found} == {"FINISHED"}


class TestUnreachable:
    @pytest.mark.parametrize(
        "uri",
        [
            "http://127.0.0.1:9",
            "postgresql://user:secret@127.0.0.1:9/mlflow",
            "sqlite:////proc/none/mlflow.db",
            "nonsense://server",
        ],
    )
    def test_a_warning_at_once(
        self, root: Path, record: RunRecord, uri: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = project_store(root, "spikejoule", {"MLFLOW_TRACKING_URI": uri})
        start = time.monotonic()
        assert publish(record, store) is None
        assert time.monotonic() - start < 20
        (message,) = (entry for entry in caplog.records if entry.name == "spikejoule.tracking")
        assert message.levelno == logging.WARNING
        assert "the run was not recorded" in message.getMessage()
        assert "secret" not in caplog.text

    def test_a_server_that_never_answers(
        self, root: Path, record: RunRecord, silent_server: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = project_store(root, "spikejoule", {"MLFLOW_TRACKING_URI": silent_server})
        start = time.monotonic()
        assert publish(record, store, time_limit_seconds=1.5) is None
        assert time.monotonic() - start < 10
        assert "no end after 1.5 s" in caplog.text

    def test_a_process_ends_although_a_server_never_answers(
        self, root: Path, silent_server: str
    ) -> None:
        code = (
            "import sys; from pathlib import Path;"
            "from spikejoule.tracking import RunRecord, project_store, publish;"
            "store = project_store(Path(sys.argv[1]), 'spikejoule');"
            "assert publish(RunRecord('a'), store, time_limit_seconds=8) is None"
        )
        assert exit_status_of(code, str(root), env={"MLFLOW_TRACKING_URI": silent_server}) == 0


@pytest.fixture
def silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class TestProjectStore:
    def test_it_lies_at_the_root(self, root: Path) -> None:
        store = project_store(root, "name", {})
        assert store.tracking_uri == f"sqlite:///{root}/mlflow.db"
        assert store.artifact_location == (root / "mlartifacts").as_uri()
        assert store.experiment == "name"

    def test_mlflows_variables_take_precedence(self, root: Path) -> None:
        store = project_store(
            root,
            "name",
            {"MLFLOW_TRACKING_URI": "http://server:5000", "MLFLOW_EXPERIMENT_NAME": "other"},
        )
        assert store.tracking_uri == "http://server:5000"
        assert store.experiment == "other"
        assert store.artifact_location is None

    def test_a_database_elsewhere_keeps_its_files_at_the_root(
        self, root: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        uri = f"sqlite:///{tmp_path}/elsewhere.db"
        store = project_store(root, "name", {"MLFLOW_TRACKING_URI": uri})
        assert publish(record, store) is not None
        assert (tmp_path / "elsewhere.db").exists()
        assert not (root / "mlflow.db").exists()
        assert len(list((root / "mlartifacts").rglob("figure.png"))) == 1


def test_mlflow_is_imported_where_it_is_used() -> None:
    code = "import sys, spikejoule.tracking; sys.exit('mlflow' in sys.modules)"
    assert exit_status_of(code) == 0


class TestRunRecord:
    def build(self, folder: Path, **changes: Any) -> RunRecord:
        network = changes.get("network", trained_network())
        save_trained(folder / "trained.pth", network)
        write_example(folder / "complete.pth")
        return build_run_record(
            network=network,
            trained_path=folder / "trained.pth",
            checkpoint_path=folder / "complete.pth",
            parameters=changes.get("parameters", {"train.lr": 0.003, "seed": 7}),
            metrics=changes.get("metrics", [EVALUATION, {"spikes_per_inference": {"input": 4.5}}]),
            timings=changes.get("timings", {**TRAIN_TIMINGS, "measurement_time_seconds": 0.5}),
            artifacts=(),
            tags={"dvc.experiment": "brash-fan"},
        )

    def test_content(self, tmp_path: Path) -> None:
        record = self.build(tmp_path)
        assert record.name == "brash-fan"
        assert record.metrics["test_accuracy_percent"] == 91.25
        assert record.metrics["per_class/3"] == 93.0
        assert record.metrics["spikes_per_inference/input"] == 4.5
        assert record.metrics["training_time_seconds"] == 12.5
        assert "n_samples" not in record.metrics
        assert record.history[1] == {
            "epoch": 2,
            "elapsed_seconds": 12.5,
            "learning_rate": 0.0015,
            "train_loss": 0.5,
            "train_accuracy_percent": 82.0,
            "validation_accuracy_percent": 87.0,
            "input_spikes_per_sample": 50.0,
            "hidden_spikes_per_sample": 50.1,
            "output_spikes_per_sample": 50.2,
        }
        assert record.tags["data.sha256.mnist5k-images-uint8"] == "ab" * 32
        assert record.tags["device"] == "cpu"
        assert len(record.tags["checkpoint.md5"]) == 32
        assert record.started_ms is not None
        assert record.ended_ms is not None
        assert record.ended_ms - record.started_ms == 12_500

    def test_clocks_do_not_make_a_new_result(self, tmp_path: Path) -> None:
        later = {**TRAIN_TIMINGS, "training_time_seconds": 99.0, "timestamp": "2027-01-01"}
        first, second = self.build(tmp_path), self.build(tmp_path, timings=later)
        assert first.result_id == second.result_id

    @pytest.mark.parametrize(
        "changes",
        [
            {"parameters": {"train.lr": 0.001, "seed": 7}},
            {"network": trained_network(seed=2)},
            {"metrics": [{**EVALUATION, "test_accuracy_percent": 91.26}]},
        ],
        ids=["parameters", "weights", "metrics"],
    )
    def test_everything_else_does(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        assert self.build(tmp_path).result_id != self.build(tmp_path, **changes).result_id

    def test_provenance_of_a_repository(self, tmp_path: Path) -> None:
        def git(*arguments: str) -> str:
            return subprocess.run(
                ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e", *arguments],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()

        git("init", "--quiet")
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "code.py").write_text("1")
        (tmp_path / "result.json").write_text("1")
        git("add", ".")
        git("commit", "--quiet", "--message", "first")
        (tmp_path / "result.json").write_text("2")
        tags = provenance_tags(tmp_path, ["src"], {"DVC_EXP_NAME": "brash-fan"})
        assert tags["git.commit"] == git("rev-parse", "HEAD")
        assert tags["git.dirty"] == "false"
        assert tags["dvc.experiment"] == "brash-fan"
        assert tags["library.numpy"]
        (tmp_path / "src" / "new.py").write_text("1")
        assert provenance_tags(tmp_path, ["src"], {})["git.dirty"] == "true"

    def test_provenance_without_a_repository(self, tmp_path: Path) -> None:
        tags = provenance_tags(tmp_path, ["src"], {})
        assert (tags["git.commit"], tags["git.dirty"]) == ("unknown", "unknown")
        assert "dvc.experiment" not in tags
