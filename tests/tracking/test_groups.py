"""Parent runs: one for each group, finished at once, and no result themselves."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from spikejoule.core.errors import StoreError
from spikejoule.tracking.groups import Trial, environment_of_group, log_trials
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.run_record import RunRecord
from spikejoule.tracking.store import Store, project_store
from tests.tools.recorded import runs

PARENT = "mlflow.parentRunId"
SWEEP = "sweep train.lr=0.001,0.003 data.source='mnist5k'"


def test_runs_of_a_sweep_have_one_parent_and_others_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = publish(RunRecord("alone"), store)
    begin = partial(environment_of_group, store, SWEEP)
    given = {"PATH": "/bin", "MLFLOW_RUN_CONTEXT": '{"team": "a"}'}
    with ThreadPoolExecutor() as several:
        environments = list(several.map(begin, [given] * 4))
    assert environments == [environments[0]] * 4
    assert environments[0]["PATH"] == "/bin"
    context = environments[0]["MLFLOW_RUN_CONTEXT"]
    assert json.loads(context)["team"] == "a"
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", context)
    children = {publish(RunRecord(name), store).run_id for name in ("one", "two")}
    by_id = {run.info.run_id: run for run in runs(store)}
    assert {run.info.status for run in by_id.values()} == {"FINISHED"}
    (parent,) = by_id.keys() - children - {alone.run_id}
    assert by_id[parent].info.run_name == SWEEP
    for run_id, run in by_id.items():
        assert run.data.tags.get(PARENT) == (parent if run_id in children else None)
    # Children are results, and their parent is none.
    assert {*recorded_runs(store)["run_id"]} == children | {alone.run_id}


def test_trials_of_a_search_are_children_that_are_no_results(store: Store) -> None:
    trials = [
        Trial(f"trial {number}", {"train.lr": 0.1}, {"accuracy_val": 90.0 + number})
        for number in range(3)
    ]
    log_trials(store, "search front", trials[:2])
    log_trials(store, "search front", trials)
    parent, *children = sorted(runs(store), key=lambda run: run.info.start_time)
    assert parent.info.run_name == "search front"
    shown = {run.info.run_name: (run.data.params, run.data.metrics) for run in children}
    assert len(children) == len(shown)
    assert shown == {
        trial.name: ({"train.lr": "0.1"}, trial.metrics) for trial in trials
    }
    for run in children:
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.info.status == "FINISHED"
    assert recorded_runs(store).empty


def test_a_store_out_of_reach_is_one_error(tmp_path: Path) -> None:
    uri = {"MLFLOW_TRACKING_URI": "sqlite:////proc/none/mlflow.db"}
    away = project_store(tmp_path, "name", uri)
    with pytest.raises(StoreError, match="^the parent run 'search front' was not"):
        log_trials(away, "search front", [])
    with pytest.raises(StoreError, match="^the parent run 'sweep a=1' was not"):
        environment_of_group(away, "sweep a=1", os.environ)
