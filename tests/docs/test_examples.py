"""The scripts of examples/."""

import sys
from pathlib import Path

import pytest

from tests.tools.pipeline_tools import clean_environment, run
from tests.tools.without_torch import needs_torch

SAYS = {
    "count_and_price": "Intel Loihi",
    "price_two_networks": "at equal accuracy",
    "remember_with_recurrence": "% recurrent",
    "train_on_events": "epoch 8",
    "two_engines": "largest difference of a weight",
}


@needs_torch
@pytest.mark.slow
def test_each_prints_its_result(repository: Path, tmp_path: Path) -> None:
    scripts = {script.stem: script for script in (repository / "examples").glob("*.py")}
    assert scripts.keys() == SAYS.keys()
    # In one process, but each as a script: importing torch takes longer than they do.
    code = (
        "import runpy, sys\nfor sys.argv in [[path] for path in sys.argv[1:]]:\n"
        "    runpy.run_path(sys.argv[0], {}, '__main__')"
    )
    environment = {**clean_environment(tmp_path), "PYTHONPATH": str(repository / "src")}
    said = run([sys.executable, "-c", code, *scripts.values()], tmp_path, environment)
    assert all(words in said for words in SAYS.values())
