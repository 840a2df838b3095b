"""Runs compared: the front against a naive oracle, what is comparable, and the way to a figure."""

import hashlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule import cli
from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.store import read_csv, write_csv
from spikejoule.evaluation.front_rows import (
    EARLY_EXIT,
    FRONT_COLUMNS,
    WHOLE_WINDOW,
    FrontRow,
    pareto_front,
    read_front,
)
from spikejoule.params import earlier_values
from spikejoule.tracking import (
    RecordedRun,
    RunRecord,
    finished_runs,
    front_citations,
    project_store,
    publish,
)
from spikejoule.tracking.front import Candidate, compare_runs
from spikejoule.tracking.front_output import (
    experiment_command,
    front_file,
    front_png,
    front_text,
)

TAGS = {
    "data.source": "mnist5k",
    "data.title": "mnist5k: 5,000 MNIST digits",
    "data.sha256.images": "ab",
    "git.commit": "c0ffee",
}
PARAMETERS = {
    "seed": "42",
    "data.validation_size": "0.1",
    "model.hidden": "[400]",
    "train.lr": "0.003",
    "train.threads": "2",
}
CURRENT = {**earlier_values(), **PARAMETERS}
"""What a params.yaml holds, whose keys are more than those of an older run."""


def run(name: str, *figures: float, early: Sequence[float] = (), **changes: Any) -> RecordedRun:
    """A recorded run with its validation accuracy, test accuracy and synaptic events."""
    metrics = dict(zip(WHOLE_WINDOW, figures, strict=False))
    metrics |= dict(zip(EARLY_EXIT, early, strict=False))
    return RecordedRun(
        run_id=hashlib.md5(name.encode()).hexdigest(),
        name=name,
        parameters={**PARAMETERS, "model.hidden": f"[{name}]", **changes.get("parameters", {})},
        metrics=metrics,
        tags={**TAGS, **changes.get("tags", {})},
    )


def naive_front(costs: Sequence[float], gains: Sequence[float]) -> tuple[bool, ...]:
    """Every point against every other, by the definition."""
    points = list(zip(costs, gains, strict=True))
    return tuple(
        not any(
            other_cost <= cost and other_gain >= gain and (other_cost < cost or other_gain > gain)
            for other_cost, other_gain in points
        )
        for cost, gain in points
    )


class TestParetoFront:
    # Few distinct values, so that ties of every kind occur.
    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
    def test_equals_the_definition(self, points: list[tuple[int, int]]) -> None:
        costs, gains = [point[0] for point in points], [point[1] for point in points]
        assert pareto_front(costs, gains) == naive_front(costs, gains)

    def test_by_hand(self) -> None:
        costs = [10, 20, 20, 30, 5, 30]
        gains = [90, 95, 94, 95, 80, 99]
        assert pareto_front(costs, gains) == (True, True, False, False, True, True)

    def test_equal_points_are_on_it_together(self) -> None:
        assert pareto_front([1, 1, 2], [5, 5, 5]) == (True, True, False)

    def test_no_points(self) -> None:
        assert pareto_front([], []) == ()


