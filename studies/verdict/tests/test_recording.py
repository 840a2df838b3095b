"""Networks from the store to the tables: configurations, and what counts."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikejoule.core.yaml_files import artifact_paths
from spikejoule.tracking.recorded import VALIDATION_SIZE, measured_alike, recorded_runs
from studies.verdict.networks import NetworkTable, RecordedNetwork, recorded_table
from studies.verdict.project import price_lists
from studies.verdict.recording import Networks, Reader, beside_table
from studies.verdict.tests.runs import LARGE, SMALL, networks, record_networks
from tests.tools.cli import Cli
from tests.tools.recorded import store_of

PROFILE = "lemaire-complete"


def found_in(project: Path) -> Networks:
    store = store_of(project)
    reader = Reader(
        store,
        project,
        artifact_paths(project),
        list(price_lists().values()),
        ("seed", "model.hidden", "encode.time_window", "baseline", "train.lr"),
    )
    comparable = measured_alike(recorded_runs(store), None, (VALIDATION_SIZE,))
    return beside_table(reader.networks(comparable), (), comparable.data_source)


def written(
    study: Cli, project: Path, *options: str | Path
) -> Sequence[RecordedNetwork]:
    """The networks that the command compares."""
    file = project / "judged.csv"
    study.text(project, "--networks", file, *options)
    return NetworkTable.read(file).rows


def test_networks_that_differ_in_the_seed_alone_are_one_configuration(
    project: Path,
) -> None:
    """A side's configuration depends on its own parameters; a network counts once."""
    record_networks(project, "lean", networks(project, 42))
    record_networks(project, "lean-seed-43", networks(project, 43, large=True), 43)
    # Another spiking network with the same conventional ones, then the first again.
    record_networks(project, "wide", networks(project, 42, percent=98.0), size=500)
    again = record_networks(project, "again", networks(project, 42))
    longer = {"train.lr": "0.1"}
    record_networks(project, "longer", networks(project, 44), 44, **longer)
    found = found_in(project)
    assert not found.left_out

    whole = [row for row in found.rows if row.method == "whole window"]
    spiking = {(row.seed, row.validation_percent): row for row in whole}
    assert len(spiking) == len(whole) == 4
    lean = spiking[42, 97.4]
    assert lean.run_id == again, "of equal weights the latest run counts"
    assert lean.name == "again: 784-2-10 (latency), whole window"
    assert (lean.git_commit, lean.n_images, lean.weight_bits) == ("c0ffee", 40, 32)
    assert (lean.train_seconds, lean.processor_seconds) == (50, 90)
    assert lean.configuration == spiking[43, 97.4].configuration
    assert len({row.configuration for row in spiking.values()}) == 3

    dense = [row for row in found.rows if row.method == "dense"]
    small = {row.seed: row for row in dense if row.network == SMALL}
    assert sorted(small) == [42, 43, 44]
    assert small[42].configuration == small[43].configuration
    assert len({row.configuration for row in small.values()}) == 2
    (large,) = (row for row in dense if row.network == LARGE)
    assert len(dense) == 4
    assert large.configuration not in {row.configuration for row in small.values()}
    # Two networks share the time of their run.
    assert (large.train_seconds, large.processor_seconds) == (15, 16)


def test_from_the_store_to_the_tables(project: Path, study: Cli) -> None:
    for seed in range(42, 47):
        counted = networks(project, seed, large=True)
        record_networks(project, f"lean-{seed}", counted, seed)
    record_networks(project, "before")
    table = project / "verdict.csv"
    file = project / "networks.csv"
    text = study.text(project, "--table", table, "--networks", file)
    rows = pd.read_csv(table)
    under = rows[rows["profile"] == PROFILE].set_index("level_percent")
    # Every network is correct on 97.5 % of the test images.
    assert under["outcome"].to_dict() == {
        97.5: "snn",
        98.0: "missed",
        98.5: "missed",
        99.0: "missed",
    }
    recorded = NetworkTable.read(file).rows
    assert len({row.run_id for row in recorded}) == 5
    at = under.loc[97.5]
    assert at["spiking_n_seeds"] == at["conventional_n_seeds"] == 5
    assert at["spiking_pj"] == pytest.approx(mean_pj(recorded, at["spiking_network"]))
    # Validation errors of 1.1 and 0.4 %, shifted to a mean of 2.5 %.
    share = (2.85 - 2.5) / (2.85 - 2.15)
    small = mean_pj(recorded, at["conventional_below"])
    large = mean_pj(recorded, at["conventional_network"])
    assert at["conventional_pj"] == pytest.approx(
        (1 - share) * small + share * large, rel=1e-4
    )
    assert at["conventional_network"].startswith(LARGE)
    assert at["conventional_below"].startswith(SMALL)
    assert set(at["conventional_runs"].split()) == {row.run_id for row in recorded}
    assert text.startswith("Data: mnist5k. Only 5,000 of MNIST's 70,000 digits")
    text = " ".join(text.split())
    assert "1 that did not store checkpoint/surrogate_snn_checkpoint.pth" in text


