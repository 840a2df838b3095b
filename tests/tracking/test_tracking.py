"""Runs in MLflow: complete, once for each result, in bounded time, without secrets."""

import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import read_json, write_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.data.dataset import load_samples
from spikejoule.params import Params, load_params
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.failures import in_one_line, kind_of_failure
from spikejoule.tracking.publishing import Publication, publish
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.run_record import RunRecord, build_run_record
from spikejoule.tracking.store import Store, keeper_tags, opened, project_store
from tests.tools.examples import trained_network
from tests.tools.finished_project import N_TEST, N_TRAIN, N_VALIDATION
from tests.tools.recorded import runs


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    (tmp_path / "figure.png").write_bytes(b"picture")
    return RunRecord(
        result_id="0123",
        parameters={
            # More than MLflow takes in one batch.
            f"section.parameter{number}": number
            for number in range(250)
        },
        history=[{"epoch": epoch, "loss": 1 / epoch} for epoch in range(1, 100)],
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
    )


class TestPublish:
    def test_the_run_is_complete_and_added_once(
        self, store: Store, record: RunRecord, project: Path
    ) -> None:
        publication = publish(record, store)
        assert publication.added
        assert publish(record, store) == Publication(publication.run_id, added=False)
        (run,) = runs(store)
        assert run.info.run_id == publication.run_id
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "a-name"
        assert run.data.params == {
            name: str(value) for name, value in record.parameters.items()
        }
        assert record.metrics.items() <= run.data.metrics.items()
        assert run.data.tags["data.source"] == "mnist5k"
        client = MlflowClient(tracking_uri=store.tracking_uri)
        curve = client.get_metric_history(run.info.run_id, "by_epoch/loss")
        points = [(point.step, point.value) for point in curve]
        assert points == [(n, 1 / n) for n in range(1, 100)]
        files = project / "mlartifacts" / run.info.run_id / "artifacts"
        assert (files / "figures" / "figure.png").read_bytes() == b"picture"
        (split,) = client.get_run(run.info.run_id).inputs.dataset_inputs
        assert split.dataset.name == "mnist5k training"
        assert split.dataset.digest == "ab12"
        assert publish(replace(record, result_id="4567"), store).added
        assert len(runs(store)) == 2

    def test_child_runs_of_earlier_versions_are_no_results(
        self, store: Store, record: RunRecord
    ) -> None:
        run_id = publish(record, store).run_id
        with opened(store) as (client, experiment_id):
            parent = {"mlflow.parentRunId": run_id}
            child = client.create_run(experiment_id, tags=parent)
            client.set_terminated(child.info.run_id)
        assert recorded_runs(store)["run_id"].tolist() == [run_id]

    def test_a_failed_run_names_its_reason_and_is_completed_later(
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

    def test_unfinished_runs_of_another_machine_stay(
        self, store: Store, record: RunRecord
    ) -> None:
        """Those of a dead process on this machine are ended: see `test_live.py`."""
        tags = {**keeper_tags(), "spikejoule.keeper.host": "another-machine"}
        with opened(store) as (client, experiment_id):
            elsewhere = client.create_run(experiment_id, tags=tags).info.run_id
        assert publish(record, store).added
        statuses = {run.info.run_id: run.info.status for run in runs(store)}
        assert statuses[elsewhere] == "RUNNING"


def test_a_store_out_of_reach_is_reported_soon_and_without_secrets(
    project: Path, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own limits take precedence.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # A server that accepts connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        named = "the store that MLFLOW_TRACKING_URI names ("
        for uri, reason in (
            (f"http://127.0.0.1:{silent.getsockname()[1]}/t/s3cret", "(TimeoutError"),
            # Not encoded: parsers take the slash for the end of the host.
            ("http://user:s3cret/x@127.0.0.1:9", named),
            ("http://user:s3cret?x@127.0.0.1:9", named),
            ("http://user:s3cret#x@127.0.0.1:9", named),
            ("http://user:s3cret x@127.0.0.1:9", named),
            ("databricks://s3cret", named),
            ("uc:s3cret", named),
            ("postgresql://user:s3cret@127.0.0.1:9/mlflow", named),
            ("sqlite:////proc/none/mlflow.db?key=s3cret", "in /proc/none/mlflow.db ("),
        ):
            store = project_store(project, "spikejoule", {"MLFLOW_TRACKING_URI": uri})
            start = time.monotonic()
            with pytest.raises(
                StoreError, match="^the run was not recorded in "
            ) as raised:
                publish(record, store)
            # MLflow's own retries take minutes.
            assert time.monotonic() - start < 60
            assert reason in str(raised.value)
            assert "s3cret" not in str(raised.value)


def test_an_unknown_host_is_named_as_such() -> None:
    words = kind_of_failure(socket.gaierror(-2, "http://user:s3cret@host"))
    assert words == "the host's name is not known"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("to http://user:s3cret@host:5000/api failed: x", "to *** failed: x"),
        ("unsupported 'u:s3cret@h:5432/db'", "unsupported ***"),
        ("AWS_SECRET_ACCESS_KEY=s3cret is\nrefused.", "*** is refused"),
    ],
)
def test_messages_show_no_word_that_may_be_secret(message: str, shown: str) -> None:
    assert in_one_line(OSError(message)) == shown


