"""Runs compared: means over seeds, their Pareto front, the verdict; tables that cite runs."""

import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.cli.searching import experiment_command
from spikejoule.core.errors import StoreError
from spikejoule.energy import load_profiles
from spikejoule.energy.bands import FrontsTable, RecordedNetwork, VerdictTable
from spikejoule.energy.ledger import Variant
from spikejoule.energy.variant_file import save_variants
from spikejoule.evaluation.accuracy import pareto_front
from spikejoule.tracking.recorded import (
    recorded_networks,
    recorded_runs,
    runs_text,
    settings_table,
    settings_text,
)
from tests.energy.test_verdict import variant
from tests.tools.cli import Cli
from tests.tools.pipeline_tools import artifact_paths, set_parameters
from tests.tools.recorded import frame, record, run, store_of

# Of the same result: what changes nothing, and what trains no spiking network.
SAME = {"train.threads": "1", "baseline.lr": "0.1"}
RUNS = (
    run("100", 98, 97.5, 5000, early=(97.5, 96.5, 2000)),
    run("50", 96, 95, 3000, parameters={"train.target_accuracy": "None"}),
    run("400", 98.6, 98.4, 20_000),
)


def test_the_list_of_runs_fits_a_narrow_terminal(project: Path, cli: Cli) -> None:
    """With figures, and the parameters that differ."""
    wide = run(
        "an-experiment-with-a-name-that-nobody-reads-to-its-end", 98, 97.25, 1_234_567.8,
        parameters={f"encode.of_a_plugin_{n}": f"value-{n}" for n in range(9)}
        | {"train.lr": "0.001", "energy_report.profile": "a-list"},
        metrics={"energy_nj": 248_655.4, "ratio": 1234.5},
        tags={"data.source": "fashion_mnist_rotated", "ratio_bound": "at least"},
    )  # fmt: skip
    earlier = run(
        "400", 98, 97.5, 5000,
        parameters={"energy_report.profile": "b-list", "encode.of_a_plugin_3": "value"},
        metrics={"energy_per_inference_pj": 7e6, "equal_accuracy_ratio": 55.5},
    )  # fmt: skip
    for one in (earlier, wide):
        record(project, one)
    said = cli.text("runs", project)
    assert max(map(len, said.splitlines())) <= 80
    latest = next(line for line in said.splitlines() if "an-experiment" in line)
    for figure in ("an-experiment-with-a-nam ", "97.25", "1,234,568", "249 ", "≥ 1,230"):
        assert figure in latest
    assert latest.split()[-1] == "finished"
    for pair in ("train.lr=0.001", "train.lr=0.003", "encode.of_a_plugin_3=value-3",
                 "data.source=fashion_mnist_rotated", "model.hidden=[400]"):  # fmt: skip
        assert pair in said.split()
    # Of one run alone, and so no difference; in neither, or without an effect on what is shown.
    for same in ("of_a_plugin_4", "time_window", "b-list", "55.5"):
        assert same not in said
    # Of the one run that has an energy
    assert "prices of a-list" in said
    unfinished = run("100", parameters={"encode.encoding": "poisson"}) | {"status": "RUNNING"}
    assert runs_text(frame(unfinished), 20).splitlines()[1].split()[-1] == "running"
    assert "--limit 2 shows all" in cli.text("runs", project, "--limit", 1)


def test_runs_of_two_price_lists_say_so(project: Path) -> None:
    one, other = (
        run(name, 98, 97, 5000, metrics={"energy_nj": 12.0, "ratio": 3.0},
            parameters={"energy_report.profile": prices})
        for name, prices in (("100", "a-list"), ("200", "b-list"))
    )  # fmt: skip
    said = runs_text(frame(one, other), 20)
    assert {"prices=a-list", "prices=b-list"} <= set(said.split())
    assert "prices of" not in said


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


