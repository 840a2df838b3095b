"""The scripts and the notebooks of examples/."""

import re
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


def run_notebook(repository: Path, folder: Path, name: str) -> list[notebook.Cell]:
    """Run a copy of a notebook; return its cells."""
    copy = Path(shutil.copy(repository / "examples" / name, folder))
    python(repository, folder, "-m", "docs.site.notebook", copy.name)
    cells: list[notebook.Cell] = notebook.read(copy)["cells"]
    return cells


def figures_in(cells: list[notebook.Cell]) -> int:
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return sum("data" in output for output in outputs)


def test_the_notebook_prints_what_it_shows(repository: Path, tmp_path: Path) -> None:
    """And draws its figure, and saves its report."""
    kept = repository / "examples" / "first-hour.ipynb"
    cells = run_notebook(repository, tmp_path, kept.name)
    remedy = "run: python -m docs.site.notebook examples/first-hour.ipynb"
    shown = notebook.printed(notebook.read(kept)["cells"])
    assert notebook.printed(cells) == shown, remedy
    assert figures_in(cells) == 1
    assert "<svg" in (tmp_path / "own-network.html").read_text(encoding="utf-8")


def test_the_tutorials_network_trains_alike_by_events(
    repository: Path, tmp_path: Path
) -> None:
    """As it is and accelerated: the same lines, accuracy and joules, in less time."""
    pytest.importorskip("snntorch", reason="needs the extra interop")
    kept = repository / "examples" / "tutorial-by-events.ipynb"
    cells = run_notebook(repository, tmp_path, kept.name)
    shown = notebook.printed(notebook.read(kept)["cells"])
    # Times, and digits that rounding may move, differ between machines.
    assert [without_numbers(text) for text in notebook.printed(cells)] == [
        without_numbers(text) for text in shown
    ], "run: python -m docs.site.notebook examples/tutorial-by-events.ipynb"
    compared = "".join(notebook.printed(cells))
    (seconds, percent), (fast_seconds, fast_percent) = (
        map(float, found)
        for found in re.findall(r"([\d.]+) s +([\d.]+) % correct", compared)
    )
    assert fast_seconds < seconds
    assert abs(fast_percent - percent) <= 1.5
    assert percent > 85
    assert figures_in(cells) == 1
    assert "<svg" in (tmp_path / "tutorial-training.html").read_text(encoding="utf-8")


def without_numbers(text: str) -> str:
    """The words of printed lines, without numbers, units of energy and spaces."""
    return re.sub(r"\s+|[\d.,]+|[mµn]?J\b", "", text)
