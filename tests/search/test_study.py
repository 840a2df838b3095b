"""A study and its workers: enough trials, none lost, and why trials fail."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from optuna.trial import TrialState  # noqa: E402

from spikejoule.core.errors import ParameterError  # noqa: E402
from spikejoule.search import study as studies  # noqa: E402
from spikejoule.search.attributes import ENDED, number_of  # noqa: E402
from spikejoule.search.space import Search  # noqa: E402
from spikejoule.search.study import (  # noqa: E402
    FoundTrials,
    Objective,
    by_state,
    open_study,
    opened_storage,
    run_trials,
)
from tests.search.conftest import SearchOf, study_of, trials_of  # noqa: E402
from tests.tools.without_torch import needs_torch  # noqa: E402

pytestmark = pytest.mark.slow  # for the extra

TRAINED = TrialState.COMPLETE
FAILED = TrialState.PRUNED
RESULT = (
    {"validation_accuracy_percent": 90.0, "energy_nj_per_inference": 10.0},
    "0" * 64,
)


@pytest.fixture
def search(search_of: SearchOf) -> Search:
    return search_of(
        {"train.lr": {"from": 0.001, "to": 0.1}, "model.weight_bits": [8, 32]}
    )


def with_trials(search: Search, trials: int) -> Search:
    return replace(
        search, settings=search.settings.model_copy(update={"trials": trials})
    )


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces trainings by the given errors, one after the other, then a result."""

    def come_to(*outcomes: BaseException) -> None:
        left = iter(outcomes)

        def run_trial(*_: object) -> Any:
            outcome = next(left, None)
            if outcome is not None:
                raise outcome
            return RESULT

        monkeypatch.setattr(studies, "run_trial", run_trial)

    monkeypatch.setattr(studies, "load_data", Mock())
    come_to()
    return come_to


def state_of(search: Search) -> FoundTrials:
    return by_state(trials_of(search))


@needs_torch
class TestWorker:
    def test_failures_that_would_repeat_are_given_up(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        unfit = ParameterError(
            "the samples are images, but the encoding 'none' takes events"
        )
        of_torch = RuntimeError(
            "alloc_cpu.cpp: DefaultCPUAllocator: can't allocate 8 TB"
        )
        train(unfit, MemoryError("9 TB"), of_torch)
        run_trials(search)
        state = state_of(search)
        assert (len(state[TRAINED]), len(state[FAILED])) == (1, 3)
        reasons = [trial.user_attrs[ENDED]["reason"] for trial in state[FAILED]]
        assert reasons == [str(unfit), "9 TB", "can't allocate 8 TB"]

    def test_a_combination_that_is_not_allowed_is_no_trial(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        # Integers are not for the constant currents of `direct`.
        search.space.entries["encode.encoding"] = ["direct", "poisson"]
        search.space.entries["model.weight_bits"] = [8]
        run_trials(with_trials(search, 12))
        complete = state_of(search)[TRAINED]
        assert len(complete) == 12
        assert {trial.params["encode.encoding"] for trial in complete} == {"poisson"}
        assert 12 < len(trials_of(search)) < 50  # the sampler learns to avoid the other

    def test_a_trial_whose_worker_was_killed_is_run_again_as_often_as_allowed(
        self,
        search: Search,
        train: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(studies, "RETRIES", 1)
        monkeypatch.setattr(studies, "HEARTBEAT_SECONDS", 1)
        monkeypatch.setattr(studies, "GRACE_SECONDS", 2)
        search = with_trials(search, 1)
        for _ in range(studies.RETRIES + 1):
            train(SystemExit(1))  # as submitit ends a process that is preempted
            with pytest.raises(SystemExit):
                run_trials(search)
        train()
        run_trials(search)
        first, again, another = trials_of(search)
        assert (number_of(first), number_of(again), number_of(another)) == (0, 0, 2)
        assert first.params == again.params != another.params
        assert [trial.number for trial in state_of(search)[TRAINED]] == [2]

    def test_a_trial_killed_before_its_first_heartbeat_keeps_nobody_waiting(
        self,
        search: Search,
        train: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(studies, "GRACE_SECONDS", 1)
        search = with_trials(search, 1)
        with study_of(search) as study, pytest.warns(UserWarning, match="Heartbeat"):
            study.ask()
        run_trials(search)
        assert [trial.number for trial in state_of(search)[TRAINED]] == [1]

    def test_no_more_trials_begin_than_needed(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        search = with_trials(search, 2)
        with opened_storage(search) as storage:
            study = open_study(search, storage)
            objective = Objective(search, study, storage)
            with pytest.warns(UserWarning, match="Heartbeat"):
                study.ask()  # another worker's, which has not drawn yet
            for _ in range(2):
                study.optimize(objective, n_trials=1)
        assert [trial.number for trial in state_of(search)[TRAINED]] == [1]

    def test_one_worker_draws_the_same_again_and_more_can_be_requested(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        for trials in (2, 4):
            run_trials(with_trials(search, trials))
        drawn = [trial.params for trial in trials_of(search)]
        assert len(drawn) == 4
        with opened_storage(search) as storage:
            optuna.delete_study(study_name=search.settings.study, storage=storage)
        run_trials(search)
        assert [trial.params for trial in trials_of(search)] == drawn

    def test_what_the_machine_lacks_ends_the_worker(self, search: Search) -> None:
        search.space.base["train"] |= {"engine": "dense", "device": "cuda:99"}
        with pytest.raises(ParameterError, match="torch finds"):
            run_trials(search)
        assert not trials_of(search)


def test_workers_change_the_study_one_after_the_other(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or two would run the same trial."""
    monkeypatch.setattr(studies, "_BUSY_SECONDS", 0.1)
    with opened_storage(search) as first, opened_storage(search) as second:
        open_study(search, first)
        with first.engine.begin():
            with pytest.raises(optuna.exceptions.StorageInternalError) as raised:
                second.get_all_studies()
            assert "locked" in str(raised.value.__cause__)
        assert len(second.get_all_studies()) == 1


def test_what_differs_from_the_study_is_named(search: Search) -> None:
    trials_of(search)
    search.space.base["seed"] += 1
    search.space.entries["train.lr"]["to"] = 0.2
    words = (
        "was started with different values of seed, space.train.lr.to: restore them, or"
    )
    with pytest.raises(ParameterError, match=words):
        trials_of(search)
