"""The verdict over recorded runs, from a real store: `spikejoule verdict`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from spikejoule import cli
from spikejoule.energy.ledger import Variant, save_variants
from spikejoule.energy.tables import VerdictRow, VerdictTable
from spikejoule.tracking.pareto import compare_runs
from spikejoule.tracking.queries import finished_runs
from spikejoule.tracking.runs import StoredFile
from spikejoule.tracking.verdict import RecordedContenders, recorded_contenders
from tests.energy.test_verdict import variant
from tests.tools import recorded as recorded_runs
from tests.tools.pipeline_tools import artifact_paths, set_parameters
from tests.tools.recorded import run

# Events cost 0.9 pJ under this profile, MACs 4.6 pJ.
PROFILE = "45nm-fp32"
SMALL_BASELINE, LARGE_BASELINE = "ReLU 784-9-10", "ReLU 784-100-10"
LEAN = [
    variant("spiking", [50, 60, 70, 80], 97.4, network="spiking 784-16-10 (latency)"),
    variant("conventional", [10, 20, 30, 4000], 98.2, network=SMALL_BASELINE),
]
# Of one image less, and with the baseline that the other run has, too.
WIDE = [
    variant("spiking", [100, 200, 300], 98.6, network="spiking 784-400-10 (latency)"),
    variant("conventional", [10, 20, 30], 98.2, network=SMALL_BASELINE),
    variant("conventional", [1000, 1000, 1000], 99.2, network=LARGE_BASELINE),
]


@pytest.fixture
def project(project: Path, repository: Path) -> Path:
    """With prices."""
    set_parameters(project, {"energy_report.bootstrap_samples": 100})
    prices = artifact_paths(repository)["hardware"]
    (project / prices).parent.mkdir(parents=True)
    shutil.copy(repository / prices, project / prices)
    return project


def record(
    project: Path, name: str, contenders: Sequence[Variant] = (), source: str = "mnist5k"
) -> None:
    """A run of that name; without contenders, as one from before networks were stored."""
    artifacts = [StoredFile(project / "params.yaml", "")]
    if contenders:
        path = project.parent / name / "contenders.npz"
        path.parent.mkdir()
        save_variants(path, contenders)
        artifacts.append(StoredFile(path, "results"))
    size = {"model.hidden": f"[{len(name)}]"}
    one = run(name, 98, 97, 4000 + len(name), parameters=size, tags={"data.source": source})
    recorded_runs.record(project, one, artifacts)


def recorded(project: Path) -> RecordedContenders:
    store = recorded_runs.store_of(project)
    return recorded_contenders(
        store, compare_runs(finished_runs(store)), Path(artifact_paths(project)["contenders"])
    )


def judged(project: Path, *arguments: str) -> dict[float, VerdictRow]:
    """The rows of `PROFILE` in the table that the command writes, by accuracy."""
    table = project / "metrics" / "verdict.csv"
    assert cli.main(["verdict", str(project), "--table", str(table), *arguments]) == 0
    return {
        row.level_percent: row for row in VerdictTable.read(table).rows if row.profile == PROFILE
    }


def refusal(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    table = project / "verdict.csv"
    assert cli.main(["verdict", str(project), "--table", str(table), *arguments]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert not table.exists()
    (line,) = said.err.splitlines()
    assert line.startswith("error: ")
    return line


class TestContenders:
    def test_a_run_that_gave_the_same_again_brings_its_baselines(self, project: Path) -> None:
        record(project, "lean", LEAN)
        record(project, "same", WIDE)  # of as many letters: the same parameters and figures
        assert sorted(one.network for one in recorded(project).contenders) == [
            LARGE_BASELINE,
            SMALL_BASELINE,
            "same: 784-400-10 (latency)",  # the last one stands for both
        ]

    def test_networks_of_one_name_that_were_trained_otherwise_are_two(self, project: Path) -> None:
        record(project, "lean", LEAN)
        record(project, "wider", [variant("conventional", [7], 97.9, network=SMALL_BASELINE)])
        baselines = [one for one in recorded(project).contenders if one.network == SMALL_BASELINE]
        assert {one.accuracies.validation_percent for one in baselines if one.accuracies} == {
            98.2,
            97.9,
        }


class TestCommand:
    def test_from_the_store_to_the_table(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Spiking networks bear the names of their runs; all are cut to the images of every run."""
        record(project, "lean", LEAN)
        record(project, "wider", WIDE)
        record(project, "before", ())
        rows = judged(project)
        names = {level: (row.spiking, row.conventional) for level, row in rows.items()}
        lean, wider = "lean: 784-16-10 (latency), way", "wider: 784-400-10 (latency), way"
        small, large = f"{SMALL_BASELINE}, way", f"{LARGE_BASELINE}, way"
        assert names == {
            97.0: (lean, small),
            98.0: (wider, small),
            98.5: (wider, large),
            99.0: ("", large),
        }
        assert {level: row.outcome for level, row in rows.items()} == {
            97.0: "snn", 98.0: "ann", 98.5: "snn", 99.0: "ann",
        }  # fmt: skip
        assert rows[97.0].ratio == pytest.approx(0.9 * 60 / (4.6 * 20))
        assert rows[98.0].spiking_pj == pytest.approx(0.9 * 200)
        assert rows[99.0].conventional_pj == pytest.approx(4.6 * 1000)
        assert rows[99.0].ratio is None
        text = capsys.readouterr().out
        assert text.startswith("4 networks of 2 runs\n")
        assert text.endswith("Without counted networks: before\n")
        (line,) = (each for each in text.splitlines() if each.split()[:2] == [PROFILE, "98"])
        assert "conventional network wins" in line
        assert f"{wider}: 180 pJ" in line
        (line,) = (each for each in text.splitlines() if each.split()[:2] == [PROFILE, "99"])
        assert "none" in line

    def test_refusals(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        record(project, "before", ())
        assert "no run in the store holds the networks that it counted" in refusal(project, capsys)
        record(project, "lean", LEAN)
        (stored,) = (project / "mlartifacts").rglob("contenders.npz")
        stored.write_bytes(stored.read_bytes()[:-50])
        said = refusal(project, capsys)
        assert said.startswith("error: run ")
        assert "contenders.npz" in said
        (project / "mlartifacts").rename(project / "moved")
        said = refusal(project, capsys)
        assert said.startswith("error: results/contenders.npz of run ")
        assert "if the run's files were moved or removed, bring them back" in said
