"""The page on the kernels: its blocks run and print what it says, its excerpts are
excerpts.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

from tests.tools.pages import blocks_of


def test_excerpts_stand_in_their_files_and_the_example_prints_what_the_page_says(
    repository: Path,
) -> None:
    blocks = blocks_of(repository / "docs" / "explanation" / "reading-the-kernels.md")
    (excerpt,) = (block for block in blocks if block.title)
    assert excerpt.text in (repository / excerpt.title).read_text(encoding="utf-8")
    blocks.remove(excerpt)
    namespace: dict[str, Any] = {}
    for code, said in zip(blocks[::2], blocks[1::2], strict=True):
        assert (code.language, said.language) == ("python", "text")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code.text, namespace)
        assert printed.getvalue().strip() == said.text.strip()
