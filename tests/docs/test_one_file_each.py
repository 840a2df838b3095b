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
    "add-a-surrogate": "network/surrogates/laplacian.py",
    "add-a-schedule": "training/schedules/linear.py",
    "add-a-hardware-profile": "energy/hardware.yaml",
}
# The surrogate in plain loops. The engines are compared for the new surrogate only: all
# kernels are compiled again beside it, which takes minutes.
NAIVE = '    if name == "constant":\n'
LAPLACIAN = (
    '    if name == "laplacian":\n        return slope / 2 * '
    "math.exp(-slope * abs(x))\n"
)
CHANGES = {
    "tests/naive.py": {NAIVE: LAPLACIAN + NAIVE},
    "tests/engine/test_engines.py": {
        "SURROGATE = st.sampled_from(list(SURROGATES))": "SURROGATE = "
        'st.just("laplacian")',
        "@settings(max_examples=80)\n": "@settings(max_examples=20)\n",
    },
}
HOLD_FOR_EVERY_KIND = (
    "tests/network/test_torch_twin.py",
    "tests/engine/test_engines.py::test_all_agree",
    "tests/training/test_schedule.py",
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
    for name, changes in CHANGES.items():
        text = (folder / name).read_text(encoding="utf-8")
        for before, after in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")
    environment["PYTHONPATH"] = f"{folder / 'src'}:{folder}"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *HOLD_FOR_EVERY_KIND]
    run(command, folder, environment)
