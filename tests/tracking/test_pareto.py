"""Runs compared: the Pareto front by its definition, what is comparable, tables that cite runs."""

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule import cli
from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.store import write_csv
from spikejoule.evaluation.front_rows import (
    FRONT_COLUMNS,
    FrontRow,
    pareto_front,
    read_front,
)
from spikejoule.params import earlier_values
from spikejoule.tracking import queries
from spikejoule.tracking.pareto import (
    ComparedRuns,
    checked_front,
    compare_runs,
    experiment_command,
    front_text,
)
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.queries import finished_runs
from spikejoule.tracking.runs import RunRecord
from tests.tools.recorded import PARAMETERS, frame, record, run, store_of

CURRENT = {**earlier_values(), **PARAMETERS}
"""What a params.yaml holds, whose keys are more than those of an older run."""
REPEATED = "the same result again"
LATER = {name: str(value) for name, value in earlier_values().items()}
RUNS = (
    run("100", 98, 97.5, 5000, early=(97.5, 96.5, 2000)),
    run("50", 96, 95, 3000, parameters={"train.target_accuracy": "None"}),
    run("400", 98.6, 98.4, 20_000),
)


def names(compared: ComparedRuns) -> list[str]:
    return list(compared.points["name"])


class TestParetoFront:
    # Few distinct values, so that ties of every kind occur.
    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
    def test_equals_the_definition(self, points: list[tuple[int, int]]) -> None:
        costs, gains = [point[0] for point in points], [point[1] for point in points]
        assert pareto_front(costs, gains) == tuple(
            not any(
                other <= cost and more >= gain and (other < cost or more > gain)
                for other, more in points
            )
            for cost, gain in points
        )


class TestCompare:
    def test_validation_accuracy_decides_and_early_exits_are_points_of_their_own(self) -> None:
        # The second has the better test accuracy, and loses all the same.
        found = compare_runs(frame(run("100", 98, 90, 5000), run("200", 97, 99, 6000)))
        assert list(found.front["name"]) == ["100"]
        assert found.varied == ("model.hidden",)
        found = compare_runs(frame(*RUNS))
        points = found.points[["name", "early_exit", "on_front"]].to_numpy().tolist()
        assert points == [
            ["100", True, True], ["50", False, False], ["100", False, True], ["400", False, True],
        ]  # fmt: skip
        assert found.n_runs == 3

    @pytest.mark.parametrize(
        ("reason", "changes"),
        [
            ("without accuracy or synaptic events", {"figures": (98, 97, math.nan)}),
            (
                "with products of constant currents beside their events",
                {"metrics": {"input_macs_per_inference": 4e4}},
            ),
            ("validated on the test images", {"parameters": {"data.validation_size": "0.0"}}),
            # Another number of threads makes a run but no other result.
            (REPEATED, {"name": "100", "parameters": {"train.threads": "1"}}),
            # Keys that came after a run stand for what there was.
            (REPEATED, {"name": "100", "parameters": LATER}),
            # What trains the conventional network, unless it was the teacher.
            (REPEATED, {"name": "100", "parameters": {"baseline.lr": "0.1"}}),
            ("measured on other images (mnist)", {"tags": {"data.source": "mnist"}}),
            ("measured on other images (mnist5k)", {"parameters": {"seed": "1"}}),
        ],
    )
    def test_what_cannot_be_compared_is_left_out(
        self, reason: str, changes: dict[str, Any]
    ) -> None:
        changes = dict(changes)
        name, figures = changes.pop("name", "9"), changes.pop("figures", (98, 90, 5000))
        alike = [run("100", 98, 90, 5000), run("300", 98.5, 91, 9000)]
        found = compare_runs(frame(*alike, run(name, *figures, **changes)))
        assert names(found) == ["100", "300"]
        assert found.left_out == {reason: 1}

    def test_what_varies(self) -> None:
        old = run("100", 98, 90, 5000)
        other = run("100", 97, 90, 4000, parameters={**LATER, "model.reset": "subtract"})
        assert compare_runs(frame(old, other)).varied == ("model.reset",)
        fast, slow = (
            run(
                "100", 98, 90, 5000,
                parameters={"baseline.lr": lr, "train.distillation": "0.5"},
            )
            for lr in ("0.01", "0.0001")
        )  # fmt: skip
        assert compare_runs(frame(fast, slow)).varied == ("baseline.lr",)
        assert compare_runs(frame(fast, old)).varied == ("train.distillation",)

    def test_a_source_can_be_chosen(self) -> None:
        full = run("50", 99, 99, 10, tags={"data.source": "mnist"})
        runs = frame(run("100", 98, 90, 5000), run("200", 98.5, 91, 9000), full)
        assert names(compare_runs(runs)) == ["100", "200"]
        assert names(compare_runs(runs, "mnist")) == ["50"]
        with pytest.raises(StoreError, match=r"'letters'; there is: mnist, mnist5k"):
            compare_runs(runs, "letters")

    def test_nothing_to_compare(self) -> None:
        with pytest.raises(StoreError, match="no finished run.*1 without accuracy"):
            compare_runs(frame(run("100", 98)))


