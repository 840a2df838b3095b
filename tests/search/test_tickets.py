"""As many trials as were asked for, whoever claims them, and whatever becomes of their workers."""

import os
import random
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from optuna.trial import Trial, TrialState, create_trial  # noqa: E402

from spikejoule.core.errors import ParameterError, StoreError  # noqa: E402
from spikejoule.search.database import StudyPlace, check_storage  # noqa: E402
from spikejoule.search.settings import StopSettings  # noqa: E402
from spikejoule.search.stopping import (  # noqa: E402
    Curve,
    CurveKeeper,
    HopelessError,
    hopeless,
)
from spikejoule.search.study import (  # noqa: E402
    KEEPER,
    HandedBackError,
    close_study,
    create_study,
    explain_invalid,
    hand_back,
    mark_handed_back,
    open_study,
    run_next,
    state_of,
)
from spikejoule.search.tally import FAILURE, INVALID, REPEATS, root_number, tally  # noqa: E402
from spikejoule.tracking.keeper import HOST_TAG, PROCESS_TAG, keeper_tags  # noqa: E402
from spikejoule.training.course import EpochRecord  # noqa: E402
from spikejoule.training.settings import TrainingSettings  # noqa: E402

WANTED = 12
THREADS = 4


@pytest.fixture
def place(tmp_path: Path) -> StudyPlace:
    place = StudyPlace(f"sqlite:///{tmp_path}/search.db", "a", heartbeat_seconds=60)
    create_study(place, {"space": 1})
    return place


class TestManyWorkers:
    def test_exactly_so_many(self, place: StudyPlace) -> None:
        """Workers in four threads, which hand back, fail, crash and draw what is not allowed."""
        errors: list[BaseException] = []

        def work(number: int) -> None:
            chance = random.Random(number)
            study = open_study(place)

            def objective(trial: Trial) -> tuple[float, float]:
                x = trial.suggest_float("x", 0, 1)
                time.sleep(0.01)
                match chance.randrange(6):
                    case 0:
                        explain_invalid(trial, "not allowed")
                    case 1:
                        mark_handed_back(study, trial._trial_id)
                        raise HandedBackError
                    case 2 if REPEATS not in trial.user_attrs:
                        raise OSError("the disk")
                    case 3:
                        raise optuna.TrialPruned
                return x, 1 - x

            while True:
                try:
                    if not run_next(study, place, WANTED, objective):
                        return
                except (HandedBackError, OSError):
                    continue
                except BaseException as error:
                    errors.append(error)
                    raise

        workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not errors
        study = open_study(place)
        # What the last ones handed back when the others had gone
        while run_next(study, place, WANTED, lambda trial: (trial.suggest_float("x", 0, 1), 0.0)):
            pass
        state = state_of(study, place)
        assert len(state.complete) + len(state.stopped) == state.settled == state.begun == WANTED
        assert state.invalid
        for trial in study.trials:
            first = study.trials[root_number(trial)]
            assert trial.params == first.params  # what is run again has the same parameters
        finished = [t for t in study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        roots = [root_number(trial) for trial in finished]
        assert len(set(roots)) == len(roots)

    def test_opened_while_it_is_made(self, tmp_path: Path) -> None:
        """Who opens a study while its tables are made finds it, or is told that there is none."""
        place = StudyPlace(f"sqlite:///{tmp_path}/search.db", "a")
        opened = [], []

        def look() -> None:
            while not opened[0]:
                try:
                    close_study(open_study(place))
                    opened[0].append(True)
                except StoreError as error:
                    opened[1].append(str(error))

        reader = threading.Thread(target=look)
        reader.start()
        time.sleep(0.01)
        create_study(place, {})
        reader.join(30)
        assert opened[0]
        assert all("there is no study at" in said or "has no study" in said for said in opened[1])

    def test_more_can_be_asked_for(self, place: StudyPlace) -> None:
        study = open_study(place)
        for wanted in (2, 3):
            while run_next(study, place, wanted, lambda trial: (trial.suggest_int("x", 0, 9), 1)):
                pass
            assert state_of(study, place).settled == wanted

    def test_one_worker_draws_the_same_again(self, place: StudyPlace) -> None:
        drawn = []
        for _ in range(2):
            study, _ = create_study(place, {"space": 1})
            while run_next(study, place, 3, lambda trial: (trial.suggest_float("x", 0, 1), 1)):
                pass
            drawn.append([trial.params for trial in study.trials])
            optuna.delete_study(study_name=place.name, storage=place.storage)
        assert drawn[0] == drawn[1]

    def test_handed_back_from_outside(self, place: StudyPlace) -> None:
        study = open_study(place)
        drawn = {"x": optuna.distributions.IntDistribution(0, 99)}
        running = TrialState.RUNNING
        study.add_trial(create_trial(state=running, params={"x": 7}, distributions=drawn))
        hand_back(study, 0)
        assert [one.number for one in state_of(study, place).lost] == [0]
        assert run_next(study, place, 1, lambda again: (again.suggest_int("x", 0, 99), 0))
        state = state_of(study, place)
        assert [one.params for one in state.complete] == [{"x": 7}]
        assert not run_next(study, place, 1, lambda again: (0, 0))

    def test_a_dead_process_of_this_machine_is_known_at_once(self, place: StudyPlace) -> None:
        study = open_study(place)
        tags = {HOST_TAG: socket.gethostname()}
        for keeper in (
            tags | {PROCESS_TAG: f"{os.getpid()} 1.0"},  # its number belongs to another by now
            keeper_tags(),
            {HOST_TAG: "elsewhere", PROCESS_TAG: "1 1.0"},
        ):
            attributes = {KEEPER: keeper}
            study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attributes))
        assert run_next(study, place, 3, lambda trial: (1, 1))
        state = state_of(study, place)
        assert [root_number(trial) for trial in state.complete] == [0]
        assert [trial.number for trial in state.running] == [1, 2]

    def test_a_worker_that_dies_while_it_claims(self, place: StudyPlace) -> None:
        """Optuna counts only those as dead that have had a heartbeat."""
        study = open_study(place)
        study.add_trial(create_trial(state=TrialState.RUNNING))
        database = sqlite3.connect(place.storage.removeprefix("sqlite:///"))

        def objective(trial: Trial) -> tuple[float, float]:
            beats = database.execute("SELECT count(*) FROM trial_heartbeats").fetchone()
            assert beats == (1,), "wherever others are, they see that this one lives"
            assert not run_next(open_study(place), place, 1, lambda other: (1, 1))
            return 1, 1

        assert run_next(study, place, 1, objective)
        assert [root_number(trial) for trial in state_of(study, place).complete] == [0]


