"""Runs that differ in their seed alone, averaged."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from spikejoule import cli
from spikejoule.core.errors import StoreError
from spikejoule.core.store import read_csv, write_csv
from spikejoule.tracking import RecordedRun, RunRecord, StoredFile, project_store, publish
from spikejoule.tracking.seeds import PricedRun, SeedsTable, comparable_runs, seed_rows

PARAMETERS = {
    "seed": "42",
    "data.validation_size": "0.1",
    "encode.time_window": "20",
    "model.hidden": "[400]",
    "model.weight_bits": "32",
    "train.threads": "2",
}
METRICS = {
    "best_validation_accuracy_percent": 98.0,
    "test_accuracy_percent": 97.0,
    "test_synaptic_events_per_inference": 4000.0,
    "input_spikes_per_inference": 100.0,
    "hidden_spikes_per_inference": 200.0,
    "output_spikes_per_inference": 20.0,
}
EARLY = {
    "early_exit_validation_accuracy_percent": 97.5,
    "early_exit_test_accuracy_percent": 96.5,
    "early_exit_synaptic_events_per_inference": 3000.0,
}
TAGS = {"data.source": "mnist5k", "data.title": "mnist5k: 5,000 MNIST digits"}


def run(
    name: str, parameters: Mapping[str, str] = {}, metrics: Mapping[str, float] = {}
) -> RecordedRun:
    return RecordedRun(
        run_id=hashlib.md5(name.encode()).hexdigest(),
        name=name,
        parameters={**PARAMETERS, **parameters},
        metrics={**METRICS, **metrics},
        tags=TAGS,
    )


def priced(one: RecordedRun, pair: tuple[float, float] = (10.0, 0.4)) -> PricedRun:
    return PricedRun(one, dict(zip(("45nm-fp32", "45nm-int8"), pair, strict=True)), 8200.0)


class TestMeans:
    def test_of_three_seeds(self) -> None:
        runs = [
            run("n-seed-44", {"seed": "44", "train.threads": "1"}, {"test_accuracy_percent": 96.0}),
            run("n-seed-43", {"seed": "43"}, {"test_accuracy_percent": 98.0}),
            run("n", metrics={"hidden_spikes_per_inference": 230.0}),
        ]
        (row,) = seed_rows(
            priced(one, (nj, 1.0)) for one, nj in zip(runs, (9.0, 10.0, 12.0), strict=True)
        ).rows
        assert (row.name, row.seeds, row.early_exit) == ("n", "42 43 44", False)
        assert row.test_accuracy_percent == 97.0
        assert (row.test_lowest_percent, row.test_highest_percent) == (96.0, 98.0)
        assert row.spikes_per_layer == "100.0 210.0 20.0"
        assert row.nj_45nm_fp32 == pytest.approx(31 / 3)
        # Integers are priced where integers ran.
        assert row.nj_45nm_int8 is None
        assert (row.neuron_updates_clocked, row.neuron_updates_lazy) == (8200, 8200.0)

    def test_early_answers_and_other_settings_are_rows_of_their_own(self) -> None:
        integers = {"model.weight_bits": "8"}
        lazy = {"neuron_updates_lazy_per_inference": 1234.56}
        table = seed_rows([priced(run("a", metrics=EARLY)), priced(run("b", integers, lazy))])
        assert [(row.name, row.early_exit) for row in table.rows] == [
            ("a", True),
            ("a", False),
            ("b", False),
        ]
        assert table.rows[2].nj_45nm_int8 == 0.4
        assert table.rows[2].neuron_updates_lazy == 1234.6

    def test_a_seed_that_was_run_again_counts_once(self) -> None:
        again = run("again", metrics={"test_accuracy_percent": 99.0})
        (row,) = seed_rows([priced(again), priced(run("a"))]).rows
        assert (row.seeds, row.test_accuracy_percent) == ("42", 99.0)

    def test_validation_on_the_test_images_is_left_out(self) -> None:
        with pytest.raises(StoreError, match="no finished run that could be averaged"):
            comparable_runs([run("a", {"data.validation_size": "0"})])
        with pytest.raises(StoreError, match="no finished run of the data 'mnist'"):
            comparable_runs([run("a")], "mnist")

    def test_other_images_and_other_early_exits_are_not_averaged(self) -> None:
        one, other = (
            replace(run(name, {"seed": seed}), tags={**TAGS, "data.sha256.images": digest})
            for name, seed, digest in (("a", "42", "aa"), ("b", "43", "bb"))
        )
        assert comparable_runs([one, other]) == (one,)
        rule = {"seed": "43", "evaluate.early_exit_rule": "first_spike"}
        table = seed_rows([priced(run("a", metrics=EARLY)), priced(run("b", rule, EARLY))])
        assert {row.seeds for row in table.rows} == {"42", "43"}


def test_from_the_store_to_the_table(
    tmp_path: Path,
    repository: Path,
    empty_database: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    project = tmp_path / "a project"
    project.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(repository / name, project)
    shutil.copy(empty_database, project)
    columns = ("profile", "network", "phase", "term", "class", "count", "pj")
    for one, picojoules in ((run("n"), 9000.0), (run("n-seed-43", {"seed": "43"}), 11000.0)):
        energies = tmp_path / one.name / "energy.csv"
        energies.parent.mkdir()
        write_csv(
            energies,
            columns,
            [
                ("45nm-fp32", "snn", "inference", "neuron_update_active", "", 200, ""),
                ("45nm-fp32", "snn", "inference", "neuron_update_inactive", "", 8000, ""),
                ("45nm-fp32", "snn", "inference", "total", "", "", picojoules),
                ("45nm-fp32", "snn", "inference", "total", "7", "", 1.0),
                ("45nm-fp32", "ann", "inference", "total", "", "", 2.0),
                ("45nm-fp32", "snn", "training", "total", "", "", 3.0),
                ("odin", "snn", "inference", "total", "", "", ""),
            ],
        )
        record = RunRecord(
            result_id=one.name,
            name=one.name,
            parameters=one.parameters,
            metrics=one.metrics,
            tags=one.tags,
            artifacts=[StoredFile(energies, "metrics")],
        )
        assert publish(record, project_store(project, "spikejoule", {})).added
    table = project / "seeds.csv"
    assert cli.main(["seeds", str(project), "--table", str(table)]) == 0
    assert "on mnist5k: 5,000 MNIST digits" in capsys.readouterr().out
    (row,) = read_csv(table, ("name", "seeds", "nj_45nm_fp32", "nj_45nm_int8"))
    assert [row[name] for name in ("name", "seeds", "nj_45nm_int8")] == ["n", "42 43", ""]
    (read,) = SeedsTable.read(table).rows
    assert (read.nj_45nm_fp32, read.nj_45nm_int8, read.neuron_updates_clocked) == (10.0, None, 8200)
