"""What becomes of a trial whose training does not come to its end."""

from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from spikejoule.core.errors import ParameterError  # noqa: E402
from spikejoule.params import load_params  # noqa: E402
from spikejoule.search import worker as worker_module  # noqa: E402
from spikejoule.search.database import StudyPlace  # noqa: E402
from spikejoule.search.job import checkpoint  # noqa: E402
from spikejoule.search.launcher import _ended  # noqa: E402
from spikejoule.search.study import create_study, state_of  # noqa: E402
from spikejoule.search.tally import FAILURE, HANDED_BACK  # noqa: E402
from spikejoule.search.trial import TrialResult  # noqa: E402
from spikejoule.search.worker import Worker  # noqa: E402
from spikejoule.search.worker_arguments import WorkerArguments  # noqa: E402
from tests.tools.without_torch import needs_torch  # noqa: E402

pytestmark = needs_torch

RESULT = TrialResult(90.0, 1000.0, None, 1, "0" * 64)
RETRIES = 2


def arguments(repository: Path, folder: Path, trials: int, **train: Any) -> WorkerArguments:
    """Those of a worker on its own, whose search is tracked nowhere."""
    base = load_params(repository / "params.yaml").model_dump(mode="json")
    base["train"] |= train
    place: dict[str, Any] = {
        "storage": f"sqlite:///{folder}/search.db",
        "name": "a",
        "retries": RETRIES,
    }
    specification = {
        "base": base,
        "space": {"model.hidden": [10, 20]},
        "energy": "synaptic_events",
        "stop": {"after_fraction": None, "margin_percent": 1.0},
        "data": {},
    }
    create_study(StudyPlace(**place), specification)
    store = {
        "tracking_uri": "",
        "experiment": "",
        "artifact_location": None,
        "lock_path": str(folder / "lock"),
    }
    return WorkerArguments(place, trials, str(folder), {}, "", 1, store, "id", "")


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Exception | TrialResult]:
    """What trainings come to, one after the other."""
    left: list[Exception | TrialResult] = []

    def run_trial(*_: object) -> TrialResult:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(worker_module, "run_trial", run_trial)
    monkeypatch.setattr(worker_module, "load_data", lambda paths, digests: object())
    monkeypatch.setattr(worker_module, "layer_names", lambda params, data: ("input", "output"))
    return left


def test_what_cannot_be_repaired_is_given_up_at_once(
    repository: Path, tmp_path: Path, outcomes: list[Exception | TrialResult]
) -> None:
    unfit = ParameterError("the samples are images, but the code 'none' takes events")
    outcomes += [unfit, MemoryError("9 TB"), RESULT]
    worker = Worker(arguments(repository, tmp_path, trials=3))
    worker.run()
    state = state_of(worker.study, worker.place)
    assert (len(state.complete), state.settled, state.drawn) == (1, 3, 3)
    assert [trial.user_attrs[FAILURE] for trial in state.failed] == [
        str(unfit),
        "not enough memory (9 TB)",
    ]


def test_what_ends_worker_after_worker_is_told(
    repository: Path, tmp_path: Path, outcomes: list[Exception | TrialResult]
) -> None:
    outcomes += [OSError("no space left")] * (RETRIES + 1)
    given = arguments(repository, tmp_path, trials=1)
    for _ in range(RETRIES + 1):
        with pytest.raises(OSError, match="no space left"):
            Worker(given).run()
    worker = Worker(given)
    worker.run()
    ended = _ended(state_of(worker.study, worker.place))[0]
    assert ended.status == "FAILED"
    assert "again and again (no space left)" in str(ended.tags)


def test_a_job_that_is_preempted_ends_and_leaves_its_trial(
    repository: Path,
    tmp_path: Path,
    outcomes: list[Exception | TrialResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = arguments(repository, tmp_path, trials=1)
    worker = Worker(given)

    def preempted(*_: object) -> None:
        checkpoint("")
        raise SystemExit(1)  # as submitit does then

    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "run_trial", preempted)
        with pytest.raises(SystemExit):
            worker.run()
    (lost,) = state_of(worker.study, worker.place).lost
    assert HANDED_BACK in lost.user_attrs
    outcomes.append(RESULT)
    Worker(given).run()
    assert len(state_of(worker.study, worker.place).complete) == 1


def test_what_the_machine_lacks_is_no_fault_of_a_trial(
    repository: Path, tmp_path: Path, outcomes: list[Exception | TrialResult]
) -> None:
    given = arguments(repository, tmp_path, trials=1, engine="dense", device="cuda:99")
    with pytest.raises(ParameterError, match="torch finds"):
        Worker(given)
    assert not outcomes
