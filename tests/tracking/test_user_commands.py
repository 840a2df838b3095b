"""Commands for users print; only `make record` replaces recorded tables and pages."""

import shutil
from pathlib import Path

import pytest

from studies.verdict.tests.runs import networks, record_networks
from tests.tools.pipeline_tools import (
    clean_environment,
    clone_of_working_tree,
    git,
    run,
)
from tests.tools.recorded_project import build_environment
from tests.tools.without_torch import needs_torch


@needs_torch
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_verdict_and_the_means_of_a_user_change_no_file(
    tmp_path: Path, repository: Path, empty_database: Path
) -> None:
    """In a committed clone with a store of two runs."""
    folder = tmp_path / "a clone"
    environment = clean_environment(tmp_path)
    few = {"energy_report.bootstrap_samples": 100}
    clone_of_working_tree(repository, folder, environment, few)
    shutil.copy(empty_database, folder)
    for seed in (42, 43):
        record_networks(folder, f"lean-{seed}", networks(seed, large=True), seed)
    build_environment(folder)
    environment["PYTHONPATH"] = f"{folder / 'src'}:{folder}"
    said = run(["make", "verdict", "seeds"], folder, environment)
    assert git(folder, environment, "status", "--porcelain") == ""
    # The recorded networks of the same data were counted on more images.
    assert "6 networks counted on fewer test images" in said
    assert "lean-42" in said