class TestTally:
    def trial(self, number: int, state: TrialState, **attributes: object) -> object:
        values = (1.0, 2.0) if state == TrialState.COMPLETE else None
        made = create_trial(state=state, values=values, user_attrs=attributes)
        made.number = number
        return made

    def test_a_trial_whose_workers_die_is_given_up(self) -> None:
        fail = TrialState.FAIL
        group = [self.trial(0, fail), *(self.trial(n, fail, repeats=0) for n in range(1, 4))]
        assert len(tally(group[:3], retries=3).lost) == 1
        assert len(tally(group, retries=3).failed) == 1
        back = self.trial(0, fail, handed_back=True)
        assert len(tally([back, *group[1:]], retries=3).lost) == 1

    def test_each_state(self) -> None:
        state = tally(
            [
                self.trial(0, TrialState.COMPLETE),
                self.trial(1, TrialState.PRUNED),
                self.trial(2, TrialState.PRUNED, **{INVALID: "no"}),
                self.trial(3, TrialState.RUNNING),
                self.trial(4, TrialState.FAIL),
                self.trial(5, TrialState.WAITING, repeats=4),
                self.trial(6, TrialState.FAIL, **{FAILURE: "memory"}),
            ],
            retries=1,
        )
        kinds = (state.complete, state.stopped, state.running, state.waiting, state.failed)
        assert [len(kind) for kind in kinds] == [1] * 5
        assert (state.invalid, state.settled, state.begun, state.drawn) == (1, 3, 5, 7)