class TestSettings:
    def test_validation_accuracy_decides_and_early_exits_are_rows_of_their_own(self) -> None:
        # The second has the better test accuracy, and loses all the same.
        found, _ = settings_table(frame(run("100", 98, 90, 5000), run("200", 97, 99, 6000)))
        assert list(found["name"][found["on_front"]]) == ["100"]
        assert list(found["params.model.hidden"]) == ["[100]", "[200]"]
        found, _ = settings_table(frame(*RUNS))
        rows = found[["name", "early_exit", "on_front"]].to_numpy().tolist()
        assert rows == [
            ["100", True, True], ["50", False, False], ["100", False, True], ["400", False, True],
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("reason", "changes"),
        [
            ("without accuracy or synaptic events", {"figures": (98, 97, math.nan)}),
            (
                "with products of constant currents beside their events",
                {"metrics": {"input_macs_per_inference": 4e4}},
            ),
            ("validated on the test images", {"parameters": {"data.validation_size": "0.0"}}),
            ("measured on other images (mnist)", {"tags": {"data.source": "mnist"}}),
            (
                "measured on other images (mnist5k, cropped by 2 and averaged by 1)",
                {"parameters": {"data.crop_pixels": "2"}},
            ),
        ],
    )
    def test_what_cannot_be_compared_is_left_out(
        self, reason: str, changes: dict[str, Any]
    ) -> None:
        changes = dict(changes)
        figures = changes.pop("figures", (98, 90, 5000))
        alike = [run("100", 98, 90, 5000), run("300", 98.5, 91, 9000)]
        found, left_out = settings_table(frame(*alike, run("9", *figures, **changes)))
        assert list(found["name"]) == ["100", "300"]
        assert left_out == {reason: 1}
        assert f"Not compared: 1 {reason}\n" in settings_text(found, left_out)

    def test_what_varies(self) -> None:
        old = run("100", 98, 90, 5000)
        other = run("100", 97, 90, 4000, parameters={"model.reset": "subtract"})
        found, _ = settings_table(frame(old, other))
        assert [name for name in found if name.startswith("params.")] == ["params.model.reset"]
        # What trains the conventional network counts where that was the teacher.
        fast, slow = (
            run(
                "100", 98, 90, 5000, parameters={"baseline.lr": lr, "train.distillation": "0.5"}
            )
            for lr in ("0.01", "0.0001")
        )  # fmt: skip
        assert "params.baseline.lr" in settings_table(frame(fast, slow))[0]
        repeated = run("100", 98, 90, 5000, parameters=SAME)
        assert len(settings_table(frame(old, repeated))[0]) == 1

    def test_a_source_can_be_chosen(self) -> None:
        full = run("50", 99, 99, 10, tags={"data.source": "mnist"})
        runs = frame(run("100", 98, 90, 5000), run("200", 98.5, 91, 9000), full)
        assert list(settings_table(runs)[0]["name"]) == ["100", "200"]
        assert list(settings_table(runs, "mnist")[0]["name"]) == ["50"]
        with pytest.raises(StoreError, match=r"'letters' .*\(mnist5k\), 1 .*\(mnist\)"):
            settings_table(runs, "letters")

    def test_nothing_to_compare(self) -> None:
        with pytest.raises(StoreError, match="no finished run.*1 without accuracy"):
            settings_table(frame(run("100", 98)))


def test_no_store(project: Path, cli: Cli) -> None:
    (project / "mlflow.db").unlink()
    assert "error: there is no MLflow store at" in cli.refusal("seeds", project)
    assert sorted(path.name for path in project.iterdir()) == ["dvc.yaml", "params.yaml"]


def test_the_command_of_a_point_of_a_search() -> None:
    """Whatever differs is named, and what another command may have changed."""
    parameters = {"data.source": "/my digits", "train.target_accuracy": "None", "train.lr": "1"}
    current = {"data.source": "auto", "train.target_accuracy": 98.0, "train.lr": 1}
    command = "dvc exp run -S 'data.source=/my digits' -S train.target_accuracy=null"
    assert experiment_command(parameters, current) == command
    assert "-S train.lr=1 " in experiment_command(parameters, current, always=["train.lr"])


