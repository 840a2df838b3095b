"""A term is one row and one count, counted again by the tests: the code of the page, run."""

import os
import shutil
import sys
from pathlib import Path

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import run


def test_the_term_of_the_page(repository: Path, tmp_path: Path) -> None:
    *diffs, test, command = blocks_of(repository / "docs" / "how-to" / "add-a-term.md")
    changed = [line[6:] for diff in diffs for line in diff.text.splitlines() if "+++ b/" in line]
    assert sum(name.startswith("src/") for name in changed) == 2
    assert changed[2:] == ["tests/energy/recount.py", "docs/explanation/energy-ledger.md"]
    for folder in ("src", "tests/tools", "docs/explanation"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / folder, tmp_path / folder, ignore=ignore)
    (tmp_path / "tests" / "energy").mkdir()
    for name in ("recount.py", "test_terms.py"):
        shutil.copy(repository / "tests" / "energy" / name, tmp_path / "tests" / "energy")
    for diff in diffs:
        (tmp_path / "patch").write_text(diff.text, encoding="utf-8")
        run(["git", "apply", "--recount", "patch"], tmp_path, os.environ)
    write_block(test, tmp_path)
    program, *arguments = command.text.split()
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path}"}
    assert "6 passed" in run([sys.executable, *arguments], tmp_path, environment)
