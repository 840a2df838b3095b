"""`spikejoule check`: a recorded run against the limits of params.yaml."""

import json
from pathlib import Path

import pytest

from spikejoule.cli import main
from tests.tools.pipeline_tools import set_parameters

ENERGY = Path("metrics/energy.json")
EVALUATION = Path("metrics/evaluate.json")


def test_each_limit_is_a_sentence(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(budget_nj: float | None, percent: float | None) -> list[str]:
        """What is broken, a line for each limit."""
        limits = {"budget_nj": budget_nj, "min_accuracy_percent": percent}
        named = {
            f"energy_report.{key}": json.dumps(value) for key, value in limits.items()
        }
        set_parameters(Path(), named)
        status = main(["check"])
        broken = capsys.readouterr().err.splitlines()
        assert status == bool(broken)
        return broken

    def record(**energies: float) -> None:
        """Other energies, as if the pipeline had made them."""
        metrics = {
            name: value for name, value in recorded.items() if "energy" not in name
        }
        ENERGY.write_text(json.dumps(metrics | energies), encoding="utf-8")

    recorded = json.loads(ENERGY.read_text(encoding="utf-8"))
    accuracy = json.loads(EVALUATION.read_text(encoding="utf-8"))[
        "test_accuracy_percent"
    ]
    record(energy_nj=250.0, energy_low_nj=249.0, energy_high_nj=251.0)
    assert check(250, accuracy) == []
    energy_line, accuracy_line = check(249.9, accuracy + 0.01)
    profile = recorded["profile"]
    assert energy_line.startswith(f"error: an inference takes 250 nJ under {profile}; ")
    assert accuracy_line.startswith("error: the test accuracy is ")
    assert "set one of them" in check(None, None)[0]
    # Of a bracket, the upper end counts.
    record(energy_low_nj=249.0, energy_high_nj=251.0)
    assert check(251, None) == []
    assert len(check(250.9, None)) == 1
    # Where nothing has a price, no budget is kept.
    record(energy_nj=0.0, energy_low_nj=0.0, energy_high_nj=0.0)
    (line,) = check(1e6, accuracy)
    assert f"no energy of an inference under {profile}" in line
    assert check(None, accuracy) == []
    EVALUATION.write_text("{}", encoding="utf-8")
    assert check(None, accuracy) == [
        f"error: {EVALUATION} has no number test_accuracy_percent: run `dvc repro`."
    ]
