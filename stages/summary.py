"""The last lines of `make repro`: the run's figures, and where to read on.

`python -m stages.summary` prints them from the figures that DVC compares.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import read_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.energy import load_profiles
from spikejoule.energy.estimates import joules, plain

PJ_PER_NJ = 1000

NO_IDENTITY = """
git does not know your name and email address yet; `dvc exp run` needs them:
  git config user.name "Your Name"
  git config user.email you@example.org"""


def summary_lines(summary: Mapping[str, Any], data: str, prices: str) -> list[str]:
    """Write a line for each figure; `data` and `prices` are titles.

    There is no energy if the price list does not cover the network, and no ratio if no
    conventional network is comparable.
    """
    lines = [f"accuracy  {summary['accuracy']:.2f} % on test images of {data}"]
    if "energy_nj" in summary:
        energy = joules(PJ_PER_NJ * summary["energy_nj"])
        lines.append(f"energy    {energy} per inference ({prices})")
    if "ratio" in summary:
        bound = summary.get("ratio_bound", "")
        ratio = f"{bound} {plain(summary['ratio'])} times".strip()
        lines.append(
            f"ratio     {ratio} the energy of a conventional network at equal "
            f"accuracy ({prices})"
        )
    return lines


def has_git_identity(folder: Path) -> bool:
    """Whether git has a name and an address, in its settings or variables."""
    command = ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def main(folder: Path) -> None:
    """Print a run's figures, and the git settings that experiments still need."""
    paths = artifact_paths(folder)
    summary = read_json(folder / paths["summary"])
    data = read_json(folder / paths["data_metrics"])
    profiles = load_profiles(folder / paths["hardware"])
    prices = profiles[summary["prices"]].title
    lines = summary_lines(summary, data["title"], prices)
    lines.append(f"page      {paths['energy_page']}")
    lines.append("all runs  make ui")
    print("", *lines, sep=os.linesep)
    if not has_git_identity(folder):
        print(NO_IDENTITY)


if __name__ == "__main__":
    try:
        main(Path())
    except SpikejouleError as error:
        sys.exit(f"error: {error}")
