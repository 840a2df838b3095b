"""The run of a training while it is trained: each epoch once, and always an end."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
from mlflow import MlflowClient

from spikejoule.core.provenance import file_digest
from spikejoule.energy.prices import load_profiles
from spikejoule.energy.training.by_epoch import joules_by_epoch
from spikejoule.tracking import live
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.live import LiveRun
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.run_record import RunRecord
from spikejoule.tracking.store import Store, project_store
from tests.tools.examples import trained_network
from tests.tools.processes import sleeping
from tests.tools.recorded import runs

SECONDS = 60
TRAINED = trained_network().checkpoint()
PRICES = load_profiles()["45nm-fp32"]
CURVES = Curves(TRAINED, PRICES)
PARAMETERS = {"train.lr": 0.003, "seed": 7, "train.threads": 0}
CURVE = "by_epoch/train_loss"
EPOCHS = [
    TRAINED.history[0].model_copy(update={"epoch": number}) for number in (1, 2, 3)
]
Start = Callable[[], psutil.Process]


@pytest.fixture
def pipeline() -> Iterator[Start]:
    """Starts a process in place of DVC."""
    with ExitStack() as started:
        yield lambda: psutil.Process(started.enter_context(sleeping()).pid)


def steps(store: Store, run: Any) -> list[int]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    return sorted(
        point.step for point in client.get_metric_history(run.info.run_id, CURVE)
    )


def has_step(store: Store, metric: str, step: int) -> bool:
    """Whether a run has a point of a metric at a step or later."""
    client = MlflowClient(tracking_uri=store.tracking_uri)
    return any(
        point.step >= step
        for run in runs(store)
        for point in client.get_metric_history(run.info.run_id, metric)
    )


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shown(
    store: Store, keeper: psutil.Process, key: str | None = "a-key", **parameters: Any
) -> LiveRun:
    return LiveRun(store, PARAMETERS | parameters, CURVES, key, keeper)


def cut_short(training: LiveRun, error: BaseException) -> None:
    """A training with an error in its second epoch."""
    with training as run:
        run.on_epoch(EPOCHS[0], 0.5)
        raise error


def test_curves_grow_and_the_run_is_completed_when_it_is_published(
    store: Store, pipeline: Start, tmp_path: Path
) -> None:
    keeper = pipeline()
    weights = tmp_path / "trained.pth"
    weights.write_bytes(b"weights")
    with shown(store, keeper) as run:
        run.on_epoch(EPOCHS[0], 0.5)
        assert [steps(store, run) for run in runs(store)] == [[1]]
        run.on_epoch(EPOCHS[2], 0.5)
        run.trained(weights)
    (begun,) = runs(store)
    assert begun.info.status == "RUNNING"
    # MLflow preselects the first metric where runs are compared.
    assert next(iter(begun.data.metrics)) == "by_epoch/validation_accuracy_percent"
    assert begun.data.params == {name: str(value) for name, value in PARAMETERS.items()}
    assert begun.data.metrics["by_epoch/hidden_spikes_per_sample"] == 40.1
    joules = joules_by_epoch(CURVES.trained, [EPOCHS[0], EPOCHS[2]], PRICES)
    assert begun.data.metrics["by_epoch/training_joules"] == joules[-1] > joules[0]
    record = RunRecord(
        "a-result",
        parameters={**PARAMETERS, "evaluate.confidence": 0.95},
        history=[{"epoch": epoch, "train_loss": 1 / epoch} for epoch in (1, 2, 3)],
        tags={"trained.sha256": file_digest(weights, "sha256")},
    )
    # Another pipeline, with this one still at work, has a run of its own.
    other = publish(RunRecord("another", tags=record.tags), store, keeper=pipeline())
    assert other.run_id != begun.info.run_id
    published = publish(record, store, keeper=keeper)
    assert (published.run_id, published.added) == (begun.info.run_id, True)
    (found,) = (run for run in runs(store) if run.info.run_id == published.run_id)
    assert found.info.status == "FINISHED"
    assert steps(store, found) == [1, 2, 3], "what the store missed is added"
    assert not any("keeper" in name for name in found.data.tags)
    # The live run of a result that was published before is deleted.
    with shown(store, keeper) as run:
        run.on_epoch(EPOCHS[0], 0.5)
        run.trained(weights)
    assert len(runs(store)) == 3
    assert not publish(record, store, keeper=keeper).added
    assert len(runs(store)) == 2


def test_the_load_of_the_machine_is_logged_while_training_goes_on(
    store: Store, pipeline: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikejoule.tracking.live._SAMPLING_SECONDS", 0.1)
    load = "system/cpu_utilization_percentage"
    keeper = pipeline()
    for first_step in (0, 1):
        with shown(store, keeper) as run:
            run.on_epoch(EPOCHS[0], 0.5)
            wait_until(partial(has_step, store, load, first_step))
    (left,) = runs(store)
    assert left.info.status == "RUNNING"
    assert next(iter(left.data.metrics)) == "by_epoch/validation_accuracy_percent"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OSError("http://me:secret@host/ failed"), "FAILED", "stage train: *** failed"),
        (
            KeyboardInterrupt(),
            "KILLED",
            "stage train was interrupted from the keyboard",
        ),
    ],
)
def test_a_training_that_ends_early_ends_its_run(
    error: BaseException, status: str, reason: str, store: Store, pipeline: Start
) -> None:
    with pytest.raises(type(error)):
        cut_short(shown(store, pipeline()), error)
    (left,) = runs(store)
    assert left.info.status == status
    assert left.data.tags["spikejoule.failure"] == reason
    assert steps(store, left) == [1]


def test_a_training_that_resumes_is_one_run_with_each_epoch_once(
    store: Store, pipeline: Start
) -> None:
    keeper = pipeline()
    with shown(store, keeper) as run:
        run.on_resume(EPOCHS[:2], [0.5, 0.5])
    (before,) = runs(store)
    assert before.info.status == "RUNNING"
    keeper.kill()
    keeper.wait()
    (left,) = runs(store)  # opened, as the next start opens it
    assert left.info.status == "KILLED"
    assert (
        left.data.tags["spikejoule.failure"]
        == "its processes ended before it was published"
    )
    with shown(store, pipeline()) as run:
        run.on_resume(EPOCHS[:2], [0.5, 0.5])
        run.on_epoch(EPOCHS[2], 0.5)
    (after,) = runs(store)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "RUNNING"
    assert "spikejoule.failure" not in after.data.tags
    assert steps(store, after) == [1, 2, 3]
    # Another training, or other threads, has a run of its own.
    for key, threads in (("another-key", 0), ("a-key", 2)):
        with shown(store, pipeline(), key, **{"train.threads": threads}) as run:
            run.on_resume(EPOCHS, [0.5] * 3)
    assert [steps(store, run) for run in runs(store)] == [[1, 2, 3]] * 3


def test_a_store_out_of_reach_is_one_warning_and_costs_seconds(
    pipeline: Start,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as silent:  # which accepts and never answers
        for uri in (
            "http://me:secret@127.0.0.1:9",
            f"http://127.0.0.1:{silent.getsockname()[1]}",
        ):
            away = project_store(tmp_path, "shown", {"MLFLOW_TRACKING_URI": uri})
            caplog.clear()
            started = time.monotonic()
            with shown(away, pipeline()) as run:
                for epoch in EPOCHS:
                    run.on_epoch(epoch, 0.5)
            assert time.monotonic() - started < 10
            (message,) = (entry.getMessage() for entry in caplog.records)
            assert message.startswith(
                "the run cannot be logged in the store that MLFLOW_TRACKING_URI names ("
            )
            assert "secret" not in message


def test_a_store_that_fails_meanwhile_is_left_alone(
    store: Store,
    pipeline: Start,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first test publishes epochs that the store missed."""
    with shown(store, pipeline()) as run:
        run.on_epoch(EPOCHS[0], 0.5)
        with monkeypatch.context() as patch:
            patch.setattr(live, "log_history", Mock(side_effect=OSError("disk")))
            run.on_epoch(EPOCHS[1], 0.5)
        run.on_epoch(EPOCHS[2], 0.5)
    (left,) = runs(store)
    assert steps(store, left) == [1]
    (warning,) = (entry for entry in caplog.records if entry.levelno >= logging.WARNING)
    assert warning.getMessage().startswith("the run cannot be logged in ")
