"""The notebook of examples/, run from top to bottom."""

import shutil
import sys
from pathlib import Path

import pytest

from docs.site import notebook
from tests.tools.pipeline_tools import clean_environment, run
from tests.tools.without_torch import needs_torch


@needs_torch
@pytest.mark.slow
def test_the_first_hour(repository: Path, tmp_path: Path) -> None:
    """It prints what it shows, draws its figure, and saves its report."""
    kept = repository / "examples" / "first-hour.ipynb"
    copy = Path(shutil.copy(kept, tmp_path))
    environment = clean_environment(tmp_path)
    environment["PYTHONPATH"] = f"{repository / 'src'}:{repository}"
    run([sys.executable, "-m", "docs.site.notebook", copy.name], tmp_path, environment)
    cells = notebook.read(copy)["cells"]
    remedy = "run: python -m docs.site.notebook examples/first-hour.ipynb"
    assert notebook.printed(cells) == notebook.printed(notebook.read(kept)["cells"]), (
        remedy
    )
    assert (
        sum("data" in output for cell in cells for output in cell.get("outputs", ()))
        == 1
    )
    assert "<svg" in (tmp_path / "own-network.html").read_text(encoding="utf-8")
