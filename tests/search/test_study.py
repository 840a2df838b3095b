"""A study and its workers: enough trials, none lost, and what ends a trial early."""

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from optuna.trial import FrozenTrial  # noqa: E402

from spikejoule.core.errors import ArtifactError, ParameterError, StoreError  # noqa: E402
from spikejoule.params import Params, load_params  # noqa: E402
from spikejoule.search import trial as trial_module  # noqa: E402
from spikejoule.search.launch import private_folder, run_trials  # noqa: E402
from spikejoule.search.space import StopSettings  # noqa: E402
from spikejoule.search.study import (  # noqa: E402
    ENDED,
    FAILED,
    JOB,
    RUNNING,
    TRAINED,
    WAITING,
    Search,
    by_state,
    check_storage,
    number_of,
    open_study,
    run_again,
)
from spikejoule.search.trial import (  # noqa: E402
    HopelessError,
    StopRule,
    TrialResult,
)
from spikejoule.tracking.search_runs import SearchRun  # noqa: E402
from spikejoule.tracking.store import FAILURE_TAG, Store, at_root  # noqa: E402
from spikejoule.training.state import EpochRecord  # noqa: E402
from tests.tools.without_torch import needs_torch  # noqa: E402

RESULT = TrialResult(90.0, 1000.0, None, 1, "0" * 64)


