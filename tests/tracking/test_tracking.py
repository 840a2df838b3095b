"""Runs in MLflow: complete, once for each result, and never the reason that anything
fails.
"""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import psutil
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
from spikejoule.tracking.child_runs import is_child
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.publishing import (
    Publication,
    RunRecord,
    build_run_record,
    publish,
)
from spikejoule.tracking.recorded import recorded_runs
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
from tests.tools.processes import sleeping

PARAMS = committed_params()
IMAGES = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)
VARIANTS = (
    variant("spiking", [4, 6]),
    variant("conventional", [10, 30], network="ReLU 9"),
)
CHILDREN = {
    "ReLU 9, dense": {"accuracy": 97.0, "energy_nj": 12.0},
    "ReLU 9, zero-skipping": {"accuracy": 97.0, "energy_nj": 9.0},
}
FILES = tuple(artifact_paths(Path(__file__).parents[2], "publish"))


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    (tmp_path / "figure.png").write_bytes(b"picture")
    return RunRecord(
        result_id="0123",
        parameters={
            "energy_report.profile": "a-list",
            **{f"section.parameter{number}": number for number in range(250)},
        },
        history=[{"epoch": epoch, "loss": 1 / epoch} for epoch in range(1, 1200)],
        metrics={"test_accuracy_percent": 97.5, "per_class/3": 96.0},
        tags={
            "data.source": "mnist5k",
            "mlflow.runName": "a-name",
            "trained.sha256": "ab",
        },
        artifacts={tmp_path / "figure.png": "figures"},
        splits=(
            DataSplit("mnist5k", "training", Path("data/train.npz"), "ab12", 3600),
        ),
        children=CHILDREN,
    )


def runs(store: Store, children: bool = False) -> list[Any]:
    """The runs that are results, or the child runs below them."""
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(store.experiment)
    found = client.search_runs([experiment.experiment_id])
    return [run for run in found if is_child(run) == children]


