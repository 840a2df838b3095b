"""Runs that differ in their seed alone, averaged."""

import math
from pathlib import Path
from typing import Any

import pytest

from spikejoule import cli
from spikejoule.core.errors import StoreError
from spikejoule.core.store import write_csv
from spikejoule.tracking.runs import StoredFile
from spikejoule.tracking.seeds import comparable_runs, seeds_table
from tests.tools.recorded import frame, record, run

EARLY = (97.5, 96.5, 3000)


def means(*runs: dict[str, Any], nanojoules: float = 10.0) -> list[Any]:
    """The rows of the table."""
    priced = frame(*runs).assign(neuron_updates_clocked=8200.0, nj_45nm_int8=0.4)
    table = seeds_table(priced.assign(nj_45nm_fp32=[nanojoules + n for n in range(len(runs))]))
    return list(table.itertuples())


def seeded(name: str, seed: int, test: float = 97.0, **changes: Any) -> dict[str, Any]:
    parameters = {"model.hidden": "[9]", "seed": str(seed), **changes.pop("parameters", {})}
    return run(name, 98, test, 4000, parameters=parameters, **changes)


def test_of_three_seeds_in_any_order_the_latest_of_each() -> None:
    (row,) = means(
        seeded("n-seed-44", 44, 96.0, parameters={"train.threads": "1"}),
        seeded("n-seed-43", 43, 98.0),
        seeded("n", 42, metrics={"hidden_spikes_per_inference": 130.0}),
        seeded("earlier", 42, 90.0),
    )
    assert (row.name, row.seeds, row.early_exit) == ("n", "42 43 44", False)
    assert row.test_accuracy_percent == 97.0
    assert (row.test_lowest_percent, row.test_highest_percent) == (96.0, 98.0)
    assert row.spikes_per_layer == "100.0 110.0 100.0"
    assert row.nj_45nm_fp32 == 11.0
    assert math.isnan(row.nj_45nm_int8)  # integers are priced where integers ran
    assert (row.neuron_updates_clocked, row.neuron_updates_lazy) == (8200, 8200.0)


def test_early_exits_and_other_settings_are_rows_of_their_own() -> None:
    lazy = {"neuron_updates_lazy_per_inference": 1234.56}
    rows = means(
        seeded("a", 42, early=EARLY),
        seeded("b", 42, parameters={"model.weight_bits": "8"}, metrics=lazy),
    )
    answers = [(row.name, row.early_exit) for row in rows]
    assert answers == [("a", True), ("a", False), ("b", False)]
    assert (rows[2].nj_45nm_int8, rows[2].neuron_updates_lazy) == (0.4, 1234.6)
    rule = {"evaluate.early_exit_rule": "first_spike"}
    rows = means(seeded("a", 42, early=EARLY), seeded("b", 43, early=EARLY, parameters=rule))
    assert {row.seeds for row in rows} == {"42", "43"}


def test_other_images_and_validation_on_the_test_images_are_not_averaged() -> None:
    one, other = (
        seeded(name, seed, tags={"data.sha256.images": digest})
        for name, seed, digest in (("a", 42, "aa"), ("b", 43, "bb"))
    )
    assert list(comparable_runs(frame(one, other))["name"]) == ["a"]
    with pytest.raises(StoreError, match="no finished run of the data 'mnist' that could be"):
        comparable_runs(frame(one), "mnist")
    with pytest.raises(StoreError, match="no finished run that could be averaged"):
        comparable_runs(frame(seeded("a", 1, parameters={"data.validation_size": "0"})))


def test_from_the_store_to_the_table(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ("profile", "network", "phase", "term", "class", "count", "pj")
    for one, picojoules in ((seeded("n", 42), 9000.0), (seeded("n-seed-43", 43), 11000.0)):
        energies = tmp_path / one["name"] / "energy.csv"
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
        record(project, one, [StoredFile(energies, "metrics")])
    table = project / "seeds.csv"
    assert cli.main(["seeds", str(project), "--table", str(table)]) == 0
    assert "on mnist5k: 5,000 MNIST digits" in capsys.readouterr().out
    assert table.read_text().splitlines()[1] == (
        "n,0,42 43,98.0,97.0,97.0,97.0,4000.0,20,100.0 100.0 100.0,8200,8200.0,10.0,"
    )

    # A project may be moved.
    assert cli.main(["seeds", str(project.rename(tmp_path / "moved"))]) == 0
