"""Every code block of the home, tutorial and how-to pages, run as it is written.

A page is followed from top to bottom in a copy of a project in which the pipeline has
run on 5,000 digits. `tests.tools.pages` explains the comments in the pages.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_one_file_each import PAGES as FOLLOWED_TOGETHER
from tests.docs.test_printed import PAGES as RUN_BY_THEMSELVES
from tests.tools.pages import Reader, blocks_of
from tests.tools.pipeline_tools import run
from tests.tools.services import SHARED

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = (
    *(DOCS / name for name in ("index.md", "tutorial.md", "reference/event-files.md")),
    *sorted((DOCS / "how-to").glob("*.md")),
)
WITH_SERVICES = ("share-a-server",)
WITH_PACKAGES = {
    "hand-a-network-to-another-simulator": (
        "spikingjelly",
        "snntorch",
        "norse",
        "sinabs",
    ),
    "price-a-snntorch-model": ("snntorch",),
    "track-your-training": ("snntorch",),
    "price-any-nir-graph": ("snntorch",),
    "train-your-model-by-events": ("snntorch",),
}
ELSEWHERE = {*FOLLOWED_TOGETHER, *(Path(page).stem for page in RUN_BY_THEMSELVES)}
# Consecutive Python blocks share a process, since imports take longest, but no names.
EACH = "import sys\nfor text in sys.argv[1:]: exec(text, {'__name__': '__main__'})"
PYTHON = (sys.executable, "-W", "ignore", "-c", EACH)


def marked(page: Path) -> Any:
    """The page as a parameter; skipped if a package that it imports is missing."""
    needed = WITH_PACKAGES.get(page.stem, ())
    missing = ", ".join(name for name in needed if find_spec(name) is None)
    marks = [pytest.mark.skipif(bool(missing), reason=f"needs interop: {missing}")]
    if page.stem in WITH_SERVICES:
        marks += SHARED
    return pytest.param(page, id=page.stem, marks=marks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_can_be_run(page: Path, tmp_path: Path, committed: Path) -> None:
    """Run, written to a file, applied, or, as `text`, the output of a command."""
    for block in blocks_of(page):
        assert block.title or block.language in {"sh", "python", "diff", "text"}
        if block.language == "python":
            compile(block.text, page.name, "exec")
        if block.language == "diff":
            patch = tmp_path / "patch"
            patch.write_text(block.text, encoding="utf-8")
            # A user's `dvc exp run -S` rewrites params.yaml.
            (name,) = re.findall(r"^--- a/(.+)$", block.text, flags=re.MULTILINE)
            target = tmp_path / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(committed / name, target)
            check = ["git", "apply", "--recount", "--check", patch]
            if subprocess.run(check, cwd=tmp_path / "tree").returncode != 0:
                # Unless the user has followed the page.
                run([*check, "--reverse"], tmp_path / "tree", os.environ)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [marked(page) for page in PAGES if page.stem not in ELSEWHERE]
)
def test_page(page: Path, reader: Reader, request: pytest.FixtureRequest) -> None:
    if page.stem in WITH_SERVICES:
        s3 = request.getfixturevalue("s3")
        s3.bucket("team-mlflow")
        s3.bucket("team-dvc")
        database = request.getfixturevalue("postgresql").create_database("pages")
        reader.environment |= {
            "TEST_S3": s3.url,
            "TEST_DATABASE": database,
            **s3.environment(),
        }
    alike = attrgetter("language", "title", "before")
    for kind, blocks in groupby(blocks_of(page), alike):
        if kind == ("python", "", []):
            texts = [block.text for block in blocks]
            run([*PYTHON, *texts], reader.folder, reader.environment)
        else:
            for block in blocks:
                reader.follow(block)
    # Only `make record` replaces the recorded tables.
    run(["git", "diff", "--exit-code", "studies"], reader.folder, reader.environment)