class TestPublish:
    def test_the_run_is_complete_and_added_once(
        self, store: Store, record: RunRecord, project: Path
    ) -> None:
        publication = publish(record, store)
        assert publish(record, store) == Publication(publication.run_id, added=False)
        (run,) = runs(store)
        assert (run.info.run_id, True) == (publication.run_id, publication.added)
        assert (run.info.status, run.info.run_name) == ("FINISHED", "a-name")
        assert run.data.params == {
            name: str(value) for name, value in record.parameters.items()
        }
        assert record.metrics.items() <= run.data.metrics.items()
        assert run.data.tags["data.source"] == "mnist5k"
        client = MlflowClient(tracking_uri=store.tracking_uri)
        curve = client.get_metric_history(run.info.run_id, "by_epoch/loss")
        assert [(one.step, one.value) for one in curve] == [
            (n, 1 / n) for n in range(1, 1200)
        ]
        files = project / "mlartifacts" / run.info.run_id / "artifacts"
        assert (files / "figures" / "figure.png").read_bytes() == b"picture"
        (split,) = client.get_run(run.info.run_id).inputs.dataset_inputs
        assert (split.dataset.name, split.dataset.digest) == (
            "mnist5k training",
            "ab12",
        )
        below = runs(store, children=True)
        assert {child.info.run_name: child.data.metrics for child in below} == CHILDREN
        for child in below:
            assert child.info.status == "FINISHED"
            assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
            assert child.data.params == {"energy_report.profile": "a-list"}
        assert recorded_runs(store)["run_id"].tolist() == [publication.run_id]
        assert publish(replace(record, result_id="4567"), store).added
        assert len(runs(store)) == 2

    def test_a_failure_leaves_the_run_failed_with_its_reason_until_it_is_recorded(
        self, store: Store, record: RunRecord, tmp_path: Path
    ) -> None:
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

    def test_what_a_kill_left_of_its_conventional_networks_is_completed(
        self, store: Store, record: RunRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first has no end by then, and the second is not begun."""

        def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_terminated", killed)
            with sleeping() as keeper, pytest.raises(KeyboardInterrupt):
                publish(record, store, psutil.Process(keeper.pid))
        assert [run.info.status for run in runs(store, children=True)] == ["RUNNING"]
        with opened(store):
            pass
        assert [run.info.status for run in runs(store, children=True)] == ["KILLED"]
        run_id = publish(record, store).run_id
        below = runs(store, children=True)
        assert sorted(run.info.run_name for run in below) == sorted(CHILDREN)
        assert {run.info.status for run in below} == {"FINISHED"}
        assert {run.data.tags["mlflow.parentRunId"] for run in below} == {run_id}
        assert not any("keeper" in tag for run in below for tag in run.data.tags)

    def test_runs_of_another_machine_are_left_alone(
        self, store: Store, record: RunRecord
    ) -> None:
        """One whose process has died on this one is ended: `test_live.py`."""
        kept = {**keeper_tags(), "spikejoule.keeper.host": "another-machine"}
        with opened(store) as (client, experiment_id):
            elsewhere = client.create_run(experiment_id, tags=kept).info.run_id
        assert publish(record, store).added
        assert {run.info.run_id: run.info.status for run in runs(store)}[
            elsewhere
        ] == "RUNNING"


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


@pytest.fixture
def no_mlflow() -> Iterator[int]:
    """The port of a server that is no MLflow."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_store_out_of_reach_is_reported_soon_and_without_secrets(
    project: Path, record: RunRecord, no_mlflow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own limits hold.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as silent:  # which accepts and never answers
        for uri, reason in (
            (f"http://127.0.0.1:{silent.getsockname()[1]}/t/s3cret", "timed out"),
            ("http://127.0.0.1:9/t/s3cret", "Connection refused"),
            (f"http://127.0.0.1:{no_mlflow}/t/s3cret", "404"),
            ("postgresql://user:s3cret@127.0.0.1:9/mlflow", "127.0.0.1:9"),
            ("sqlite:////proc/none/mlflow.db?key=s3cret", "/proc/none"),
        ):
            store = project_store(project, "spikejoule", {"MLFLOW_TRACKING_URI": uri})
            start = time.monotonic()
            with pytest.raises(
                StoreError, match="^the run was not recorded at "
            ) as raised:
                publish(record, store)
            assert time.monotonic() - start < 20
            assert reason in str(raised.value)
            assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("to http://user:s3cret@host:5000/api failed: x", "to *** failed: x"),
        ("unsupported 'u:s3cret@h:5432/db'", "unsupported ***"),
        ("AWS_SECRET_ACCESS_KEY=s3cret is\nrefused.", "*** is refused"),
    ],
)
def test_messages_show_no_word_that_may_be_secret(said: str, shown: str) -> None:
    assert in_one_line(OSError(said)) == shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://h/t/s3cret", "http://h"),
        ("http://user:s3cret@[::1]:5000/api", "http://[::1]:5000"),
        ("postgresql://h/db?sslpassword=p@s3cret", "postgresql://***"),
        ("postgresql://u:a/s3cret@h/db", "postgresql://***"),
        ("postgresql://u:s3cret", "postgresql://***"),
        ("mysql://root:1234?s3cret@h", "mysql://***"),
        ("https://s3cret?x@h", "https://***"),
        ("https://s3cret#x@h", "https://***"),
        ("sqlite://u:s3cret@h/x", "sqlite://h"),
        ("sqlite+pysqlcipher://:s3cret@/x", "sqlite+pysqlcipher://"),
        ("u:my s3cret@h:5432/db", "***"),
        ("sqlite:////a/b@c.db?key=s3cret", "sqlite:////a/b@c.db"),
        ("./mlruns", "./mlruns"),
    ],
)
def test_a_whole_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


