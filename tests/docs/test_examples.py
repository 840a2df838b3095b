"""The scripts of examples/, as a user runs them."""

import sys
from pathlib import Path

import pytest

from tests.tools.pipeline_tools import clean_environment, run
from tests.tools.without_torch import needs_torch

SAYS = {
    "count_and_price": "Intel Loihi",
    "train_on_events": "epoch 8",
    "two_engines": "largest difference of a weight",
}


@needs_torch
@pytest.mark.parametrize("name", SAYS)
def test_example(name: str, repository: Path, tmp_path: Path) -> None:
    environment = {**clean_environment(tmp_path), "PYTHONPATH": str(repository / "src")}
    script = repository / "examples" / f"{name}.py"
    assert SAYS[name] in run([sys.executable, script], tmp_path, environment)


def test_all_are_run_and_short(repository: Path) -> None:
    scripts = sorted((repository / "examples").glob("*.py"))
    assert [script.stem for script in scripts] == sorted(SAYS)
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 65