EARLY = (97.5, 96.5, 3000)


def seeded(name: str, seed: int, test: float = 97.0, **changes: Any) -> dict[str, Any]:
    parameters = {"model.hidden": "[9]", "seed": str(seed), **changes.pop("parameters", {})}
    return run(name, 98, test, 4000, parameters=parameters, **changes)


def test_of_three_seeds_in_any_order_the_latest_of_each() -> None:
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
    assert (row.input_spikes_per_inference, row.hidden_spikes_per_inference) == (100.0, 110.0)
    assert math.isnan(row.energy_nj)


def test_early_exits_and_other_settings_are_rows_of_their_own() -> None:
    runs = frame(
        seeded("a", 42, early=EARLY), seeded("b", 42, parameters={"model.weight_bits": "8"})
    )
    answers = [(row.name, row.early_exit) for row in settings_table(runs)[0].itertuples()]
    assert answers == [("a", True), ("a", False), ("b", False)]
    for other in ("evaluate.early_exit_rule", "energy_report.profile"):
        changed = seeded("b", 43, early=EARLY, parameters={other: "another"})
        rows = settings_table(frame(seeded("a", 42, early=EARLY), changed))[0].itertuples()
        assert {row.seeds for row in rows} == {"42", "43"}


def test_other_images_and_validation_on_the_test_images_are_not_averaged() -> None:
    one, *others = (
        seeded("a", 42),
        seeded("b", 43, tags={"data.sha256": "bb"}),
        seeded("c", 44, parameters={"data.average_pixels": "2"}),
    )
    assert list(settings_table(frame(one, *others))[0]["name"]) == ["a"]
    with pytest.raises(StoreError, match="no finished run that could be compared"):
        settings_table(frame(seeded("a", 1, parameters={"data.validation_size": "0"})))


def test_seeds_from_the_store_to_the_table(project: Path, cli: Cli) -> None:
    for name, seed, energy_nj in (("n", 42, 9.0), ("n-seed-43", 43, 11.0)):
        record(project, seeded(name, seed, metrics={"energy_nj": energy_nj}))
    table = project / "seeds.csv"
    assert "42 43" in cli.text("seeds", project, "--table", table)
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    figures = ["98.0", "97.0", "97.0", "97.0", "4000.0", "100.0", "100.0", "100.0", "", ""]
    assert [row[:-5] for row in rows] == [
        ["n", "0", "1", "42 43", *figures], ["n", "0", "0", "42", *figures],
        ["n-seed-43", "0", "0", "43", *figures],
    ]  # fmt: skip
    assert [row[-5] for row in rows] == ["10.0", "9.0", "11.0"]
    assert rows[0][-3] == f"{rows[1][-3]} {rows[2][-3]}"
    assert {tuple(row[-2:]) for row in rows} == {("c0ffee", "0")}


# Events cost 0.1 pJ under this price list, MACs 3.2 pJ.
PROFILE = "lemaire-complete"
SMALL, LARGE = "ReLU 784-9-10", "ReLU 784-100-10"


def networks(
    seed: int, spiking: Sequence[int] = (50, 60, 70, 80), large: bool = False, percent: float = 97.4
) -> list[Variant]:
    """What a run of a seed counts: a spiking network, a small conventional one, maybe a large."""
    found = [
        variant("spiking", spiking, percent, network=f"spiking 784-16-10, {seed} % pruned"),
        variant("conventional", [10, 20, 30, 40], 98.9, network=SMALL),
    ]
    if large:
        found.append(variant("conventional", [1000, 1000, 1000, 1000], 99.6, network=LARGE))
    return [
        replace(one, weights_sha256=f"{place}{seed}".rjust(64, "0"))
        for place, one in enumerate(found)
    ]


