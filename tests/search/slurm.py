"""A real Slurm with one node on the loopback interface, run by root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.services import LOOPBACK, free_port, running

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo")
CLIENT_SECONDS = 20
# submitit asks Slurm's accounting, which is not installed here.
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
exec timeout 10 squeue -h -a -t all -o '%i|%T|%N'
"""


@dataclass(frozen=True)
class Slurm:
    """A running cluster; `environment` is for its clients."""

    environment: dict[str, str]

    def client(self, *command: str) -> str:
        """Run a Slurm client and return its output."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=CLIENT_SECONDS,
        )
        return done.stdout.strip()


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[Slurm]:
    """Start a cluster with its files in `folder`, or skip the test."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(
            f"needs {', '.join(missing)} (Debian: apt install slurmctld slurmd "
            "slurm-client munge)"
        )
    if os.geteuid() != 0:
        pytest.skip("needs root, as which this Slurm runs")
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    template = Path(__file__).with_suffix(".conf").read_text(encoding="utf-8")
    configuration = template.format(
        loopback=LOOPBACK,
        folder=folder,
        controller_port=free_port(),
        node_port=free_port(),
    )
    (folder / "slurm.conf").write_text(configuration, encoding="utf-8")
    key = folder / "slurm.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    sacct = folder / "bin" / "sacct"
    sacct.write_text(SACCT, encoding="utf-8")
    sacct.chmod(0o755)
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    cluster = Slurm(environment)

    def idle() -> bool:
        with suppress(subprocess.SubprocessError):
            return "idle" in cluster.client("sinfo", "-h", "-p", "debug", "-o", "%T")
        return False

    # In the foreground, so that they end with the tests.
    with (
        running(
            ["slurmctld", "-i", "-D"],
            folder / "ctld.out",
            lambda: True,
            env=environment,
        ),
        running(
            ["slurmd", "-N", "localhost", "-D"],
            folder / "d.out",
            idle,
            env=environment,
        ),
    ):
        yield cluster
        with suppress(subprocess.SubprocessError):
            cluster.client("scancel", "--full", "--signal=KILL", "--user=root")
