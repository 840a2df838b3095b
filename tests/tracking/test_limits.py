"""`spikejoule check`: a recorded run against the limits of params.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikejoule.cli import main
from tests.tools.pipeline_tools import set_parameters, write_lock

ENERGY = Path("metrics/energy.json")
EVALUATION = Path("metrics/evaluate.json")


def check(capsys: pytest.CaptureFixture[str], **limits: float | None) -> tuple[int, str]:
    """Exit status, and all that was said, under some limits."""
    set_parameters(
        Path(),
        {f"energy_report.{key}": json.dumps(value) for key, value in limits.items()},
    )
    status = main(["check"])
    said = capsys.readouterr()
    assert bool(said.err) == (status != 0)
    return status, said.out + said.err


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_limit_is_a_sentence(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spent = content(ENERGY)["energy_per_inference_pj"] / 1000
    accuracy = content(EVALUATION)["test_accuracy_percent"]
    # The lock is that of the parameters before: limits are no dependency of any stage.
    status, said = check(capsys, budget_nj=spent, min_accuracy_percent=accuracy)
    assert status == 0
    assert f"{spent:.10g} nJ under 45nm-fp32" in said
    assert f"{accuracy:.10g} %" in said
    status, said = check(capsys, budget_nj=spent * 0.999, min_accuracy_percent=accuracy + 0.01)
    assert status == 1
    first, second = said.splitlines()
    assert first.startswith("error: an inference takes ")
    assert "energy_report.budget_nj is " in first
    assert second.startswith("error: the test accuracy is ")
    assert check(capsys, budget_nj=spent, min_accuracy_percent=accuracy + 0.01)[0] == 1
    assert check(capsys, budget_nj=spent * 0.999, min_accuracy_percent=None)[0] == 1
    status, said = check(capsys, budget_nj=None, min_accuracy_percent=None)
    assert status == 1
    assert "set one of them" in said


def test_a_bracket_counts_with_its_upper_end_once_dvc_has_recorded_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    energy = content(ENERGY)
    del energy["energy_per_inference_pj"]
    ENERGY.write_text(json.dumps(energy), encoding="utf-8")
    high = energy["energy_per_inference_high_pj"] / 1000
    status, said = check(capsys, budget_nj=high)
    assert status == 1
    assert "not the file that dvc.lock records" in said
    write_lock(Path(), [ENERGY, EVALUATION], [])
    assert check(capsys, budget_nj=high)[0] == 0
    assert check(capsys, budget_nj=high * 0.999)[0] == 1
