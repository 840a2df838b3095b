"""What `make repro` says last: the run's figures, and where to read on.

`python -m stages.summary` prints it from the figures that DVC compares.
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
git does not know your name and address yet, and `dvc exp run` stops without them:
  git config user.name "Your Name"
  git config user.email you@example.org"""


def summary_lines(summary: Mapping[str, Any], data: str, prices: str) -> list[str]:
    """A line for each figure; `data` and `prices` are titles.

    A network that its price list does not cover has no energy, and one that no
    conventional network can be compared with no ratio.
    """
    lines = [f"accuracy  {summary['accuracy']:.2f} % on test images of {data}"]
    if "energy_nj" in summary:
        energy = joules(PJ_PER_NJ * summary["energy_nj"])
        lines.append(f"energy    {energy} per inference ({prices})")
    if "ratio" in summary:
        ratio = (
            f"{summary.get('ratio_bound', '')} {plain(summary['ratio'])} times".strip()
        )
        lines.append(
            f"ratio     {ratio} the energy of a conventional network at equal "
            f"accuracy ({prices})"
        )
    return lines


def has_git_identity(folder: Path) -> bool:
    """Whether git has a name and an address, configured or in its variables."""
    command = ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def main(folder: Path) -> None:
    """Print the figures of the run in a project, and what an experiment still needs."""
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
