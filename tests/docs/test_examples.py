"""The scripts and the notebook of examples/."""

import shutil
import sys
from pathlib import Path

import pytest

from docs.site import notebook
from tests.tools.pipeline_tools import clean_environment, run
from tests.tools.without_torch import needs_torch

pytestmark = [needs_torch, pytest.mark.slow]

SAYS = {
    "count_and_price": "Intel Loihi",
    "price_two_networks": "at equal accuracy",
    "remember_with_recurrence": "% recurrent",
    "train_on_events": "epoch 8",
    "two_engines": "largest difference of a weight",
}


def python(repository: Path, folder: Path, *arguments: str | Path) -> str:
    """Run Python with this project on its path."""
    environment = clean_environment(folder)
    environment["PYTHONPATH"] = f"{repository / 'src'}:{repository}"
    return run([sys.executable, *arguments], folder, environment)


def test_each_script_prints_its_result(repository: Path, tmp_path: Path) -> None:
    scripts = {script.stem: script for script in (repository / "examples").glob("*.py")}
    assert scripts.keys() == SAYS.keys()
    # In one process, but each as a script: importing torch takes longer than they do.
    code = (
        "import runpy, sys\nfor sys.argv in [[path] for path in sys.argv[1:]]:\n"
        "    runpy.run_path(sys.argv[0], {}, '__main__')"
    )
    said = python(repository, tmp_path, "-c", code, *scripts.values())
    assert all(words in said for words in SAYS.values())


def test_the_notebook_prints_what_it_shows(repository: Path, tmp_path: Path) -> None:
    """And draws its figure, and saves its report."""
    kept = repository / "examples" / "first-hour.ipynb"
    copy = Path(shutil.copy(kept, tmp_path))
    python(repository, tmp_path, "-m", "docs.site.notebook", copy.name)
    cells = notebook.read(copy)["cells"]
    remedy = "run: python -m docs.site.notebook examples/first-hour.ipynb"
    shown = notebook.printed(notebook.read(kept)["cells"])
    assert notebook.printed(cells) == shown, remedy
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("data" in output for output in outputs) == 1
    assert "<svg" in (tmp_path / "own-network.html").read_text(encoding="utf-8")
