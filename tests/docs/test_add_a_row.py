"""A metric is one change of one file, a term one of two, and each has its test: the pages, run."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "others", "n_files", "passed"),
    [
        ("add-a-metric", [], 1, "3 passed"),
        (
            "add-a-term",
            ["tests/energy/recount.py", "docs/explanation/energy-ledger.md"],
            2,
            "6 passed",
        ),
    ],
)
def test_what_the_page_adds(
    page: str, others: list[str], n_files: int, passed: str, repository: Path, tmp_path: Path
) -> None:
    *diffs, test, command = blocks_of(repository / "docs" / "how-to" / f"{page}.md")
    changed = [line[6:] for diff in diffs for line in diff.text.splitlines() if "+++ b/" in line]
    assert [name.startswith("src/") for name in changed[:n_files]] == [True] * n_files
    assert changed[n_files:] == others
    (tmp_path / "tests" / "evaluation").mkdir(parents=True)
    for folder in ("src", "tests/tools", "tests/energy", "docs/explanation"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / folder, tmp_path / folder, ignore=ignore)
    for diff in diffs:
        (tmp_path / "patch").write_text(diff.text, encoding="utf-8")
        run(["git", "apply", "--recount", "patch"], tmp_path, os.environ)
    write_block(test, tmp_path)
    program, *arguments = command.text.split()
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path}"}
    assert passed in run([sys.executable, *arguments], tmp_path, environment)
