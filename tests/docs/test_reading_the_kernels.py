"""Explanation pages: excerpts are in their files, and the example prints its output."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from tests.tools.pages import blocks_of

EXPLANATION = Path("docs") / "explanation"


@pytest.mark.parametrize("page", ["reading-the-kernels", "how-this-code-is-written"])
def test_excerpts_are_those_of_their_files(repository: Path, page: str) -> None:
    blocks = blocks_of(repository / EXPLANATION / f"{page}.md")
    excerpts = [block for block in blocks if block.title]
    assert excerpts
    for excerpt in excerpts:
        code = (repository / excerpt.title).read_text(encoding="utf-8")
        assert excerpt.text in code


def test_the_example_prints_what_the_page_says(repository: Path) -> None:
    page = repository / EXPLANATION / "reading-the-kernels.md"
    blocks = [block for block in blocks_of(page) if not block.title]
    namespace: dict[str, Any] = {}
    for code, printed in zip(blocks[::2], blocks[1::2], strict=True):
        assert (code.language, printed.language) == ("python", "text")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code.text, namespace)
        assert output.getvalue().strip() == printed.text.strip()
