"""Examples print what their pages show below them."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import clean_environment

PAGES = {
    "README.md": "snntorch",
    "docs/how-to/price-a-transformer.md": "spikingjelly",
    "docs/how-to/price-quantised-layers.md": "spikingjelly",
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_examples_print_what_the_page_shows(
    page: str, repository: Path, tmp_path: Path
) -> None:
    pytest.importorskip(PAGES[page], reason="needs the extra interop")
    blocks = blocks_of(repository / page)
    environment = clean_environment(tmp_path)
    environment["PYTHONPATH"] = str(repository / "src")
    n_compared = 0
    for block, following in pairwise([*blocks, blocks[0]]):
        if block.title:
            write_block(block, tmp_path)
        elif block.language == "python":
            command = [sys.executable, "-W", "ignore", "-c", block.text]
            # Without standard error, where progress is shown.
            printed = subprocess.check_output(
                command, cwd=tmp_path, env=environment, text=True
            )
            assert following.language == "text"
            assert printed == following.text
            n_compared += 1
    assert n_compared > 0
