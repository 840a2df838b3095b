"""Runs in MLflow: complete, once for each result, and never the reason that anything fails."""

import re
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.core.store import write_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.data.images import LabelledImages
from spikejoule.energy.prices import PACKAGED
from spikejoule.energy.variant_file import save_variants
from spikejoule.network.trained import save_trained
from spikejoule.tracking.child_runs import ChildRun, is_child
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.publishing import (
    Publication,
    RunRecord,
    build_run_record,
    publish,
)
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.runs import delete_run
from spikejoule.tracking.store import (
    VIEW,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    project_store,
    shown_uri,
)
from spikejoule.training.epochs import EpochTimes
from tests.energy.test_verdict import variant
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
IMAGES = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)
VARIANTS = (variant("spiking", [4, 6]), variant("conventional", [10, 30], network="ReLU 9"))
SPLITS = (
    DataSplit("mnist5k", "training", Path("data/train.npz"), "ab12", 3600),
    DataSplit("mnist5k", "testing", Path("data/test.npz"), "cd34", 1000),
)
CHILDREN = tuple(
    ChildRun(name, {"energy_report.profile": "a-list"}, {"accuracy": 97.0, "energy_nj": energy_nj})
    for name, energy_nj in (("ReLU 9, dense", 12.0), ("ReLU 9, zero-skipping", 9.0))
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

    def test_its_data_and_conventional_networks_are_added_once(
        self, store: Store, record: RunRecord
    ) -> None:
        record = replace(record, splits=SPLITS, children=CHILDREN)
        run_id = publish(record, store).run_id
        assert not publish(record, store).added
        client = MlflowClient(tracking_uri=store.tracking_uri)
        inputs = client.get_run(run_id).inputs.dataset_inputs
        assert {(one.dataset.name, one.dataset.digest, one.tags[0].value) for one in inputs} == {
            ("mnist5k training", "ab12", "training"),
            ("mnist5k testing", "cd34", "testing"),
        }
        children = {run.info.run_name: run for run in runs(store) if is_child(run)}
        assert len(runs(store)) == 1 + len(children)
        assert {name: run.data.metrics for name, run in children.items()} == {
            child.name: child.metrics for child in CHILDREN
        }
        for run in children.values():
            assert run.info.status == "FINISHED"
            assert run.data.tags["mlflow.parentRunId"] == run_id
            assert run.data.params == {"energy_report.profile": "a-list"}
            assert not any("keeper" in name for name in run.data.tags)
        assert recorded_runs(store)["run_id"].tolist() == [run_id]

    def test_what_a_kill_left_of_its_conventional_networks_is_completed(
        self, store: Store, record: RunRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first is whole by then, and the second has no figures."""
        tags = {**record.tags, "trained.sha256": "ab"}
        record = replace(record, tags=tags, children=CHILDREN)
        finish = MlflowClient.set_terminated
        n_finished = 0

        def killed(client: MlflowClient, *arguments: Any, **options: Any) -> None:
            nonlocal n_finished
            n_finished += 1
            if n_finished > 1:
                raise KeyboardInterrupt
            finish(client, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_terminated", killed)
            with pytest.raises(KeyboardInterrupt):
                publish(record, store)
        statuses = [run.info.status for run in runs(store) if is_child(run)]
        assert sorted(statuses) == ["FINISHED", "RUNNING"]
        run_id = publish(record, store).run_id
        found = [run for run in runs(store) if is_child(run)]
        assert sorted(run.info.run_name for run in found) == [one.name for one in CHILDREN]
        for run in found:
            assert run.info.status == "FINISHED"
            assert run.data.tags["mlflow.parentRunId"] == run_id
        # A run that turns out to show nothing new is deleted with them.
        publish(replace(record, result_id="4567"), store)
        with opened(store) as (client, experiment_id):
            delete_run(client, experiment_id, run_id)
        assert sum(is_child(run) for run in runs(store)) == len(CHILDREN)

    def test_runs_of_another_machine_are_left_alone(self, store: Store, record: RunRecord) -> None:
        """One whose process has died on this one is ended: `test_live.py`."""
        kept = {**keeper_tags(), "spikejoule.keeper.host": "another-machine"}
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


class Elsewhere(BaseHTTPRequestHandler):
    """A server that is no MLflow, and quotes the address."""

    def do_GET(self) -> None:
        """Not found."""
        self.send_response(404)
        self.end_headers()
        self.wfile.write(f"Cannot GET {self.path}".encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_no_message_shows_the_path_of_a_server(
    project: Path, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for host, said in (
            ("http://127.0.0.1:9", "Connection refused"),
            (f"http://127.0.0.1:{server.server_port}", "404"),
            (f"https://127.0.0.1:{server.server_port}", "SSL"),
        ):
            environment = {"MLFLOW_TRACKING_URI": f"{host}/t/s3cret"}
            store = project_store(project, "spikejoule", environment)
            with pytest.raises(StoreError, match=said) as raised:
                publish(record, store)
            assert host in str(raised.value)
            assert "s3cret" not in str(raised.value)
        server.shutdown()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("to http://user:s3cret@host:5000/api failed: x", "to *** failed: x"),
        ("no such host (postgresql://host/db?password=s3cret&x=1)", "no such host ***"),
        ("unsupported 'u:s3cret@h:5432/db'", "unsupported ***"),
        ("AWS_SECRET_ACCESS_KEY=s3cret is\nrefused.", "*** is refused"),
        ("error code 404 != 200. Response body: 'GET /t/s3cret'", "error code 404 != 200"),
    ],
)
def test_messages_show_no_word_that_may_be_secret(said: str, shown: str) -> None:
    assert in_one_line(OSError(said)) == shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://h/t/s3cret", "http://h"),
        ("http://user:s3cret@h:5000/api", "http://h:5000"),
        ("databricks://s3cret@h", "databricks://h"),
        ("postgresql://h/db?sslpassword=p@s3cret", "postgresql://***"),
        ("postgresql://u:a/s3cret@h/db", "postgresql://***"),
        ("postgresql://u:s3cret", "postgresql://***"),
        ("u:my s3cret@h:5432/db", "***"),
        ("sqlite+pysqlcipher://:s3cret@/x", "sqlite+pysqlcipher://"),
        ("sqlite:////a/b@c.db?key=s3cret", "sqlite:////a/b@c.db"),
        ("file:///a/mlruns", "file:///a/mlruns"),
        ("./mlruns", "./mlruns"),
    ],
)
def test_a_whole_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


class TestProjectStore:
    def test_what_a_killed_process_left_of_a_new_store_is_made_again(
        self, tmp_path: Path, record: RunRecord
    ) -> None:
        root = tmp_path / "a?b%20c"
        root.mkdir()
        (root / ".mlflow.db.tmp").write_bytes(b"half made, by a process that was killed")
        publish(record, project_store(root, "name", {}))
        assert {file.name for file in root.iterdir()} == {
            "mlflow.db", "mlflow.db.lock", "mlartifacts",
        }  # fmt: skip

    def test_a_moved_project_records_runs_once_the_old_place_leads_to_the_new_one(
        self, project: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        first = publish(record, project_store(project, "name", {}))
        moved = shutil.move(project, tmp_path / "it's there")
        store = project_store(moved, "name", {})
        assert recorded_runs(store)["run_id"].tolist() == [first.run_id], "it can be read"
        with pytest.raises(StoreError, match="the project was moved: run `mkdir") as raised:
            publish(replace(record, result_id="another"), store)
        (command,) = re.findall("`(.*)`", str(raised.value))
        subprocess.run(["sh", "-ec", command], check=True)
        publish(replace(record, result_id="another"), store)
        client = MlflowClient(tracking_uri=store.tracking_uri)
        for run in runs(store):
            assert (moved / "mlartifacts" / run.info.run_id / "artifacts" / "note.txt").is_file()
            assert client.list_artifacts(run.info.run_id, "figures")

    def test_a_copy_needs_an_experiment_of_its_own(
        self, project: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        publish(record, project_store(project, "name", {}))
        copy = shutil.copytree(project, tmp_path / "copy")
        with pytest.raises(StoreError, match=r"set publish\.experiment to a new name\.$"):
            publish(replace(record, result_id="another"), project_store(copy, "name", {}))
        publish(record, project_store(copy, "another name", {}))
        assert len([*(copy / "mlartifacts").iterdir()]) == 2

    @pytest.mark.parametrize(
        ("uri", "files", "expected_uri", "expected_files"),
        [
            ("", "", "sqlite:///ROOT/mlflow.db", "FILES/mlartifacts"),
            ("sqlite:///a/b.db", "of runs", "sqlite:///ROOT/a/b.db", "FILES/of%20runs"),
            ("sqlite:////a/b.db", "s3://bucket", "sqlite:////a/b.db", "s3://bucket"),
            ("http://server", "", "http://server", None),
        ],
    )
    def test_places_start_at_the_root(
        self, project: Path, uri: str, files: str, expected_uri: str, expected_files: str | None
    ) -> None:
        """Not at the working directory: that of a queued experiment vanishes."""
        environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DEFAULT_ARTIFACT_ROOT": files}
        found = project_store(project, "name", environment)
        quoted = str(project).replace("%", "%25")
        assert found.tracking_uri == expected_uri.replace("ROOT", quoted)
        location = expected_files and expected_files.replace("FILES", project.as_uri())
        assert found.artifact_location == location


def test_a_new_experiment_has_view_and_description(project: Path) -> None:
    store = project_store(project, "digits", {})
    assert publish(RunRecord("a", history=[{"epoch": 1, "loss": 0.5}]), store)
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name("digits")
    assert "one run for each distinct result" in experiment.tags["mlflow.note.content"]
    # A store from before the view has it, too.
    client.set_experiment_tag(experiment.experiment_id, f"mlflow.sharedViewState.{VIEW}", "{}")
    with opened(store) as (_, experiment_id):
        assert client.get_experiment(experiment_id).tags == experiment.tags


class TestRunRecord:
    def build(self, folder: Path, **changes: Any) -> RunRecord:
        """Of the outputs of a pipeline, some of them changed."""
        paths = {name: folder / "out" / name for name in FILES}
        (folder / "out").mkdir(exist_ok=True)
        for path in paths.values():
            path.write_text("{}")
        save_trained(paths["trained"], changes.pop("trained", trained_network()))
        write_example(paths["checkpoint"])
        save_variants(paths["contenders"], VARIANTS)
        LabelledImages(IMAGES, np.arange(3, dtype=np.uint8), np.arange(3)).save(paths["test"])
        shutil.copy(Path(PACKAGED), paths["hardware"])
        contents = {
            "evaluate_metrics": EVALUATION_METRICS,
            "train_metrics": TRAIN_METRICS,
            "inference_metrics": INFERENCE_METRICS,
            "energy_metrics": ENERGY_METRICS,
            "summary": {"accuracy": 91.25, "energy_nj": 12.5, "events": 9000, "data": "mnist5k"},
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
        short = {"accuracy": 91.25, "energy_nj": 12.5, "events": 9000.0}
        assert short.items() <= record.metrics.items()
        assert "data" not in record.metrics
        out = tmp_path / "out"
        assert [(one.context, one.n_samples, one.digest) for one in record.splits] == [
            ("training", 100, file_digest(out / "train", "md5")),
            ("validation", 20, file_digest(out / "validation", "md5")),
            ("testing", 1000, file_digest(out / "test", "md5")),
        ]
        stored = {path.name for path in record.artifacts}
        assert not {"train", "validation", "test"} & stored
        (dense,) = record.children
        figures = {"accuracy": 97.5, "accuracy_val": 98.0, "macs": 20.0}
        assert figures.items() <= dense.metrics.items()
        assert record.model is not None
        assert record.model.example is not None
        assert record.model.example.tolist() == IMAGES[0].tolist()
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