class TestProjectStore:
    def test_what_a_killed_process_left_of_a_new_store_is_made_again(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "a?b%20c"
        root.mkdir()
        (root / ".mlflow.db.tmp").write_bytes(
            b"half made, by a process that was killed"
        )
        publish(RunRecord("a"), project_store(root, "name", {}))
        assert {file.name for file in root.iterdir()} == {"mlflow.db", "mlflow.db.lock"}

    def test_a_moved_project_records_runs_once_the_old_place_leads_to_the_new_one(
        self, project: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        first = publish(record, project_store(project, "name", {}))
        moved = shutil.move(project, tmp_path / "it's there")
        store = project_store(moved, "name", {})
        assert recorded_runs(store)["run_id"].tolist() == [first.run_id], (
            "it can be read"
        )
        with pytest.raises(
            StoreError, match="the project was moved: run `mkdir"
        ) as raised:
            publish(replace(record, result_id="another"), store)
        (command,) = re.findall("`(.*)`", str(raised.value))
        subprocess.run(["sh", "-ec", command], check=True)
        publish(replace(record, result_id="another"), store)
        client = MlflowClient(tracking_uri=store.tracking_uri)
        for run in runs(store):
            files = moved / "mlartifacts" / run.info.run_id / "artifacts"
            assert (files / "figures" / "figure.png").is_file()
            assert client.list_artifacts(run.info.run_id, "figures")

    def test_a_copy_needs_an_experiment_of_its_own(
        self, project: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        publish(record, project_store(project, "name", {}))
        copy = shutil.copytree(project, tmp_path / "copy")
        with pytest.raises(
            StoreError, match=r"set publish\.experiment to a new name\.$"
        ):
            publish(
                replace(record, result_id="another"), project_store(copy, "name", {})
            )
        publish(record, project_store(copy, "another name", {}))
        assert len([*(copy / "mlartifacts").iterdir()]) == 2

    @pytest.mark.parametrize(
        ("uri", "files", "expected_uri", "expected_files"),
        [
            ("", "", "sqlite:///ROOT/mlflow.db", "FILES/mlartifacts"),
            ("sqlite:///a/b.db", "of runs", "sqlite:///ROOT/a/b.db", "FILES/of%20runs"),
            ("sqlite:////a/b.db", "s3://bucket", "sqlite:////a/b.db", "s3://bucket"),
            (
                "sqlite+pysqlite:///b.db",
                "s3://b",
                "sqlite+pysqlite:///ROOT/b.db",
                "s3://b",
            ),
            ("sqlite:///:memory:", "s3://b", "sqlite:///:memory:", "s3://b"),
            (
                "sqlite:///file:b?uri=true",
                "s3://b",
                "sqlite:///file:b?uri=true",
                "s3://b",
            ),
            ("http://server", "", "http://server", None),
        ],
    )
    def test_places_start_at_the_root(
        self,
        project: Path,
        uri: str,
        files: str,
        expected_uri: str,
        expected_files: str | None,
    ) -> None:
        """Not at the working directory: that of a queued experiment vanishes."""
        environment = {
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": files,
        }
        store = project_store(project, "name", environment)
        quoted = str(project).replace("%", "%25")
        assert store.tracking_uri == expected_uri.replace("ROOT", quoted)
        location = expected_files and expected_files.replace("FILES", project.as_uri())
        assert store.artifact_location == location


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////a/b%20c.db?timeout=9", Path("/a/b c.db")),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:b?uri=true", None),
        ("postgresql://h/db", None),
    ],
)
def test_the_file_of_a_database(tmp_path: Path, uri: str, file: Path | None) -> None:
    store = project_store(tmp_path, "name", {"MLFLOW_TRACKING_URI": uri})
    assert store.database == file


def test_an_experiment_has_a_saved_view(project: Path) -> None:
    """Also one from before the view, which MLflow's page opens in a browser test."""
    tag = f"mlflow.sharedViewState.{VIEW}"
    store = project_store(project, "digits", {})
    for _ in range(2):
        with opened(store) as (client, experiment_id):
            saved = json.loads(client.get_experiment(experiment_id).tags[tag])
            assert "metrics.`accuracy`" in json.loads(saved["state"])["selectedColumns"]
            client.set_experiment_tag(experiment_id, tag, "{}")


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
        LabelledImages(IMAGES, np.arange(3, dtype=np.uint8), np.arange(3)).save(
            paths["test"]
        )
        shutil.copy(Path(PACKAGED), paths["hardware"])
        contents = {
            "evaluate_metrics": EVALUATION_METRICS,
            "train_metrics": TRAIN_METRICS,
            "inference_metrics": INFERENCE_METRICS,
            "energy_metrics": ENERGY_METRICS,
            "summary": {
                "accuracy": 91.25,
                "energy_nj": 12.5,
                "events": 9000,
                "data": "mnist5k",
            },
            "train_timings": TRAIN_TIMINGS,
            "inference_timings": {"measurement_time_seconds": 0.5},
            "baseline_timings": {
                name: TRAIN_TIMINGS[name] for name in EpochTimes.model_fields
            },
        }
        for name, content in contents.items():
            write_json(paths[name], {**content, **changes.get(name, {})})
        tags = provenance_tags(folder, {"DVC_EXP_NAME": "brash-fan"})
        return build_run_record(paths, changes.get("params", PARAMS), tags)

    def test_content(self, tmp_path: Path) -> None:
        record = self.build(tmp_path)
        expected = {
            "accuracy": 91.25,
            "energy_nj": 12.5,
            "events": 9000.0,
            "test_accuracy_percent": 91.25,
            "input_spikes_per_inference": 4.5,
            "training_time_seconds": 12.5,
            "baseline_time_seconds": 12.5,
        }
        assert expected.items() <= record.metrics.items()
        out = tmp_path / "out"
        assert [(one.context, one.n_samples, one.digest) for one in record.splits] == [
            ("training", 100, file_digest(out / "train", "md5")),
            ("validation", 20, file_digest(out / "validation", "md5")),
            ("testing", 1000, file_digest(out / "test", "md5")),
        ]
        stored = {path.name for path in record.artifacts}
        assert {"checkpoint", "history", "spike_raster"} <= stored
        assert not {"train", "validation", "test"} & stored
        (dense,) = record.children.values()
        figures = {"accuracy": 97.5, "accuracy_val": 98.0, "macs": 20.0}
        assert figures.items() <= dense.items()
        assert record.model is not None
        assert record.model.example is not None
        assert record.model.example.tolist() == IMAGES[0].tolist()

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
