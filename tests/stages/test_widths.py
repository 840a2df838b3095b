"""What commands print fits the terminal: 100 columns, or COLUMNS."""

import shlex
import subprocess

import pytest

from tests.tools.recorded_project import Project
from tests.tools.services import on_one_worker

CHECKPOINT = "models/surrogate_snn_checkpoint.pth"
pytestmark = [pytest.mark.slow, *on_one_worker("recorded")]

COMMANDS = (
    "make -s help",
    "python -m stages.summary",
    "python -m studies.verdict judge",
    "python -m studies.verdict judge --help",
    "spikejoule --help",
    *(
        f"spikejoule {name} --help"
        for name in (
            "inspect",
            "energy",
            "try",
            "publish",
            "check",
            "seeds",
            "serve",
            "search",
        )
    ),
    f"spikejoule inspect {CHECKPOINT}",
    f"spikejoule inspect --all {CHECKPOINT}",
    "spikejoule inspect models/network.nir",
    f"spikejoule energy {CHECKPOINT}",
    "spikejoule energy models/network.nir --events data/events_test.npz",
    "spikejoule seeds",
    "spikejoule publish",
)
DVC_COMMANDS = ("dvc metrics show", "dvc metrics diff HEAD")
"""DVC does not follow COLUMNS."""


def widths(project: Project, command: str, columns: int) -> list[int]:
    """Return the widths of the lines that a command prints, without long words."""
    done = subprocess.run(
        shlex.split(command),
        cwd=project.folder,
        env={**project.environment, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [len(line) for line in done.stdout.splitlines() if " " in line.strip()]


@pytest.mark.parametrize("columns", [60, 100])
def test_every_command_fits(columns: int, recorded_project: Project) -> None:
    for command in COMMANDS:
        # argparse does not break a group of options.
        if columns < 100 and command.endswith("--help"):
            continue
        assert max(widths(recorded_project, command, columns)) <= columns, command
    for command in DVC_COMMANDS:
        found = widths(recorded_project, command, columns)
        assert max(found, default=0) <= 100, command