@pytest.fixture
def priced(project: Path, repository: Path) -> Path:
    """A project with prices."""
    set_parameters(project, {"energy_report.bootstrap_samples": 100})
    prices = artifact_paths(repository)["hardware"]
    (project / prices).parent.mkdir(parents=True)
    shutil.copy(repository / prices, project / prices)
    return project


def record_networks(
    project: Path,
    name: str,
    contenders: Sequence[Variant] = (),
    seed: int = 42,
    size: int = 400,
    **parameters: str,
) -> str:
    """A run of that name, its id; without contenders, as one from before networks were stored."""
    artifacts = {project / "params.yaml": ""}
    if contenders:
        path = project.parent / name / "contenders.npz"
        path.parent.mkdir()
        save_variants(path, contenders)
        artifacts[path] = "results"
    about = {"model.hidden": f"[{size}]", "seed": str(seed), "encode.encoding": "latency"}
    times = {"training_time_seconds": 50.0, "baseline_time_seconds": 30.0}
    times |= {"training_processor_seconds": 90.0, "baseline_processor_seconds": 32.0}
    one = run(name, 98, 97, 4000 + len(name), parameters={**about, **parameters}, metrics=times)
    return record(project, one, artifacts)


def found_in(project: Path) -> tuple[list[RecordedNetwork], dict[str, int]]:
    store = store_of(project)
    path = Path(artifact_paths(project)["contenders"])
    return recorded_networks(
        store,
        recorded_runs(store),
        path,
        list(load_profiles().values()),
        ("seed", "model.hidden", "encode.time_window", "baseline", "train.lr"),
    )


def test_networks_that_differ_in_the_seed_alone_are_one_configuration(priced: Path) -> None:
    """Of either side by the parameters that concern it; each network is there once."""
    ids = [
        record_networks(priced, "lean", networks(42)),
        record_networks(priced, "lean-seed-43", networks(43, large=True), 43),
        # Another spiking network beside the same conventional ones, and the first again.
        record_networks(priced, "wide", networks(42, percent=98.0)[:2], size=500),
        record_networks(priced, "again", networks(42)),
        record_networks(priced, "longer", networks(44), 44, **{"train.lr": "0.1"}),
        record_networks(priced, "cropped", networks(45), 45, **{"data.crop_pixels": "2"}),
    ]
    found, left_out = found_in(priced)
    by_name = {(one.run_id, one.network): one for one in found}
    assert len(found) == len(by_name)
    assert not left_out
    small = [one for one in found if one.network == SMALL]
    assert sorted(one.seed for one in small) == [42, 43, 44, 45]
    (large,) = (one for one in found if one.network == LARGE)
    spiking = {(one.seed, one.validation_percent): one for one in found if one.side == "spiking"}
    assert len(spiking) == 5
    lean, other = spiking[42, 97.4], spiking[43, 97.4]
    assert lean.run_id == ids[3], "of the same weights the latest run counts"
    assert lean.name == "again: 784-16-10, 42 % pruned, way"
    assert (lean.git_commit, lean.n_images, lean.weight_bits) == ("c0ffee", 4, 32)
    assert lean.configuration == other.configuration
    assert len({one.configuration for one in spiking.values()}) == 4
    of_seed = {one.seed: one.configuration for one in small}
    assert of_seed[42] == of_seed[43]
    assert len(set(of_seed.values())) == 3
    assert large.configuration not in of_seed.values()
    assert (lean.train_seconds, large.train_seconds) == (50, 15)
    assert (lean.processor_seconds, large.processor_seconds) == (90, 16)
    assert {(one.seed, one.crop_pixels, one.average_pixels) for one in small} >= {
        (42, 0, 1), (45, 2, 1)
    }  # fmt: skip
    energy = lean.energy(PROFILE)
    assert energy
    assert energy.value_pj == pytest.approx(0.1 * 65)
    assert energy.standard_deviation_pj == pytest.approx(0.1 * (500 / 3) ** 0.5)