class TestCompare:
    def test_validation_accuracy_decides(self) -> None:
        # The second has the better test accuracy, and loses all the same.
        found = compare_runs([run("100", 98, 90, 5000), run("200", 97, 99, 6000)])
        assert [one.name for one in found.candidates] == ["100", "200"]
        assert found.on_front == (True, False)
        assert [one.name for one in found.front] == ["100"]
        assert found.varied == ("model.hidden",)

    def test_early_answers_are_points_of_their_own(self) -> None:
        found = compare_runs(
            [run("100", 98, 97, 5000, early=(97.5, 96, 2000)), run("50", 96, 95, 3000)]
        )
        assert [(one.name, one.early_exit) for one in found.candidates] == [
            ("100", True), ("50", False), ("100", False),
        ]  # fmt: skip
        assert found.on_front == (True, False, True)
        assert found.n_runs == 2
        cheapest = found.cheapest(97)
        assert cheapest is not None
        assert (cheapest.early_exit, cheapest.test_accuracy_percent) == (True, 96)
        assert found.cheapest(98.5) is None

    @pytest.mark.parametrize("figures", [(), (98, 97), (98, 97, math.nan), (math.nan, 97, 100)])
    def test_runs_without_their_figures_are_left_out(self, figures: tuple[float, ...]) -> None:
        found = compare_runs([run("100", 98, 90, 5000), run("200", *figures)])
        assert found.n_runs == 1
        assert found.left_out == {"without accuracy or synaptic events": 1}

    def test_products_beside_the_events_are_left_out(self) -> None:
        """A network whose input is a constant current pays in other coin than synaptic events."""
        direct = run("4", 99.0, 99.0, 5.0)
        direct.metrics["input_macs_per_inference"] = 40_000.0  # type: ignore[index]
        found = compare_runs([run("1", 90.0, 90.0, 10.0), direct])
        assert [one.name for one in found.candidates] == ["1"]
        assert found.left_out == {"with products of constant currents beside their events": 1}

    def test_validation_on_the_test_images_is_left_out(self) -> None:
        on_test = run("200", 99, 99, 10, parameters={"data.validation_size": "0.0"})
        found = compare_runs([run("100", 98, 90, 5000), on_test])
        assert found.left_out == {"validated on the test images": 1}

    def test_the_same_result_counts_once(self) -> None:
        # Another number of threads, or another price list, makes a run but no other result.
        again = run(
            "100", 98, 90, 5000,
            parameters={"train.threads": "1", "energy_report.profile": "other"},
        )  # fmt: skip
        other = run("100", 98, 90, 5001)
        found = compare_runs([run("100", 98, 90, 5000), again, other])
        assert found.n_runs == 2
        assert found.left_out == {"the same result again": 1}

    @pytest.mark.parametrize(
        "changes",
        [
            {"tags": {"data.source": "mnist"}},
            {"tags": {"data.sha256.images": "cd"}},
            {"parameters": {"data.validation_size": "0.2"}},
            {"parameters": {"seed": "1"}},
        ],
        ids=["source", "bytes", "size of the split", "seed of the split"],
    )
    def test_only_what_is_measured_on_the_same_images(self, changes: dict[str, Any]) -> None:
        alike = [run("100", 98, 90, 5000), run("200", 98.5, 91, 9000)]
        found = compare_runs([run("50", 99, 99, 10, **changes), *alike])
        assert {one.name for one in found.candidates} == {"100", "200"}
        (reason,) = found.left_out
        assert reason.startswith("measured on other images")

    def test_keys_that_came_after_a_run_stand_for_what_there_was(self) -> None:
        later = {name: str(value) for name, value in earlier_values().items()}
        assert {"model.reset", "train.distillation", "encode.latency_threshold"} <= later.keys()
        old, new = run("100", 98, 90, 5000), run("100", 98, 90, 5000, parameters=later)
        found = compare_runs([old, new])
        assert (found.n_runs, found.varied) == (1, ())
        assert found.left_out == {"the same result again": 1}
        other = run("100", 97, 90, 4000, parameters={**later, "model.reset": "subtract"})
        assert compare_runs([old, other]).varied == ("model.reset",)

    def test_the_baseline_counts_where_it_was_the_teacher(self) -> None:
        slow = {"baseline.lr": "0.0001"}
        fast = {"baseline.lr": "0.01"}
        runs = [run("100", 98, 90, 5000, parameters=each) for each in (slow, fast)]
        assert compare_runs(runs).left_out == {"the same result again": 1}
        taught = {"train.distillation": "0.5"}
        distilled = [
            run("100", 98, 90, 5000, parameters={**each, **taught}) for each in (slow, fast)
        ]
        assert compare_runs(distilled).varied == ("baseline.lr",)
        assert compare_runs([*distilled, runs[0]]).varied == ("baseline.lr", "train.distillation")
        assert compare_runs([distilled[0], runs[0]]).varied == ("train.distillation",)

    def test_a_source_can_be_chosen(self) -> None:
        full = run("50", 99, 99, 10, tags={"data.source": "mnist"})
        runs = [run("100", 98, 90, 5000), run("200", 98.5, 91, 9000), full]
        assert compare_runs(runs).data_source == "mnist5k"
        found = compare_runs(runs, "mnist")
        assert [one.name for one in found.candidates] == ["50"]
        assert found.left_out == {"measured on other images (mnist5k)": 2}
        with pytest.raises(StoreError, match=r"'letters'; there is: mnist, mnist5k"):
            compare_runs(runs, "letters")

    @pytest.mark.parametrize("runs", [[], [run("100", 98)]])
    def test_nothing_to_compare(self, runs: list[RecordedRun]) -> None:
        with pytest.raises(StoreError, match="no finished run"):
            compare_runs(runs)


