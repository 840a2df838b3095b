"""The page on the kernels: its blocks run and print what it says, its excerpts are excerpts."""

import contextlib
import io
from pathlib import Path
from typing import Any

from tests.tools.pages import blocks_of

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "explanation" / "reading-the-kernels.md"


def test_excerpts_stand_in_their_files() -> None:
    excerpts = [block for block in blocks_of(PAGE) if block.title]
    assert len(excerpts) == 2
    for block in excerpts:
        assert block.text in (REPOSITORY / block.title).read_text(encoding="utf-8"), block.title


def test_the_worked_example_runs_and_prints_what_the_page_says() -> None:
    namespace: dict[str, Any] = {}
    printed = None
    for block in blocks_of(PAGE):
        if block.title:
            continue
        if block.language == "python":
            assert not printed, "what a block prints is not on the page"
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(block.text, namespace)
            printed = out.getvalue()
        else:
            assert block.language == "text"
            assert printed is not None
            assert printed.strip() == block.text.strip()
            printed = None
    assert not printed
