"""Recorded runs compared: means over seeds and their Pareto front."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.compare.front import pareto_front
from spikejoule.core.errors import StoreError
from spikejoule.search.found import experiment_command
from spikejoule.tracking.settings import settings_table, settings_text
from tests.tools.cli import Cli
from tests.tools.recorded import frame, record, run

# Of the same result: what changes nothing, and what trains no spiking network.
SAME = {"train.threads": "1", "baseline.lr": "0.1"}
EARLY = (97.5, 96.5, 2000)


def seeded(name: str, seed: int, test: float = 97.0, **changes: Any) -> dict[str, Any]:
    parameters = {
        "model.hidden": "[9]",
        "seed": str(seed),
        **changes.pop("parameters", {}),
    }
    return run(name, 98, test, 4000, parameters=parameters, **changes)


# Few distinct values, so that ties of every kind occur.
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_the_front_equals_its_definition(points: list[tuple[int, int]]) -> None:
    costs = [point[0] for point in points]
    gains = [point[1] for point in points]
    assert pareto_front(costs, gains) == tuple(
        not any(
            other <= cost and more >= gain and (other < cost or more > gain)
            for other, more in points
        )
        for cost, gain in points
    )


class TestSettings:
    def test_validation_accuracy_decides_and_early_exits_are_rows_of_their_own(
        self,
    ) -> None:
        # The second has the better test accuracy, and loses all the same.
        table = settings_table(
            frame(run("100", 98, 90, 5000), run("200", 97, 99, 6000))
        ).rows
        assert list(table["name"][table["on_front"]]) == ["100"]
        assert list(table["params.model.hidden"]) == ["[100]", "[200]"]
        table = settings_table(
            frame(
                run("100", 98, 97.5, 5000, early=EARLY),
                run("50", 96, 95, 3000),
                run("400", 98.6, 98.4, 20_000),
            )
        ).rows
        assert table[["name", "early_exit", "on_front"]].to_numpy().tolist() == [
            ["100", True, True],
            ["50", False, False],
            ["100", False, True],
            ["400", False, True],
        ]

    @pytest.mark.parametrize(
        ("reason", "changes"),
        [
            ("without accuracy or synaptic events", {"figures": (98, 97, math.nan)}),
            (
                "with products of constant currents in addition to their events",
                {"metrics": {"input_macs_per_inference": 4e4}},
            ),
            (
                "validated on the test images",
                {"parameters": {"data.validation_size": "0.0"}},
            ),
            ("measured on other images (mnist)", {"tags": {"data.source": "mnist"}}),
            ("measured on other images (mnist5k)", {"tags": {"data.sha256": "bb"}}),
        ],
    )
    def test_what_cannot_be_compared_is_left_out(
        self, reason: str, changes: dict[str, Any]
    ) -> None:
        changes = dict(changes)
        figures = changes.pop("figures", (98, 90, 5000))
        alike = [run("100", 98, 90, 5000), run("300", 98.5, 91, 9000)]
        table = settings_table(frame(*alike, run("9", *figures, **changes)))
        assert list(table.rows["name"]) == ["100", "300"]
        assert table.left_out == {reason: 1}
        text = settings_text(table)
        assert f"Not compared: 1 {reason}\n" in text
        assert text.startswith("Data: mnist5k. Only 5,000 of MNIST's 70,000 digits")

    def test_what_varies(self) -> None:
        old = run("100", 98, 90, 5000)
        other = run("100", 97, 90, 4000, parameters={"model.reset": "subtract"})
        table = settings_table(frame(old, other)).rows
        assert [name for name in table if name.startswith("params.")] == [
            "params.model.reset"
        ]
        # Parameters of the conventional network change nothing.
        of_baseline = [
            seeded("a", 1, parameters={"baseline.lr": lr}) for lr in ("0.01", "0.0001")
        ]
        assert len(settings_table(frame(*of_baseline))[0]) == 1
        repeated = run("100", 98, 90, 5000, parameters=SAME)
        assert len(settings_table(frame(old, repeated))[0]) == 1

    def test_a_source_can_be_chosen(self) -> None:
        full = run("50", 99, 99, 10, tags={"data.source": "mnist"})
        runs = frame(run("100", 98, 90, 5000), run("200", 98.5, 91, 9000), full)
        assert list(settings_table(runs)[0]["name"]) == ["100", "200"]
        assert list(settings_table(runs, "mnist")[0]["name"]) == ["50"]
        with pytest.raises(StoreError, match=r"'letters' .*\(mnist5k\), 1 .*\(mnist\)"):
            settings_table(runs, "letters")

    def test_of_three_seeds_in_any_order_the_latest_of_each(self) -> None:
        runs = frame(
            seeded("n-seed-44", 44, 96.0, parameters={"train.threads": "1"}),
            seeded("n-seed-43", 43, 98.0),
            seeded("n", 42, metrics={"hidden_spikes_per_inference": 130.0}),
            seeded("earlier", 42, 90.0),
        )
        row, *of_seeds = settings_table(runs)[0].itertuples()
        assert [one.seeds for one in of_seeds] == ["42", "43", "44"]
        assert (row.name, row.seeds, row.early_exit) == ("n", "42 43 44", False)
        assert row.test_accuracy_percent == 97.0
        assert (row.test_lowest_percent, row.test_highest_percent) == (96.0, 98.0)
        assert row.hidden_spikes_per_inference == 110.0
        assert math.isnan(row.energy_nj)

    @pytest.mark.parametrize(
        "other", ["evaluate.early_exit_rule", "energy_report.profile"]
    )
    def test_other_exits_and_prices_are_settings_of_their_own(self, other: str) -> None:
        changed = seeded("b", 43, early=EARLY, parameters={other: "another"})
        rows = settings_table(frame(seeded("a", 42, early=EARLY), changed))[
            0
        ].itertuples()
        assert {row.seeds for row in rows} == {"42", "43"}


def test_no_store(project: Path, cli: Cli) -> None:
    (project / "mlflow.db").unlink()
    before = sorted(project.iterdir())
    assert "error: there is no MLflow store at" in cli.refusal("seeds", project)
    assert sorted(project.iterdir()) == before


def test_the_command_of_a_point_of_a_search_names_what_differs() -> None:
    recorded = {
        "data.source": "/my digits",
        "train.target_accuracy": "None",
        "seed": "1",
    }
    current = {"data.source": "auto", "train.target_accuracy": 98.0, "seed": 1}
    command = "dvc exp run -S 'data.source=/my digits' -S train.target_accuracy=null"
    assert experiment_command(recorded, current) == command
    assert "-S seed=1" in experiment_command(recorded, current, always=["seed"])


def test_seeds_from_the_store_to_the_table(project: Path, cli: Cli) -> None:
    for name, seed, energy_nj in (("n", 42, 9.0), ("n-seed-43", 43, 11.0)):
        record(project, seeded(name, seed, metrics={"energy_nj": energy_nj}))
    file = project / "seeds.csv"
    assert "42 43" in cli.text("seeds", project, "--table", file)
    table = pd.read_csv(file)
    assert list(table["name"]) == ["n", "n", "n-seed-43"]
    assert list(table["seeds"]) == ["42 43", "42", "43"]
    assert list(table["on_front"]) == [1, 0, 0]
    assert list(table["energy_nj"]) == [10, 9, 11]
    assert list(table["synaptic_events_per_inference"]) == [4000] * 3
    both, *ids = table["run_ids"]
    assert both == " ".join(ids)