def mean_pj(rows: Sequence[RecordedNetwork], name: str) -> float:
    """The mean energy of a network over its seeds, under `PROFILE`."""
    energies = [
        row.energy(PROFILE)
        for row in rows
        if row.name.rpartition(": ")[2] == name.rpartition(": ")[2]
    ]
    assert len(energies) == 5
    return float(np.mean([energy.middle_pj for energy in energies if energy]))


def test_networks_of_a_lost_store_are_judged_from_their_table(
    project: Path, study: Cli
) -> None:
    file = project / "networks.csv"
    for seed in (42, 43):
        record_networks(project, f"lost-{seed}", networks(project, seed), seed)
    study.text(project, "--networks", file)
    lost = NetworkTable.read(file).rows
    (project / "mlflow.db").rename(project / "mlflow.db.lost")
    assert written(study, project, "--recorded", file) == lost
    assert "no finished run" in study.refusal(project)
    (project / "mlflow.db.lost").rename(project / "mlflow.db")
    record_networks(project, "new-43", networks(project, 43), 43)
    record_networks(project, "new-44", networks(project, 44), 44)
    # Each network once, from the store if it is there; seeds of both form one
    # configuration.
    rows = written(study, project, "--recorded", file)
    runs = {"lost-42", "new-43", "new-44"}
    assert {row.run for row in rows} == runs
    assert len(rows) == 4 * len(runs)
    assert len({row.configuration for row in rows}) == 2
    assert "none.csv" in study.refusal(project, "--recorded", project / "none.csv")


def test_recorded_networks_for_the_same_data_join_the_runs(
    project: Path, study: Cli
) -> None:
    elsewhere = Path(shutil.copytree(project, project.parent / "elsewhere"))
    record_networks(elsewhere, "theirs", networks(elsewhere, 42), 42)
    folder = project / "studies" / "verdict"
    study.text(elsewhere, "--networks", recorded_table("mnist5k", folder))

    def runs(*options: str | Path) -> set[str]:
        return {row.run for row in written(study, project, *options)}

    assert runs("--data", "mnist5k") == {"theirs"}, "before the project's first run"
    record_networks(project, "mine", networks(project, 43), 43)
    assert runs() == {"theirs", "mine"}
    assert runs("--no-recorded") == {"mine"}
    other = project / "other.csv"
    text = recorded_table("mnist5k", folder).read_text(encoding="utf-8")
    other.write_text(text.replace("mnist5k,", "mnist,"), encoding="utf-8")
    assert runs("--recorded", other) == {"mine"}
    text = study.text(project, "--recorded", other)
    assert "Left out: 4 recorded networks, counted on mnist instead of mnist5k." in text


def test_without_networks_and_with_damaged_ones(project: Path, study: Cli) -> None:
    run_id = record_networks(project, "lean", networks(project, 42))

    def refusal() -> str:
        message = study.refusal(project, "--table", project / "verdict.csv")
        assert not (project / "verdict.csv").exists()
        assert "the MLflow store" not in message
        return message

    (stored,) = (project / "mlartifacts").rglob("*.pth")
    stored.write_text("damaged", encoding="utf-8")
    assert refusal().startswith(f"error: run {run_id}: ")
    stored.unlink()
    stored.symlink_to(project / "lost.pth")
    assert refusal().startswith(
        f"error: the file checkpoint/{stored.name} of run {run_id} cannot be read"
    )
    stored.unlink()
    text = study.text(project)
    assert text.startswith(
        "No verdict: 0 networks are recorded, and both sides need at least one.\n"
    )
    assert f"1 that did not store checkpoint/{stored.name}" in text