class TestOutput:
    def test_table(self) -> None:
        assert compare_runs(frame(*RUNS)).table().rows[0] == FrontRow(
            name="100",
            early_exit=True,
            on_front=True,
            validation_accuracy_percent=97.5,
            test_accuracy_percent=96.5,
            synaptic_events_per_inference=2000,
            data_source="mnist5k",
            git_commit="c0ffee",
            run_id=hashlib.md5(b"100").hexdigest(),
            **{"model.hidden": "[100]", "train.target_accuracy": ""},
        )

    def test_text_names_the_cheapest_and_how_to_repeat_it(self) -> None:
        text = front_text(compare_runs(frame(*RUNS)), 98, CURRENT)
        assert "Least energy at 98 % on validation: 100, 5,000 synaptic events" in text
        assert "dvc exp run -S 'model.hidden=[100]'\n" in text
        text = front_text(compare_runs(frame(*RUNS)), 99, CURRENT)
        assert "No run reaches 99 % on validation." in text

    def test_command(self) -> None:
        """Whatever differs is named, and what another command may have changed."""
        parameters = {"data.source": "/my digits", "train.target_accuracy": "None", "train.lr": "1"}
        current = {"data.source": "auto", "train.target_accuracy": 98.0, "train.lr": 1}
        command = "dvc exp run -S 'data.source=/my digits' -S train.target_accuracy=null"
        assert experiment_command(parameters, current) == command
        assert "-S train.lr=1 " in experiment_command(parameters, current, always=["train.lr"])


# Two runs, one of them with early answers: name, early, on the front, validation, test, events.
ROWS = (
    ("a", 1, 1, 97.0, 97.5, 2000.0, "mnist", "c0ffee", "a" * 32),
    ("b", 0, 0, 96.0, 96.5, 3000.0, "mnist", "c0ffee", "b" * 32),
    ("a", 0, 1, 98.0, 98.5, 5000.0, "mnist", "c0ffee", "a" * 32),
)


class TestTable:
    @pytest.mark.parametrize(
        ("row", "column", "value", "words"),
        [
            (1, "on_front", 1, "row 3: on_front is 1, but .* it is 0"),
            (2, "early_exit", 1, "a run is there twice"),
            (2, "synaptic_events_per_inference", 2999.0, "the synaptic events must ascend"),
            (1, "data_source", "mnist5k", "the rows are of different data"),
        ],
    )
    def test_rows_that_contradict_each_other_are_refused(
        self, tmp_path: Path, row: int, column: str, value: Any, words: str
    ) -> None:
        rows = [list(cells) for cells in ROWS]
        path = tmp_path / "front.csv"
        write_csv(path, FRONT_COLUMNS, rows)
        assert [row.on_front for row in read_front(path)] == [True, False, True]
        rows[row][FRONT_COLUMNS.index(column)] = value
        write_csv(path, FRONT_COLUMNS, rows)
        with pytest.raises(ArtifactError, match=rf"front\.csv.*{words}"):
            read_front(path)

    def test_one_from_before_run_ids_cites_no_run(self, tmp_path: Path, project: Path) -> None:
        write_csv(tmp_path / "front.csv", FRONT_COLUMNS[:-1], [ROWS[0][:-1]])
        assert checked_front(tmp_path / "front.csv", store_of(project)) == ""
        (tmp_path / "front.csv").write_text("")
        with pytest.raises(ArtifactError, match=r"front\.csv"):
            checked_front(tmp_path / "front.csv", store_of(project))


class TestCommand:
    def test_from_the_store_to_figure_and_table_which_cites_its_runs(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "_RUNS_A_PAGE", 2)
        for one in RUNS:
            record(project, one)
        figure, table = project / "figures" / "front.png", project / "metrics" / "front.csv"
        arguments = ["front", str(project), "--figure", str(figure), "--table", str(table)]
        assert cli.main(arguments) == 0
        assert "3 runs on mnist5k: 5,000 MNIST digits" in (said := capsys.readouterr().out)
        assert "dvc exp run" in said
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert [row.name for row in read_front(table) if row.on_front] == ["100", "100", "400"]

        check = ["front", str(project), "--check", str(table)]
        assert cli.main(check) == 0
        assert capsys.readouterr().out.count(": agrees with its run ") == 4
        store, before = store_of(project), table.read_text()
        # Within all relations of the rows, so that its runs alone can tell
        for old, new, words in (
            (",96.5,", ",99.9,", "test_accuracy_percent 99.9 there, 96.5 here"),
            (",2000.0,", ",1999.0,", "synaptic_events_per_inference 1999.0 there, 2000.0 here"),
            ("[100]", "[10]", "model.hidden [10] there, [100] here"),
            ("c0ffee", "decaf", "git_commit decaf there, c0ffee here"),
        ):
            table.write_text(before.replace(old, new, 1))
            assert cli.main(check) == 1
            assert "row 2: differs from its run " in (said := capsys.readouterr().err)
            assert words in said
            with pytest.raises(ArtifactError, match="row 2: differs from its run"):
                publish(RunRecord("new", front=table), store)
        for run_id in finished_runs(store)["run_id"]:
            before = before.replace(run_id, run_id[::-1])
        table.write_text(before.replace(",96.5,", ",99.9,"))
        assert cli.main(check) == 0
        assert capsys.readouterr().out.count("is not in this store") == 4
        assert publish(RunRecord("new", front=table), store).added

    def test_runs_from_before_keys_had_their_names(self, project: Path) -> None:
        old = {"encode.code": "latency", "rival.lr": "0.01", "train.distillation": "0.5"}
        new = {"encode.encoding": "latency", "baseline.lr": "0.01", "train.distillation": "0.5"}
        record(project, run("100", 98, 90, 5000, parameters=old))
        record(project, {**run("100", 98, 90, 5000, parameters=new), "name": "again"})
        found = compare_runs(finished_runs(store_of(project)))
        assert (found.n_runs, len(found.repeated), found.varied) == (1, 1, ())

    def test_no_store(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "mlflow.db").unlink()
        assert cli.main(["front", str(project)]) == 1
        assert "error: there is no MLflow store at" in capsys.readouterr().err
        assert sorted(path.name for path in project.iterdir()) == ["dvc.yaml", "params.yaml"]