@pytest.fixture
def search(repository: Path, tmp_path: Path) -> Search:
    """One that is tracked nowhere."""
    base = load_params(repository / "params.yaml").model_dump(mode="json")
    return Search(
        storage=f"sqlite:///{tmp_path}/search.db",
        study="a",
        trials=4,
        specification={
            "base": base,
            "space": {"train.lr": {"from": 0.001, "to": 0.1}, "model.weight_bits": [8, 32]},
            "energy": "synaptic_events",
            "stop": {"after_fraction": None, "margin_percent": 1.0},
            "data": {},
        },
        paths={},
        price_list=tmp_path / "prices.yaml",
        folder=tmp_path,
        run=SearchRun(Store("", "", None, tmp_path / "lock"), "a"),
        retries=2,
    )


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has trainings come to what is given, one after the other, and then to a result."""

    def come_to(*outcomes: BaseException) -> None:
        left = iter(outcomes)

        def run_trial(*_: object) -> TrialResult:
            outcome = next(left, None)
            if outcome is not None:
                raise outcome
            return RESULT

        monkeypatch.setattr(trial_module, "run_trial", run_trial)

    monkeypatch.setattr(trial_module, "load_data", lambda paths, digests: None)
    monkeypatch.setattr(trial_module, "architecture_of", lambda params, data: Named())
    come_to()
    return come_to


class Named:
    layer_names = ("input", "output")


def state_of(search: Search) -> dict[str, list[FrozenTrial]]:
    return by_state(open_study(search).trials)


@needs_torch
class TestWorker:
    def test_what_cannot_be_repaired_is_given_up(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        unfit = ParameterError("the samples are images, but the encoding 'none' takes events")
        train(unfit, MemoryError("9 TB"))
        run_trials(search, "here 1")
        state = state_of(search)
        assert (len(state[TRAINED]), len(state[FAILED])) == (2, 2)
        reasons = [trial.user_attrs[ENDED]["tags"][FAILURE_TAG] for trial in state[FAILED]]
        assert reasons == [str(unfit), "not enough memory (9 TB)"]

    def test_a_combination_that_is_not_allowed_is_no_trial(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        search.specification["space"]["encode.encoding"] = ["direct", "poisson"]
        run_trials(search.model_copy(update={"trials": 12}), "here 1")
        complete = state_of(search)[TRAINED]
        assert len(complete) == 12
        assert {trial.params["encode.encoding"] for trial in complete} == {"poisson"}
        assert 12 < len(open_study(search).trials) < 50  # the sampler learns to avoid the other

    def test_a_job_that_was_preempted_runs_its_trial_again(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        train(SystemExit(1))  # as submitit ends the process then
        for _ in range(2):
            with pytest.raises(SystemExit):
                run_trials(search, "slurm 7")
            train(SystemExit(1))
        train()
        run_trials(search, "slurm 7")
        state = state_of(search)
        assert sorted(number_of(trial) for trial in state[TRAINED]) == [0, 3, 4, 5]
        first, *_ = open_study(search).trials
        assert next(one.params for one in state[TRAINED] if not number_of(one)) == first.params

    def test_one_worker_draws_the_same_again_and_more_can_be_requested(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        drawn = []
        for trials in (2, 4):
            run_trials(search.model_copy(update={"trials": trials}), "here 1")
        for _ in range(2):
            study = open_study(search)
            drawn.append([trial.params for trial in study.trials])
            optuna.delete_study(study_name=search.study, storage=search.storage)
            run_trials(search, "here 1")
        assert len(drawn[0]) == 4
        assert drawn[0] == drawn[1]

    def test_several_workers_overshoot_by_less_than_their_number(
        self, search: Search, train: Callable[..., None]
    ) -> None:
        open_study(search)
        workers = [
            threading.Thread(target=run_trials, args=(search, f"here {number}"))
            for number in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        numbers = [number_of(trial) for trial in state_of(search)[TRAINED]]
        assert 4 <= len(numbers) <= 6
        assert len(set(numbers)) == len(numbers)

    def test_what_the_machine_lacks_is_no_fault_of_a_trial(self, search: Search) -> None:
        search.specification["base"]["train"] |= {"engine": "dense", "device": "cuda:99"}
        with pytest.raises(ParameterError, match="torch finds"):
            run_trials(search, "here 1")
        assert not open_study(search).trials


def test_a_trial_whose_worker_was_killed_is_run_again_as_often_as_allowed(search: Search) -> None:
    study = open_study(search)
    drawn = []
    for attempt in range(search.retries + 1):
        with pytest.warns(UserWarning, match="to be used with Study.optimize"):
            trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        trial.set_user_attr(JOB, ["here 1", trial.number])
        run_again(study, ["here 2"], search.retries)
        assert len(by_state(study.trials)[RUNNING]) == 1
        run_again(study, ["here 1"], search.retries)
        state = by_state(study.trials)
        assert not state[RUNNING]
        assert len(state[WAITING]) == (attempt < search.retries)
    assert len(set(drawn)) == 1


class TestOpening:
    def test_what_differs_is_named(self, search: Search) -> None:
        open_study(search)
        search.specification["base"]["seed"] += 1
        search.specification["space"]["train.lr"]["to"] = 0.2
        with pytest.raises(ParameterError) as error:
            open_study(search)
        assert "was begun with other seed, space.train.lr.to: restore them, or" in str(error.value)

    def test_a_study_of_something_else(self, search: Search) -> None:
        study = optuna.create_study(
            storage=search.storage, study_name="a", directions=["maximize", "minimize"]
        )
        study.optimize(lambda trial: (1, 1), n_trials=1)
        with pytest.raises(ParameterError, match="is none of this version of .*: give this"):
            open_study(search)

    @pytest.mark.parametrize("url", ["mysql://a/b", "sqlite:///", "sqlite://", "search.db"])
    def test_a_database_that_workers_cannot_share(self, url: str) -> None:
        with pytest.raises(ParameterError, match="--storage: .* is not allowed"):
            check_storage(url)

    def test_a_database_that_cannot_be_reached(self, search: Search) -> None:
        pytest.importorskip("psycopg", reason="needs psycopg: the extra `shared`")
        url = "postgresql://me:secret@127.0.0.1:9/none"
        with pytest.raises(StoreError, match="cannot be used") as error:
            open_study(search.model_copy(update={"storage": url}))
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_project_whose_path_has_the_marks_of_urls(
        self, search: Search, tmp_path: Path
    ) -> None:
        folder = tmp_path / "a%20b?c"
        storage = at_root(folder, "sqlite:///x/search.db")
        open_study(search.model_copy(update={"storage": storage}))
        assert (folder / "x" / "search.db").is_file()

    def test_a_folder_of_someone_else(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(os.sep)
        with pytest.raises(ArtifactError, match="must be a folder of the user who searches"):
            private_folder(tmp_path / "link")


def curve(accuracies: list[float], events: list[float], bits: int) -> dict[str, Any]:
    return {"accuracies": accuracies, "events": events, "weight_bits": bits}


class TestHopeless:
    @pytest.fixture
    def params(self, repository: Path) -> Params:
        return load_params(repository / "params.yaml")

    def rule(
        self,
        params: Params,
        other: dict[str, Any],
        after: float | None,
        margin: float,
        **train: Any,
    ) -> StopRule:
        settings = params.train.model_copy(update={"max_epochs": 4, **train})
        stop = StopSettings(after_fraction=after, margin_percent=margin)
        return StopRule(params.model_copy(update={"train": settings}), stop, lambda: [other])

    def records(self, accuracies: tuple[float, ...]) -> list[Any]:
        """Of 100 events per image."""
        return [
            EpochRecord(epoch, 0.1, 1.0, 50.0, accuracy, (1, 1), (600, 400), 0.0, samples=10)
            for epoch, accuracy in enumerate(accuracies, start=1)
        ]

    @pytest.mark.parametrize(
        ("events", "bits", "margin", "hopeless"),
        [
            (100.0, 32, 3.0, True),
            (100.0, 32, 3.1, False),  # not by the margin
            (100.1, 32, 3.0, False),  # fewer events
            (100.0, 33, 3.0, False),  # narrower weights
        ],
    )
    def test_another_is_better_in_both_respects_at_the_same_point(
        self, params: Params, events: float, bits: int, margin: float, hopeless: bool
    ) -> None:
        # Of eight epochs, where this one has four.
        other = curve([*[0.0] * 3, 80.0, *[0.0] * 4], [*[0.0] * 3, events, *[0.0] * 4], bits)
        rule = self.rule(params, other, 0.5, margin, pruned_fraction=0.0)
        first, second, *_ = self.records((40.0, 77.0))
        rule.on_epoch(first, 1.0)
        with pytest.raises(HopelessError) if hopeless else nullcontext():
            rule.on_epoch(second, 1.0)

    @pytest.mark.parametrize(
        ("after", "pruned", "stopped_at"),
        [(0.5, 0.0, 2), (0.1, 0.0, 1), (0.5, 0.5, 3), (None, 0.0, None), (1.0, 0.0, None)],
    )
    def test_a_trial_ends_when_it_may_and_not_before_its_last_synapse_is_gone(
        self, params: Params, after: float | None, pruned: float, stopped_at: int | None
    ) -> None:
        better = curve([90.0] * 4, [100.0] * 4, 32)
        pruning = {"pruned_fraction": pruned, "prune_start": 0.0, "prune_end": 0.7}
        records = self.records((50.0, 60.0, 70.0, 80.0))
        for resumed in range(stopped_at or 4):
            rule = self.rule(params, better, after, 2.0, **pruning)
            rule.on_resume(records[:resumed], [1.0] * resumed)
            for record in records[resumed : stopped_at and stopped_at - 1]:
                rule.on_epoch(record, 1.0)
            if stopped_at:
                with pytest.raises(HopelessError, match=f"^after epoch {stopped_at} of 4: "):
                    rule.on_epoch(records[stopped_at - 1], 1.0)
            assert rule.curve["events"] == [100.0] * (stopped_at or 4)