def test_accuracy_and_energy_are_of_the_same_images(priced: Path) -> None:
    """A network counted on fewer images than others is left out, and that is said."""
    record_networks(priced, "lean", networks(42))
    fewer = networks(43, spiking=(1, 2))
    for one in fewer:
        one.operations.__dict__["counts"] = one.operations.counts[:2]
    record_networks(priced, "fewer", fewer, 43)
    found, left_out = found_in(priced)
    assert {one.seed for one in found} == {42}
    assert left_out == {"networks counted on fewer test images": 2}


def test_the_verdict_from_the_store_to_the_tables(priced: Path, cli: Cli) -> None:
    for seed in range(42, 47):
        record_networks(priced, f"lean-{seed}", networks(seed, large=True), seed)
    record_networks(priced, "unmarked", [replace(one, weights_sha256="") for one in networks(1)])
    record_networks(priced, "before", ())
    table, fronts = priced / "metrics" / "verdict.csv", priced / "metrics" / "fronts.csv"
    text = cli.text("verdict", priced, "--table", table, "--fronts", fronts)
    rows = {row.level_percent: row for row in VerdictTable.read(table).rows
            if row.profile == PROFILE}  # fmt: skip
    outcomes = {level: row.outcome for level, row in rows.items()}
    # One configuration is no front, and none is extended beyond its ends.
    assert outcomes == {97.5: "neither", 98.0: "neither", 98.5: "neither", 99.0: "undecided"}
    at = rows[99.0]
    assert (at.ratio, at.spiking, at.spiking_n_configurations) == (None, "", 1)
    assert (at.conventional_n_seeds, at.conventional_n_configurations) == (5, 2)
    assert at.conventional_pj == pytest.approx(3.2 * 25 * 40 ** (0.1 / 0.7))
    assert at.conventional == f"{LARGE}, way"
    assert at.conventional_below == f"{SMALL}, way"
    recorded = FrontsTable.read(fronts).rows
    assert {(one.network, one.seed) for one in recorded} >= {(LARGE, 46), (SMALL, 42)}
    assert len(recorded) == 15
    # Every run that a verdict names is a row of the networks, with its commit.
    runs = {one.run_id: one.git_commit for one in recorded}
    for row in VerdictTable.read(table).rows:
        for side in ("spiking", "conventional"):
            names = getattr(row, f"{side}_runs").split()
            assert len(names) == getattr(row, f"{side}_n_seeds")
            assert {runs[name] for name in names} == set(getattr(row, f"{side}_commits").split())
    assert "Left out: " in text
    for reason in ("1 recorded before weights had a checksum", "1 that recorded no counted netw"):
        assert reason in text


def test_networks_of_a_lost_store_are_judged_from_their_table(priced: Path, cli: Cli) -> None:
    fronts = priced / "fronts.csv"
    elsewhere, without = (Path(shutil.copytree(priced, priced.parent / name)) for name in "ab")
    for seed in (42, 43):
        record_networks(elsewhere, f"lost-{seed}", networks(seed), seed)
    cli.text("verdict", elsewhere, "--fronts", fronts)
    lost = FrontsTable.read(fronts).rows
    for seed in (43, 44):
        record_networks(priced, f"new-{seed}", networks(seed), seed)
    cli.text("verdict", priced, "--recorded", fronts, "--fronts", fronts)
    # Without any store the table alone is judged, and stays as it is.
    cli.text("verdict", without, "--recorded", fronts, "--fronts", priced / "again.csv")
    assert (priced / "again.csv").read_bytes() == fronts.read_bytes()
    rows = FrontsTable.read(fronts).rows
    # Each network once, of the store where that has it; seeds of both are one configuration.
    names = [f"{name}-{seed}" for name, seed in (("lost", 42), ("new", 43), ("new", 44))]
    assert [one.run for one in rows] == [*names, *names]
    assert len({one.configuration for one in rows}) == 2
    assert [one for one in rows if one in lost] == [one for one in lost if one.seed == 42]
    assert "none.csv" in cli.refusal("verdict", priced, "--recorded", priced / "none.csv")


