"""A metric is one field and one value in one file, and its test: the code of the page, run."""

import os
import shutil
import sys
from pathlib import Path

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import run


def test_the_metric_of_the_page(repository: Path, tmp_path: Path) -> None:
    diff, test, command = blocks_of(repository / "docs" / "how-to" / "add-a-metric.md")
    assert diff.text.count("+++ b/") == 1, "one file of the library"
    shutil.copytree(
        repository / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "tests" / "evaluation").mkdir(parents=True)
    shutil.copytree(repository / "tests" / "tools", tmp_path / "tests" / "tools")
    (tmp_path / "patch").write_text(diff.text, encoding="utf-8")
    run(["git", "apply", "--recount", "patch"], tmp_path, os.environ)
    write_block(test, tmp_path)
    program, *arguments = command.text.split()
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path}"}
    assert "3 passed" in run([sys.executable, *arguments], tmp_path, environment)