class TestStudy:
    def test_another_space_needs_another_name(self, place: StudyPlace) -> None:
        with pytest.raises(ParameterError, match="was begun with other space: restore them, or"):
            create_study(place, {"space": 2})
        create_study(place, {"space": 1})

    def test_what_differs_is_named(self, tmp_path: Path) -> None:
        place = StudyPlace(f"sqlite:///{tmp_path}/search.db", "a")
        begun = {
            "base": {"seed": 1, "train": {"lr": 0.1, "clip": None}},
            "space": {"model.hidden": [1, 2], "train.lr": {"from": 1, "to": 2}},
            "prices": {"accumulate": "0.9 pJ"},
        }
        other = {
            "base": {"seed": 1, "train": {"lr": 0.2}},
            "space": {"model.hidden": [1, 3], "train.lr": {"from": 1, "to": 3}},
            "prices": {"accumulate": "0.8 pJ"},
        }
        create_study(place, begun)
        names = "prices.accumulate, space.model.hidden, space.train.lr.to, train.clip, train.lr"
        with pytest.raises(ParameterError, match=f"was begun with other {names}: restore them"):
            create_study(place, other)

    def test_a_study_of_something_else(self, tmp_path: Path) -> None:
        place = StudyPlace(f"sqlite:///{tmp_path}/search.db", "a")
        study = optuna.create_study(storage=place.storage, study_name="a")
        study.add_trial(create_trial(state=TrialState.FAIL))
        with pytest.raises(ParameterError, match="is none of `spikejoule search`: give this"):
            create_study(place, {"space": 1})

    @pytest.mark.parametrize("url", ["mysql://a:secret@b/c", "search.db", "sqlite:///"])
    def test_storages(self, url: str) -> None:
        with pytest.raises(ParameterError, match="--storage: .* is not allowed") as error:
            check_storage(url)
        assert "secret" not in str(error.value)

    def test_database_that_does_not_answer(self) -> None:
        place = StudyPlace("postgresql://me:secret@127.0.0.1:9/none", "a")
        with pytest.raises(StoreError, match="cannot be used") as error:
            create_study(place, {})
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)


class TestHopeless:
    OTHER = Curve((50.0, 80.0, 90.0, 95.0), (900.0, 800.0, 700.0, 600.0), 8)

    def test_less_accurate_by_the_margin_for_no_fewer_events(self) -> None:
        mine = Curve((40.0, 77.0), (900.0, 800.0), 8)
        assert "another trial had 80.00 %" in hopeless(mine, 0.5, [self.OTHER], 3.0)
        assert not hopeless(mine, 0.5, [self.OTHER], 3.1)
        assert not hopeless(mine, 0.5, [], 3.0)

    def test_fewer_events_or_narrower_weights_are_a_hope(self) -> None:
        assert not hopeless(Curve((40.0, 50.0), (900.0, 799.0), 8), 0.5, [self.OTHER], 3.0)
        assert not hopeless(Curve((40.0, 50.0), (900.0, 900.0), 4), 0.5, [self.OTHER], 3.0)

    def test_compared_at_the_same_point_of_the_training(self) -> None:
        assert [self.OTHER.at(part)[0] for part in (0.1, 0.25, 0.26, 0.5, 1.0)] == [
            50.0, 50.0, 80.0, 80.0, 95.0,
        ]  # fmt: skip
        assert Curve.of_text(self.OTHER.as_text()) == self.OTHER

    def records(self, accuracies: tuple[float, ...]) -> list[EpochRecord]:
        return [
            EpochRecord(epoch, 0.1, 1.0, 50.0, accuracy, (1, 1), (600, 400), 0.0, samples=10)
            for epoch, accuracy in enumerate(accuracies, start=1)
        ]

    @pytest.mark.parametrize(
        ("after", "pruned", "stopped_at"),
        [(0.5, 0.0, 2), (0.1, 0.0, 1), (0.5, 0.5, 3), (None, 0.0, None), (1.0, 0.0, None)],
    )
    def test_a_trial_ends_when_it_may_and_not_before_its_last_synapse_is_gone(
        self, after: float | None, pruned: float, stopped_at: int | None
    ) -> None:
        better = Curve((90.0,) * 4, (100.0,) * 4, 32)
        settings = TrainingSettings(
            max_epochs=4, pruned_fraction=pruned, prune_start=0.0, prune_end=0.7
        )
        stop = StopSettings(after_fraction=after, margin_percent=2.0)
        keeper = CurveKeeper(settings, 32, stop, lambda: [better])
        ended, said = None, ""
        for record in self.records((50.0, 60.0, 70.0, 80.0)):
            try:
                keeper.on_epoch(record, 1.0)
            except HopelessError as reason:
                ended, said = record.epoch, str(reason)
                break
        assert ended == stopped_at
        assert said.startswith(f"after epoch {stopped_at} of 4: " if stopped_at else "")
        assert keeper.curve.events[0] == 100.0

    def test_a_trial_that_goes_on_has_its_curve(self) -> None:
        stop = StopSettings(after_fraction=None, margin_percent=2.0)
        records = self.records((50.0, 60.0, 70.0))
        keeper = CurveKeeper(TrainingSettings(max_epochs=3), 8, stop, tuple)
        keeper.on_resume(records[:2], (1.0, 1.0))
        keeper.on_epoch(records[2], 1.0)
        assert keeper.curve.accuracies == (50.0, 60.0, 70.0)