def test_the_projects_recorded_networks_are_beside_its_runs(priced: Path, cli: Cli) -> None:
    """By default, unless they were counted on other images, which is said."""
    table = priced / artifact_paths(priced)["fronts"]
    elsewhere = Path(shutil.copytree(priced, priced.parent / "elsewhere"))
    record_networks(elsewhere, "theirs", networks(42), 42)
    cli.text("verdict", elsewhere, "--fronts", table)

    def runs_of(*options: str) -> set[str]:
        cli.text("verdict", priced, "--fronts", priced / "judged.csv", *options)
        return {row.run for row in FrontsTable.read(priced / "judged.csv").rows}

    assert runs_of() == {"theirs"}, "before its first run"
    record_networks(priced, "mine", networks(43), 43)
    assert runs_of() == {"theirs", "mine"}
    assert runs_of("--no-recorded") == {"mine"}
    table.write_text(table.read_text(encoding="utf-8").replace("mnist5k,", "mnist,"), "utf-8")
    assert runs_of() == {"mine"}
    (left_out,) = re.findall("Left out: (.*)\\.\n", cli.text("verdict", priced))
    assert {"2", "mnist", "mnist5k"} <= set(left_out.split())
    assert runs_of("--data", "mnist") == {"theirs"}


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        (("mnist5k,", "kmnist,"), "2 recorded networks, counted on kmnist"),
        ((r"115\.0,[\d.]+", ","), "1 networks of the table, without some of the prices"),
        ((r"115\.0", ""), "row 2: "),
        ((r"115\.0", "-1"), "row 2: "),
        ((r"115\.0", "much"), "row 2: "),
    ],
)
def test_a_table_that_does_not_fit(
    priced: Path, cli: Cli, replaced: tuple[str, str], said: str
) -> None:
    table = priced / "table.csv"
    record_networks(priced, "lean", networks(42))
    cli.text("verdict", priced, "--fronts", table)
    text = table.read_text(encoding="utf-8")
    table.write_text(re.sub(*replaced, text), encoding="utf-8")
    answer = cli.refusal if said.startswith("row") else cli.text
    assert said in answer("verdict", priced, "--recorded", table)


def test_what_reads_the_store_needs_no_valid_parameter_that_it_does_not_use(
    priced: Path, cli: Cli
) -> None:
    record_networks(priced, "lean", networks(42))
    commands = ("runs", "seeds", "verdict")
    before = [cli.text(command, priced) for command in commands]
    wrong = {"train.lr": "fast", "energy_report.profile": 7, "evaluate.early_exit_rule": "never"}
    set_parameters(priced, wrong)
    assert [cli.text(command, priced) for command in commands] == before
    set_parameters(priced, {"evaluate.confidence": 2})
    assert "evaluate.confidence: 2 is not allowed" in cli.refusal("verdict", priced)
    set_parameters(priced, {"publish.experiment": 7})
    assert "publish.experiment: 7 is not allowed" in cli.refusal("runs", priced)


def test_a_verdict_without_networks(priced: Path, cli: Cli) -> None:
    record_networks(priced, "before", ())
    said = cli.text("verdict", priced)
    assert said.startswith("No verdict: 0 networks are recorded, and both sides need some.\n")
    assert "1 that recorded no counted networks" in said
    record_networks(priced, "lean", networks(42))
    (stored,) = (priced / "mlartifacts").rglob("contenders.npz")
    stored.write_bytes(stored.read_bytes()[:-50])
    said = cli.refusal("verdict", priced, "--table", priced / "verdict.csv")
    assert not (priced / "verdict.csv").exists()
    assert said.startswith("error: run ")
    assert "contenders.npz" in said
