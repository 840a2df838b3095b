"""`spikejoule check`: a recorded run against the limits of params.yaml."""

import json
from pathlib import Path

import pytest

from spikejoule.cli import main
from tests.tools.pipeline_tools import set_parameters, write_lock

ENERGY = Path("metrics/energy.json")
EVALUATION = Path("metrics/evaluate.json")


def test_each_limit_is_a_sentence_about_what_dvc_has_recorded(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(budget_nj: float | None, percent: float | None) -> list[str]:
        """What is broken, a line for each limit."""
        limits = {"budget_nj": budget_nj, "min_accuracy_percent": percent}
        named = {f"energy_report.{key}": json.dumps(value) for key, value in limits.items()}
        set_parameters(Path(), named)
        status = main(["check"])
        broken = capsys.readouterr().err.splitlines()
        assert status == bool(broken)
        return broken

    energy = json.loads(ENERGY.read_text(encoding="utf-8"))
    spent = energy["energy_per_inference_pj"] / 1000
    accuracy = json.loads(EVALUATION.read_text(encoding="utf-8"))["test_accuracy_percent"]
    # The lock is that of the parameters before: limits are no dependency of any stage.
    assert check(spent, accuracy) == []
    first, second = check(spent * 0.999, accuracy + 0.01)
    assert first.startswith(f"error: an inference takes {spent:.10g} nJ under 45nm-fp32; ")
    assert second.startswith("error: the test accuracy is ")
    assert check(spent, accuracy + 0.01) == [second]
    assert check(spent * 0.999, None) == [first]
    assert "set one of them" in check(None, None)[0]
    # Of a bracket, the upper end counts.
    del energy["energy_per_inference_pj"]
    ENERGY.write_text(json.dumps(energy), encoding="utf-8")
    high = energy["energy_per_inference_high_pj"] / 1000
    assert "not the file that dvc.lock records" in check(high, None)[0]
    write_lock(Path())
    assert check(high, None) == []
    assert len(check(high * 0.999, None)) == 1