RUNS = (
    run("100", 98, 97.5, 5000, early=(97.5, 96.5, 2000)),
    run("50", 96, 95, 3000, parameters={"train.target_accuracy": "None"}),
    run("400", 98.6, 98.4, 20_000),
)


class TestReport:
    def test_table(self) -> None:
        rows = front_file(compare_runs(RUNS)).rows
        assert rows[0] == FrontRow(
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
        assert [(row.name, row.early_exit, row.on_front) for row in rows] == [
            ("100", True, True), ("50", False, False), ("100", False, True), ("400", False, True),
        ]  # fmt: skip

    def test_text_names_the_cheapest_and_how_to_repeat_it(self) -> None:
        current = {**CURRENT, "model.hidden": [400], "seed": 42, "data.validation_size": 0.1}
        text = front_text(compare_runs(RUNS), 98, current)
        assert "Least energy at 98 % on validation: 100, 5,000 synaptic events" in text
        assert "dvc exp run -S 'model.hidden=[100]'\n" in text
        assert "No run reaches 99 % on validation." in front_text(compare_runs(RUNS), 99, current)

    def test_command_writes_none_as_yaml_does(self) -> None:
        (candidate,) = (one for one in compare_runs(RUNS).candidates if one.name == "50")
        command = experiment_command(whole(candidate), {**CURRENT, "train.target_accuracy": 98.0})
        assert command == "dvc exp run -S 'model.hidden=[50]' -S train.target_accuracy=null"

    def test_the_command_names_the_data_if_they_are_others(self) -> None:
        of_a_folder = run("400", 98, 97, 5000, parameters={"data.source": "/my digits"})
        (candidate,) = compare_runs([of_a_folder]).candidates
        command = experiment_command(whole(candidate), {**CURRENT, "data.source": "auto"})
        assert command == "dvc exp run -S 'data.source=/my digits'"

    def test_figure_depends_on_the_runs(self) -> None:
        assert front_png(compare_runs(RUNS), 98) != front_png(compare_runs(RUNS[:2]), 98)


def whole(candidate: Candidate) -> dict[str, str]:
    """The parameters of a run, with those that name its data."""
    return {**candidate.parameters, **candidate.data}


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    return folder


# Two runs, one of them with early answers: name, early, on the front, validation, test, events.
ROWS = (
    ("a", 1, 1, 97.0, 97.5, 2000.0, "mnist", "c0ffee", "a" * 32),
    ("b", 0, 0, 96.0, 96.5, 3000.0, "mnist", "c0ffee", "b" * 32),
    ("a", 0, 1, 98.0, 98.5, 5000.0, "mnist", "c0ffee", "a" * 32),
)


class TestRows:
    def test_whole(self, tmp_path: Path) -> None:
        write_csv(tmp_path / "front.csv", FRONT_COLUMNS, ROWS)
        assert [row.on_front for row in read_front(tmp_path / "front.csv")] == [True, False, True]

    @pytest.mark.parametrize(
        ("row", "column", "value", "words"),
        [
            (1, "on_front", 1, "row 3: on_front is 1, but .* it is 0"),
            (2, "on_front", 0, "row 4: on_front is 0, but .* it is 1"),
            (1, "on_front", "yes", "row 3, on_front is 'yes'"),
            (0, "early_exit", 2, "row 2, early_exit is '2'"),
            (2, "early_exit", 1, "a run is there twice"),
            (1, "validation_accuracy_percent", 99.0, "row 3: on_front is 0, but"),
            (1, "validation_accuracy_percent", 100.5, "is '100.5', but must be less than"),
            (1, "test_accuracy_percent", -1.0, "is '-1.0', but must be greater"),
            (1, "test_accuracy_percent", "nan", "is 'nan', but must be a finite number"),
            (2, "synaptic_events_per_inference", 2999.0, "the synaptic events must ascend"),
            (0, "synaptic_events_per_inference", -1.0, "is '-1.0', but must be greater"),
            (2, "synaptic_events_per_inference", "1e999", "is '1e999', but must be a finite"),
            (2, "synaptic_events_per_inference", "e999", "is 'e999', but must be a valid number"),
            (1, "data_source", "mnist5k", "the rows are of different data"),
            (1, "run_id", "", "row 3, run_id is ''"),
            (1, "run_id", "' OR '1' = '1", "row 3, run_id is"),
        ],
    )
    def test_what_cannot_be(
        self, tmp_path: Path, row: int, column: str, value: Any, words: str
    ) -> None:
        rows = [list(cells) for cells in ROWS]
        rows[row][FRONT_COLUMNS.index(column)] = value
        write_csv(tmp_path / "front.csv", FRONT_COLUMNS, rows)
        with pytest.raises(ArtifactError, match=words) as error:
            read_front(tmp_path / "front.csv")
        assert str(tmp_path / "front.csv") in str(error.value)


class TestCommand:
    def test_from_the_store_to_figure_and_table(
        self, project: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copy(empty_database, project)
        store = project_store(project, "spikejoule", {})
        for one in RUNS:
            record = RunRecord(
                result_id=one.name,
                name=one.name,
                parameters=one.parameters,
                metrics=one.metrics,
                tags=one.tags,
            )
            assert publish(record, store) is not None
        figure, table = project / "figures" / "front.png", project / "metrics" / "front.csv"
        arguments = ["front", str(project), "--figure", str(figure), "--table", str(table)]
        assert cli.main(arguments) == 0
        said = capsys.readouterr().out
        assert "3 runs on mnist5k: 5,000 MNIST digits" in said
        assert "dvc exp run" in said
        assert figure.read_bytes() == front_png(compare_runs(RUNS), 98)
        rows = read_csv(table, ["name", "on_front", "model.hidden"])
        assert [row["name"] for row in rows if row["on_front"] == "1"] == ["100", "100", "400"]

    def test_a_table_is_checked_against_its_runs(
        self, project: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copy(empty_database, project)
        store = project_store(project, "spikejoule", {})
        for one in RUNS:
            publish(
                RunRecord(one.name, one.name, one.parameters, metrics=one.metrics, tags=one.tags),
                store,
            )
        table = project / "front.csv"
        assert cli.main(["front", str(project), "--table", str(table)]) == 0
        check = ["front", str(project), "--check", str(table)]
        capsys.readouterr()
        assert cli.main(check) == 0
        assert capsys.readouterr().out.count(": agrees with its run ") == 4
        before = table.read_text()
        # Within all relations of the rows, so that its runs alone can tell
        for old, new, words in (
            (",96.5,", ",99.9,", "early_exit_test_accuracy_percent 99.9 there, 96.5 here"),
            (",2000.0,", ",1999.0,", "synaptic_events_per_inference 1999.0 there, 2000.0 here"),
            ("[100]", "[10]", "model.hidden [10] there, [100] here"),
            ("c0ffee", "decaf", "git.commit decaf there, c0ffee here"),
        ):
            table.write_text(before.replace(old, new, 1))
            assert cli.main(check) == 1
            assert "row 2: differs from its run " in (said := capsys.readouterr().err)
            assert words in said
            record = RunRecord("new", metrics={"m": 1.0}, cited=front_citations(table))
            with pytest.raises(ArtifactError, match="row 2 is not what run .* holds: "):
                publish(record, store)
        assert len(finished_runs(store)) == 3
        for one in finished_runs(store):
            before = before.replace(one.run_id, one.run_id[::-1])
        table.write_text(before.replace(",96.5,", ",99.9,"))
        assert cli.main(check) == 0
        assert capsys.readouterr().out.count("is not in this store") == 4
        assert publish(RunRecord("new", cited=front_citations(table)), store).added

    def test_no_store(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["front", str(project)]) == 1
        assert "error: there is no MLflow store at" in capsys.readouterr().err
        assert sorted(path.name for path in project.iterdir()) == ["params.yaml"]

    def test_a_server_that_is_down(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@127.0.0.1:9/mlflow")
        assert cli.main(["front", str(project)]) == 1
        error = capsys.readouterr().err
        assert "cannot be read" in error
        assert "secret" not in error


def test_every_page_of_a_store_is_read(
    project: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, project)
    monkeypatch.setattr("spikejoule.tracking.reading._RUNS_A_PAGE", 2)
    store = project_store(project, "spikejoule", {})
    for number in range(5):
        publish(RunRecord(str(number), metrics={"m": float(number)}), store)
    assert {one.metrics["m"] for one in finished_runs(store)} == {0, 1, 2, 3, 4}
