"""A new kind is one file: the tests for all kinds pass with those that pages add.

Each page gives one new file (or entry) and lines of params.yaml; `test_pages.py` runs
its commands.
"""

import sys
from pathlib import Path

import pytest

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import clean_environment, clone_of_working_tree, run
from tests.tools.without_torch import needs_torch

pytestmark = [needs_torch, pytest.mark.slow]

PAGES = {
    "add-an-encoder": "encoding/encoders/periodic.py",
    "add-a-data-set": "data/sources/uci_digits.py",
    "add-a-neuron": "network/neurons/linear_leak.py",
    "add-a-hardware-profile": "energy/hardware.yaml",
}
HOLD_FOR_EVERY_KIND = (
    "tests/energy/test_profiles.py",
    "tests/stages/test_dvc_yaml.py",
    "tests/test_params.py",
)


def test_the_tests_for_every_kind_pass(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    environment = clean_environment(tmp_path)
    clone_of_working_tree(repository, folder, environment, {})
    for page in PAGES:
        for block in blocks_of(repository / "docs" / "how-to" / f"{page}.md"):
            if block.title:
                assert block.title in ("params.yaml", f"src/spikejoule/{PAGES[page]}")
                write_block(block, folder)
    environment["PYTHONPATH"] = f"{folder / 'src'}:{folder}"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *HOLD_FOR_EVERY_KIND]
    run(command, folder, environment)
