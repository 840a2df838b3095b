"""README is short, and its example prints what it shows."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.pages import blocks_of
from tests.tools.pipeline_tools import clean_environment


def test_it_is_short(repository: Path) -> None:
    assert len((repository / "README.md").read_text(encoding="utf-8").split()) <= 600


@pytest.mark.slow
def test_the_example_prints_what_it_shows(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    blocks = {block.language: block for block in blocks_of(repository / "README.md")}
    environment = clean_environment(tmp_path)
    environment["PYTHONPATH"] = str(repository / "src")
    command = [sys.executable, "-W", "ignore", "-c", blocks["python"].text]
    # Without standard error, where progress is shown.
    printed = subprocess.check_output(command, env=environment, text=True)
    assert printed == blocks["text"].text