class TestProjectStore:
    def test_a_new_database_replaces_what_a_killed_process_left(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "a?b%20c"
        root.mkdir()
        (root / ".mlflow.db.tmp").write_bytes(b"half of a database")
        publish(RunRecord("a"), project_store(root, "name", {}))
        assert {file.name for file in root.iterdir()} == {"mlflow.db", "mlflow.db.lock"}

    def test_a_moved_project_can_be_read_and_names_the_missing_folder(
        self, project: Path, tmp_path: Path, record: RunRecord
    ) -> None:
        first = publish(record, project_store(project, "name", {}))
        moved = shutil.move(project, tmp_path / "it's there")
        store = project_store(moved, "name", {})
        assert recorded_runs(store)["run_id"].tolist() == [first.run_id]
        again = replace(record, result_id="another")
        missing = project / "mlartifacts"
        with pytest.raises(StoreError, match=f"in {missing}, which does not exist"):
            publish(again, store)
        # The remedies of the message.
        publish(again, replace(store, experiment="a new name"))
        project.symlink_to(moved)
        publish(again, store)

    @pytest.mark.parametrize(
        ("uri", "files", "expected_uri", "expected_files"),
        [
            ("", "", "sqlite:///ROOT/mlflow.db", "FILES/mlartifacts"),
            ("sqlite:///a/b.db", "of runs", "sqlite:///ROOT/a/b.db", "FILES/of%20runs"),
            ("sqlite:////a.db", "s3://b", "sqlite:////a.db", "s3://b"),
            ("http://server", "", "http://server", None),
        ],
    )
    def test_relative_paths_start_at_the_root(
        self,
        project: Path,
        uri: str,
        files: str,
        expected_uri: str,
        expected_files: str | None,
    ) -> None:
        """Not at the working directory, since that of a queued experiment vanishes."""
        environment = {
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": files,
        }
        store = project_store(project, "name", environment)
        quoted = str(project).replace("%", "%25")
        assert store.tracking_uri == expected_uri.replace("ROOT", quoted)
        location = expected_files and expected_files.replace("FILES", project.as_uri())
        assert store.artifact_location == location

    def test_the_file_of_a_database(self, tmp_path: Path) -> None:
        uri = "sqlite:////a/b%20c.db?timeout=9"
        store = project_store(tmp_path, "name", {"MLFLOW_TRACKING_URI": uri})
        assert store.database == Path("/a/b c.db")


class TestRunRecord:
    """The record of a pipeline in which every stage has run."""

    @pytest.fixture
    def paths(self, copied: Path) -> Mapping[str, Path]:
        return artifact_paths(copied, "publish")

    def test_it_has_every_figure_and_file(self, paths: Mapping[str, Path]) -> None:
        record = build_run_record(paths, load_params(Path("params.yaml")), {})
        for name in ("evaluate_metrics", "energy_metrics", "inference_metrics"):
            for key, value in read_json(paths[name]).items():
                if isinstance(value, int | float):
                    assert record.metrics[key] == value
        times = read_json(paths["train_timings"])
        seconds = times["training_time_seconds"]
        assert record.metrics["training_time_seconds"] == seconds
        assert [
            (split.context, split.n_samples, split.digest) for split in record.splits
        ] == [
            ("training", N_TRAIN, file_digest(paths["train"], "md5")),
            ("validation", N_VALIDATION, file_digest(paths["validation"], "md5")),
            ("testing", N_TEST, file_digest(paths["test"], "md5")),
        ]
        stored = set(record.artifacts)
        assert {paths["checkpoint"], paths["history"], paths["spike_raster"]} <= stored
        assert not {paths["train"], paths["validation"], paths["test"]} & stored
        assert record.model is not None
        first = load_samples(paths["test"]).images[0]
        assert record.model.example.tolist() == first.tolist()

    def test_all_but_clocks_makes_a_new_result(self, paths: Mapping[str, Path]) -> None:
        params = load_params(Path("params.yaml"))

        def result(params: Params = params) -> str:
            return build_run_record(paths, params, {}).result_id

        def change(name: str, **values: object) -> None:
            write_json(paths[name], {**read_json(paths[name]), **values})

        known = [result(), result(params.model_copy(update={"seed": 7}))]
        change("train_timings", training_time_seconds=99.0, timestamp="2027-01-01")
        assert result() == known[0]
        change("evaluate_metrics", test_accuracy_percent=91.26)
        known.append(result())
        trained_network().checkpoint().write(paths["trained"])
        known.append(result())
        assert len(set(known)) == 4
