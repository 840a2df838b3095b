"""The run of a pipeline while it goes on: what its journal says is what the store shows."""

import json
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from spikejoule.core.provenance import file_digest
from spikejoule.core.resume import start_of
from spikejoule.tracking import Store, live, opened, project_store
from stages.shared import journal

SECONDS = 60
LAYERS = ["input", "hidden", "output"]


@pytest.fixture(scope="module")
def empty_store(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an experiment without runs, to copy."""
    root = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, root)
    with opened(project_store(root, "live", {})):
        pass
    return root / "mlflow.db"


class Pipeline:
    """A process that stands for DVC, the journal of its stages, and the follower."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store: Store = project_store(root, "live", {})
        self.process = subprocess.Popen(["sleep", "600"])
        self.journal = root / ".cache" / "runs" / f"{self.process.pid}.jsonl"
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        self.journal.touch()
        started = start_of(psutil.Process(self.process.pid))
        self.tell("pipeline", id="an-id", pid=self.process.pid, started=started)
        self.follower: threading.Thread | None = None

    def tell(self, event: str, **facts: Any) -> None:
        with self.journal.open("a") as stream:
            stream.write(json.dumps({"event": event, **facts}) + "\n")

    def train(self, key: str | None, threads: int = 0) -> None:
        self.begin("train", threads)
        if key is not None:
            self.tell("resumable", stage="train", key=key)
        self.tell("training", layer_names=LAYERS)

    def begin(self, stage: str, threads: int = 0) -> None:
        self.tell(
            "begin",
            stage=stage,
            directory=str(self.root),
            parameters={"train.lr": 0.003, "seed": 7, "train.threads": threads},
            experiment="live",
        )

    def epoch(self, number: int) -> None:
        record = {
            "epoch": number, "train_loss": 1 / number, "spikes": [600, 400, 20], "samples": 2,
        }  # fmt: skip
        self.tell("epoch", record=record, seconds=0.5)

    def follow(self) -> None:
        def follow() -> None:
            with self.journal.open() as stream:
                live.follow(stream, self.root)

        self.follower = threading.Thread(target=follow, daemon=True)
        self.follower.start()

    def die(self) -> None:
        self.process.kill()
        self.process.wait()

    def end_of_follower(self) -> None:
        assert self.follower is not None
        self.follower.join(SECONDS)
        assert not self.follower.is_alive()

    def runs(self) -> list[Any]:
        client = MlflowClient(tracking_uri=self.store.tracking_uri)
        experiment = client.get_experiment_by_name("live")
        return list(client.search_runs([experiment.experiment_id]))

    def curve(self) -> list[tuple[int, float]]:
        client = MlflowClient(tracking_uri=self.store.tracking_uri)
        name = "by_epoch/train_loss"
        curves = [client.get_metric_history(run.info.run_id, name) for run in self.runs()]
        return [(point.step, point.value) for curve in curves for point in curve]


@pytest.fixture
def pipeline(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    shutil.copy(empty_store, tmp_path)
    # it would end the tests, not a process of its own
    monkeypatch.setattr(live, "_exit_after", lambda seconds: None)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.die()
    if pipeline.follower is not None:
        pipeline.end_of_follower()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestFollower:
    def test_curves_grow_while_training_runs(self, pipeline: Pipeline) -> None:
        pipeline.begin("train")
        pipeline.tell("training", layer_names=LAYERS)
        pipeline.follow()
        eventually(lambda: len(pipeline.runs()) == 1 and len(pipeline.runs()[0].data.params) == 3)
        (run,) = pipeline.runs()
        assert run.info.status == "RUNNING"
        assert run.data.params["train.lr"] == "0.003"
        assert run.data.tags["library.numpy"]
        pipeline.epoch(1)
        eventually(lambda: pipeline.curve() == [(1, 1.0)])
        assert pipeline.runs()[0].data.metrics["by_epoch/hidden_spikes_per_sample"] == 200.0
        pipeline.epoch(2)
        eventually(lambda: pipeline.curve() == [(1, 1.0), (2, 0.5)])

    def test_the_publisher_takes_over(self, pipeline: Pipeline, tmp_path: Path) -> None:
        trained = tmp_path / "trained.pth"
        trained.write_bytes(b"weights")
        pipeline.begin("train")
        pipeline.tell("training", layer_names=LAYERS)
        pipeline.follow()
        eventually(lambda: len(pipeline.runs()) == 1)
        pipeline.epoch(1)
        pipeline.tell("trained", path=str(trained))
        pipeline.tell("done")
        pipeline.tell("publishing")
        pipeline.end_of_follower()
        (run,) = pipeline.runs()
        assert run.info.status == "RUNNING"
        assert run.data.tags["trained.sha256"] == file_digest(trained, "sha256")
        assert run.data.tags["spikejoule.pipeline"] == "an-id"
        assert pipeline.curve() == [(1, 1.0)]
        assert pipeline.journal.exists(), "the publisher has it"

    @pytest.mark.parametrize(
        ("last_words", "status", "reason"),
        [
            (["failed"], "FAILED", "stage train: out of luck"),
            (["interrupted"], "KILLED", "stage train was interrupted from the keyboard"),
            ([], "KILLED", "stage train was killed"),
            (["done"], "KILLED", "the pipeline ended after stage train, unpublished"),
        ],
        ids=["failed", "interrupted", "killed in a stage", "killed between stages"],
    )
    def test_a_pipeline_that_ends_ends_its_run(
        self, last_words: list[str], status: str, reason: str, pipeline: Pipeline
    ) -> None:
        pipeline.begin("train")
        pipeline.tell("training", layer_names=LAYERS)
        pipeline.follow()
        eventually(lambda: len(pipeline.runs()) == 1)
        pipeline.epoch(1)
        for event in last_words:
            pipeline.tell(event, reason="out of luck")
        pipeline.die()
        pipeline.end_of_follower()
        (run,) = pipeline.runs()
        assert run.info.status == status
        assert run.data.tags["spikejoule.failure"] == reason
        assert run.info.end_time >= run.info.start_time
        assert pipeline.curve() == [(1, 1.0)]
        assert not pipeline.journal.exists()

    def test_a_stage_that_fails_without_training_leaves_a_run_too(self, pipeline: Pipeline) -> None:
        pipeline.begin("evaluate")
        pipeline.tell("failed", reason="no such file")
        pipeline.die()
        pipeline.follow()
        pipeline.end_of_follower()
        (run,) = pipeline.runs()
        assert run.info.status == "FAILED"
        assert run.data.tags["spikejoule.failure"] == "stage evaluate: no such file"

    def test_a_pipeline_without_training_that_ends_well_leaves_none(
        self, pipeline: Pipeline
    ) -> None:
        pipeline.begin("prepare")
        pipeline.tell("done")
        pipeline.follow()
        pipeline.die()
        pipeline.end_of_follower()
        assert pipeline.runs() == []

    def test_half_a_line_waits_for_its_other_half(self, pipeline: Pipeline) -> None:
        pipeline.begin("evaluate")
        pipeline.follow()
        with pipeline.journal.open("a") as stream:
            stream.write('{"event": "failed", "rea')
            stream.flush()
            time.sleep(0.5)
            stream.write('son": "late"}\n')
        pipeline.die()
        pipeline.end_of_follower()
        (run,) = pipeline.runs()
        assert run.data.tags["spikejoule.failure"] == "stage evaluate: late"

    def test_an_unreachable_server_is_one_warning(
        self,
        pipeline: Pipeline,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setattr(live, "_RETRY_SECONDS", 0.0)
        pipeline.begin("train")
        pipeline.tell("training", layer_names=LAYERS)
        pipeline.follow()
        time.sleep(1.0)
        pipeline.die()
        pipeline.end_of_follower()
        (message,) = (entry for entry in caplog.records if entry.name.startswith("spikejoule"))
        assert message.levelno == logging.WARNING
        assert "cannot be followed at http://127.0.0.1:9" in message.getMessage()

    def test_a_server_that_comes_back_gets_all(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "_RETRY_SECONDS", 0.0)
        database = pipeline.root / "mlflow.db"
        aside = database.rename(pipeline.root / "aside.db")
        database.mkdir()  # no database can be opened here
        pipeline.begin("train")
        pipeline.tell("training", layer_names=LAYERS)
        pipeline.epoch(1)
        pipeline.follow()
        time.sleep(1.0)
        database.rmdir()
        aside.rename(database)
        eventually(lambda: pipeline.curve() == [(1, 1.0)])


class TestGoingOn:
    """A pipeline was killed, and another goes on with its training."""

    @pytest.fixture
    def second(self, pipeline: Pipeline) -> Iterator[Pipeline]:
        pipeline.train("a-key")
        pipeline.epoch(1)
        pipeline.follow()
        eventually(lambda: pipeline.curve() == [(1, 1.0)])
        second = Pipeline(pipeline.root)
        yield second
        second.die()
        if second.follower is not None:
            second.end_of_follower()

    def test_it_is_one_run_without_an_epoch_twice(
        self, pipeline: Pipeline, second: Pipeline
    ) -> None:
        (before,) = pipeline.runs()
        pipeline.die()
        pipeline.end_of_follower()
        second.train("a-key")
        second.epoch(1)
        second.epoch(2)
        second.follow()
        eventually(lambda: second.curve() == [(1, 1.0), (2, 0.5)])
        (run,) = second.runs()
        assert run.info.run_id == before.info.run_id
        assert run.info.start_time == before.info.start_time
        assert run.info.status == "RUNNING"
        assert "spikejoule.failure" not in run.data.tags
        second.epoch(3)
        eventually(lambda: len(second.curve()) == 3)
        second.die()
        second.end_of_follower()
        assert [run.info.status for run in second.runs()] == ["KILLED"]

    def test_the_other_follower_is_waited_for(self, pipeline: Pipeline, second: Pipeline) -> None:
        second.train("a-key")
        second.epoch(1)
        second.follow()
        time.sleep(1.5)
        assert len(second.runs()) == 1
        pipeline.die()
        pipeline.end_of_follower()
        second.epoch(2)
        eventually(lambda: second.curve() == [(1, 1.0), (2, 0.5)])
        assert len(second.runs()) == 1

    def test_but_not_for_ever(
        self, pipeline: Pipeline, second: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "_LET_GO_SECONDS", 0)
        second.train("a-key")
        second.follow()
        eventually(lambda: len(second.runs()) == 2)

    def test_with_other_parameters_a_new_run_takes_its_place(
        self, pipeline: Pipeline, second: Pipeline
    ) -> None:
        (before,) = pipeline.runs()
        pipeline.die()
        pipeline.end_of_follower()
        second.train("a-key", threads=2)
        second.epoch(1)
        second.follow()
        eventually(lambda: [run.info.run_id for run in second.runs()] != [before.info.run_id])
        eventually(lambda: second.curve() == [(1, 1.0)])
        (run,) = second.runs()
        assert run.data.params["train.threads"] == "2"

    @pytest.mark.parametrize("key", ["another-key", None])
    def test_another_training_is_another_run(
        self, pipeline: Pipeline, second: Pipeline, key: str | None
    ) -> None:
        pipeline.die()
        pipeline.end_of_follower()
        second.train(key)
        second.follow()
        eventually(lambda: len(second.runs()) == 2)

    def test_a_kill_while_the_baselines_are_trained_is_the_same_run(
        self, pipeline: Pipeline
    ) -> None:
        pipeline.begin("baseline")
        pipeline.tell("resumable", stage="baseline", key="of-the-baselines")
        pipeline.follow()
        pipeline.die()
        pipeline.end_of_follower()
        (before,) = pipeline.runs()
        assert before.info.status == "KILLED"
        second = Pipeline(pipeline.root)
        second.begin("baseline")
        second.tell("resumable", stage="baseline", key="of-the-baselines")
        second.tell("done")
        second.train("of-the-network")
        second.epoch(1)
        second.follow()
        eventually(lambda: second.curve() == [(1, 1.0)])
        second.die()
        second.end_of_follower()
        (run,) = second.runs()
        assert run.info.run_id == before.info.run_id
        # Forced to train the baselines again, with another network: the epochs of this one stay.
        third = Pipeline(pipeline.root)
        third.begin("baseline")
        third.tell("resumable", stage="baseline", key="of-the-baselines")
        third.tell("done")
        third.train("of-another-network")
        third.follow()
        eventually(lambda: len(third.runs()) == 2)
        third.die()
        third.end_of_follower()


def test_a_follower_that_comes_too_late_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_NICENESS", 0)
    monkeypatch.setattr(live, "_release_standard_error_with", lambda pid: None)
    live.main(tmp_path / "1.jsonl", tmp_path, os.getpid())
    assert not list(tmp_path.iterdir())


class TestJournal:
    @pytest.fixture
    def followers(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The journals that a follower was started for."""
        started: list[Path] = []
        monkeypatch.setattr(journal, "_start_follower", lambda path, root: started.append(path))
        monkeypatch.setenv("DVC_STAGE", "train")
        monkeypatch.setenv(journal.VARIABLE, "")
        monkeypatch.delenv(journal.VARIABLE)
        return started

    def events(self, path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_the_first_stage_starts_the_follower_and_the_second_goes_on(
        self, tmp_path: Path, followers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal.begin(tmp_path, experiment="a")
        journal.tell("done")
        monkeypatch.setenv("DVC_STAGE", "evaluate")
        journal.begin(tmp_path, experiment="a")
        (path,) = followers
        header, *rest = self.events(path)
        assert header["pid"] == os.getppid()
        assert [(event["event"], event.get("stage")) for event in rest] == [
            ("begin", "train"), ("done", None), ("begin", "evaluate"),
        ]  # fmt: skip

    def test_the_same_number_at_another_time_is_another_pipeline(
        self, tmp_path: Path, followers: list[Path]
    ) -> None:
        journal.begin(tmp_path)
        (path,) = followers
        header, *rest = path.read_text().splitlines(keepends=True)
        old = json.dumps({**json.loads(header), "started": 1.0})
        path.write_text("".join([f"{old}\n", *rest]))
        journal.begin(tmp_path)
        assert len(followers) == 2
        assert [event["event"] for event in self.events(path)] == ["pipeline", "begin"]

    @pytest.fixture
    def sleepers(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Processes that stand for pipelines."""
        processes = [subprocess.Popen(["sleep", "600"]) for _ in range(4)]
        yield processes
        for process in processes:
            process.kill()
            process.wait()

    def test_what_dead_pipelines_left_is_swept(
        self, tmp_path: Path, followers: list[Path], sleepers: list[subprocess.Popen[bytes]]
    ) -> None:
        folder = tmp_path / ".cache" / "runs"
        folder.mkdir(parents=True)

        def journal_of(pid: int, started: float) -> Path:
            path = folder / f"{pid}.jsonl"
            path.write_text(json.dumps({"event": "pipeline", "started": started}) + "\n")
            path.with_suffix(".lock").touch()
            return path

        starts = [start_of(psutil.Process(process.pid)) for process in sleepers]
        alive, dead, followed, zombie = map(
            journal_of, (process.pid for process in sleepers), starts
        )
        for process in sleepers[1:]:
            process.kill()
        for process in sleepers[1:3]:
            process.wait()
        # This process has a number that another had before it.
        earlier = journal_of(os.getpid(), 1.0)
        for text, path in (("", dead), ("{", zombie)):
            path.write_text(text)  # cut short by a full disk
        (folder / f"{dead.stem}0.lock").touch()
        with FileLock(followed.with_suffix(".lock")):
            journal.begin(tmp_path)
        assert {*folder.glob("*.jsonl")} == {alive, followed, *followers}
        assert {path.stem for path in folder.glob("*.lock")} == {alive.stem, followed.stem}
        assert not earlier.exists()

    def test_a_stage_by_hand_is_not_followed(
        self, tmp_path: Path, followers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DVC_STAGE")
        journal.begin(tmp_path)
        journal.tell("done")
        assert journal.hand_over() is None
        assert not followers
        assert not list(tmp_path.iterdir())

    def test_what_cannot_be_written_is_a_warning(
        self, tmp_path: Path, followers: list[Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / ".cache").write_text("a file where a folder should be")
        journal.begin(tmp_path)
        journal.tell("done")
        assert not followers
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: the run cannot be followed")

    def test_a_journal_that_is_gone_stays_gone(
        self, tmp_path: Path, followers: list[Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        journal.begin(tmp_path)
        followers[0].unlink()
        journal.tell("epoch")
        journal.tell("done")
        assert not followers[0].exists()
        assert capsys.readouterr().err.count("warning:") == 1

    def test_hand_over_waits_for_the_follower(self, tmp_path: Path, followers: list[Path]) -> None:
        journal.begin(tmp_path)
        (path,) = followers
        identity = self.events(path)[0]["id"]
        seen: list[str] = []
        lock = FileLock(path.with_suffix(".lock"), thread_local=False)
        lock.acquire()

        def let_go() -> None:
            eventually(lambda: self.events(path)[-1]["event"] == "publishing")
            seen.append("publishing")
            lock.release()

        follower = threading.Thread(target=let_go)
        follower.start()
        assert journal.hand_over() == identity
        follower.join()
        assert seen == ["publishing"]
        assert not list(path.parent.iterdir())
        journal.tell("done")  # nobody listens any more
        assert not path.exists()

    def test_a_follower_that_hangs_is_not_waited_for(
        self, tmp_path: Path, followers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal, "_LET_GO_SECONDS", 0.2)
        journal.begin(tmp_path)
        with FileLock(followers[0].with_suffix(".lock")):
            assert journal.hand_over() is not None
