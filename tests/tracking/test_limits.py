"""`spikejoule check`: a recorded run against the limits of params.yaml."""

import json
from pathlib import Path

import pytest

from spikejoule.cli import main
from tests.tools.pipeline_tools import set_parameters, write_lock


def check(capsys: pytest.CaptureFixture[str], **limits: float | None) -> tuple[int, str]:
    """Exit status, and all that was said, under some limits."""
    set_parameters(
        Path(),
        {
            f"energy_report.{key}": "null" if value is None else value
            for key, value in limits.items()
        },
    )
    status = main(["check"])
    said = capsys.readouterr()
    assert bool(said.err) == (status != 0)
    return status, said.out + said.err


def recorded() -> tuple[float, float]:
    """Energy in nJ and accuracy in percent of the project's run."""
    energy = json.loads(Path("metrics/energy.json").read_text(encoding="utf-8"))
    evaluated = json.loads(Path("metrics/evaluate.json").read_text(encoding="utf-8"))
    return energy["energy_per_inference_pj"] / 1000, evaluated["test_accuracy_percent"]


def test_limits_that_hold_change_no_result(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spent, accuracy = recorded()
    # The lock is that of the parameters before: limits are no dependency of any stage.
    status, said = check(capsys, budget_nj=spent, min_accuracy_percent=accuracy)
    assert status == 0
    assert f"{spent:.10g} nJ under 45nm-fp32" in said
    assert f"{accuracy:.10g} %" in said


def test_each_limit_that_is_broken_is_a_sentence(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spent, accuracy = recorded()
    status, said = check(capsys, budget_nj=spent * 0.999, min_accuracy_percent=accuracy + 0.01)
    assert status == 1
    first, second = said.splitlines()
    assert first.startswith("error: an inference takes ")
    assert "energy_report.budget_nj is " in first
    assert second.startswith("error: the test accuracy is ")
    assert check(capsys, budget_nj=spent, min_accuracy_percent=accuracy + 0.01)[0] == 1
    assert check(capsys, budget_nj=spent * 0.999, min_accuracy_percent=None)[0] == 1


def test_nothing_to_check_is_no_success(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(capsys, budget_nj=None, min_accuracy_percent=None)
    assert status == 1
    assert "set one of them" in said


def test_figures_that_no_run_gave(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("metrics/energy.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "energy_per_inference_pj": 1.0}), encoding="utf-8")
    status, said = check(capsys, budget_nj=1.0)
    assert status == 1
    assert "not the file that dvc.lock records" in said


def test_a_bracket_counts_with_its_upper_end(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("metrics/energy.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["energy_per_inference_pj"]
    path.write_text(json.dumps(content), encoding="utf-8")
    write_lock(Path(), [path, Path("metrics/evaluate.json")], [])
    high = content["energy_per_inference_high_pj"] / 1000
    assert check(capsys, budget_nj=high)[0] == 0
    assert check(capsys, budget_nj=high * 0.999)[0] == 1
