"""A new kind is one file: four pages are followed in one project.

One experiment uses all four kinds, with the options of all pages. Then the tests for
every kind pass, with the new ones.
"""

import shlex
import sys
from pathlib import Path

import pytest

from tests.tools.pages import Reader, blocks_of
from tests.tools.pipeline_tools import run
from tests.tools.without_torch import needs_torch

pytestmark = [needs_torch, pytest.mark.slow]

# The last one names the experiment.
PAGES = {
    "add-a-data-set": "data/sources/uci_digits.py",
    "add-a-neuron": "network/neurons/linear_leak.py",
    "add-a-hardware-profile": "energy/hardware.yaml",
    "add-an-encoder": "encoding/encoders/periodic.py",
}
HOLD_FOR_EVERY_KIND = (
    "tests/energy/test_profiles.py",
    "tests/stages/test_dvc_yaml.py",
    "tests/test_params.py",
)


def test_one_experiment_with_four_new_kinds(reader: Reader, repository: Path) -> None:
    command = ["dvc", "exp", "run"]
    options = []
    afterwards = []
    for page, file in PAGES.items():
        for block in blocks_of(repository / "docs" / "how-to" / f"{page}.md"):
            if block.title:
                assert block.title in ("params.yaml", f"src/spikejoule/{file}")
                reader.follow(block)
            if block.title or block.language != "sh":
                continue
            for line in block.text.strip().splitlines():
                words = shlex.split(line)
                if words[:3] == command:
                    options += words[3:]
                else:
                    afterwards.append(line)
    # All stages but `publish`.
    run([*command, *options, "energy_report"], reader.folder, reader.environment)
    reader.shell("\n".join(afterwards))
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", *HOLD_FOR_EVERY_KIND]
    run(tests, reader.folder, reader.environment)
