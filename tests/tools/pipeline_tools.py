"""Clones of the project to run DVC in, commands, and parameters of a project."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.tools.committed import params_text

COMMAND_SECONDS = 900

# Variables of a user's shell that must not reach the tests' processes. With the flags
# that `make test` passes on, make prints its folders; without bytecode files, every
# process compiles all its imports.
_FOREIGN_PREFIXES = ("DVC_", "MLFLOW_", "GIT_", "AWS_", "MAKE")
_FOREIGN = (
    "MFLAGS",
    "MNIST_DIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)
_OUTPUTS_AND_STORES = (
    "data",
    "models",
    "results",
    "metrics",
    "figures",
    "reports",
    "dvc.lock",
    "mlflow.db",
)
OUTPUTS = ("outs", "metrics", "plots")
# Artifacts that no stage writes: they are part of the project.
GIVEN = ("hardware",)
REPOSITORY = Path(__file__).resolve().parents[2]


def pipeline_definition(folder: Path) -> dict[str, Any]:
    """Read the dvc.yaml in `folder`, without replacing its variables."""
    return _parsed((folder / "dvc.yaml").read_text(encoding="utf-8"))


@cache  # PyYAML takes 50 ms, and tests ask for single paths
def _parsed(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def entries(stage: Mapping[str, Any], *kinds: str) -> dict[str, dict[str, Any]]:
    """Options of the artifacts that a stage of dvc.yaml lists, by name."""
    found = {}
    for kind in kinds:
        for entry in stage.get(kind, ()):
            path, options = (
                (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            )
            if path.startswith("$"):
                found[path[len("${paths.") : -1]] = options
    return found


def artifact_paths(folder: Path) -> dict[str, str]:
    """Paths of the pipeline's artifacts, by name."""
    (variables,) = pipeline_definition(folder)["vars"]
    paths: dict[str, str] = variables["paths"]
    return paths


STAGES = tuple(pipeline_definition(REPOSITORY)["stages"])


def clean_environment(isolated: Path, activated: bool = True) -> dict[str, str]:
    """Make the environment of a shell without this machine's settings.

    `isolated` is the folder for DVC's files outside the project. With `activated`, the
    tests' virtual environment is active, as after `. .venv/bin/activate`.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
    }
    binaries = str(Path(sys.executable).parent)
    path = [
        folder for folder in environment["PATH"].split(os.pathsep) if folder != binaries
    ]
    if activated:
        environment["VIRTUAL_ENV"] = sys.prefix
        path.insert(0, binaries)
    return {
        **environment,
        "PATH": os.pathsep.join(path),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_SITE_CACHE_DIR": str(isolated / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(isolated / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(isolated / "dvc-system"),
        "DVC_NO_ANALYTICS": "1",
        "COLUMNS": "200",
        "PYTHONFAULTHANDLER": "1",
    }


def run(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    status: int = 0,
) -> str:
    """Run a command and return its standard output and error together.

    They go to a file: a worker of DVC's queue inherits them, and would hold a pipe open
    for as long as it lives.

    Raises AssertionError, with the output, for an exit status other than `status`.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        output.seek(0)
        printed = output.read()
    assert done.returncode == status, f"{command} gave {done.returncode}:\n{printed}"
    return printed


def dvc(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run DVC like the Makefile and return its output."""
    return run([sys.executable, "-m", "dvc", *arguments], folder, environment)


def start_dvc(
    folder: Path,
    environment: Mapping[str, str],
    *arguments: str,
) -> subprocess.Popen[str]:
    """Start DVC in its own session, so that all its processes can be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def queue_workers(folder: Path) -> list[psutil.Process]:
    """Find the workers of a project's DVC queue, which rename their processes."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "queue-worker" in " ".join(process.info["cmdline"] or ())
        and Path(process.info["cwd"] or "/").is_relative_to(folder)
    ]


def git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run git and return its output."""
    return run(["git", *arguments], folder, environment)


def clone_of_working_tree(
    repository: Path,
    clone: Path,
    environment: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> None:
    """Copy the working tree, as if it were committed and cloned, to a new repository.

    Results of an earlier run are left out. `parameters` (by full key) are set and
    committed.
    """
    options = ("--cached", "--others", "--exclude-standard", "-z")
    files = git(repository, environment, "ls-files", *options).split("\0")
    paths = artifact_paths(repository)
    given = {paths[name] for name in GIVEN}
    for name in files:
        is_result = name.split("/")[0] in _OUTPUTS_AND_STORES and name not in given
        if name and not is_result and (repository / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, clone / name)
    (clone / "params.yaml").write_text(params_text(), encoding="utf-8")
    set_parameters(clone, parameters)
    git(clone, environment, "init", "-q", "-b", "main")
    git(clone, environment, "config", "user.name", "A Researcher")
    git(clone, environment, "config", "user.email", "researcher@example.org")
    commit(clone, environment, "The project")


def commit(clone: Path, environment: Mapping[str, str], message: str) -> None:
    """Commit all files that git does not ignore."""
    git(clone, environment, "add", "-A")
    git(clone, environment, "commit", "-q", "--no-gpg-sign", "-m", message)


def set_parameters(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Set values in the params.yaml of `folder`, by full key (`train.lr`).

    A value may be text with a comment of its own; otherwise the line's comment stays. A
    new key ends its section.
    """
    path = folder / "params.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    for key, value in parameters.items():
        section, _, name = key.rpartition(".")
        label = f"  {name}:" if section else f"{name}:"
        first = lines.index(f"{section}:") if section else 0
        end = next((k for k in range(first, len(lines)) if not lines[k]), len(lines))
        places = range(first, end) if section else range(len(lines))
        old = next((k for k in places if lines[k].startswith(label)), None)
        if old is None:
            lines.insert(end, f"{label} {value}")
        else:
            _, mark, comment = lines[old].partition("  # ")
            keeps = "#" not in str(value)
            lines[old] = f"{label} {value}{mark + comment if keeps else ''}"
            while lines[old + 1 : old + 2] and lines[old + 1].startswith("  - "):
                del lines[old + 1]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_project(repository: Path, folder: Path, parameters: Mapping[str, Any]) -> None:
    """Make a project in which no stage has run, with parameters by full key."""
    folder.mkdir(exist_ok=True)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(repository / name, folder)
    (folder / "params.yaml").write_text(params_text(), encoding="utf-8")
    set_parameters(folder, parameters)
    paths = artifact_paths(repository)
    for name in GIVEN:
        (folder / paths[name]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / paths[name], folder / paths[name])


def stages_that_ran(output: str) -> list[str]:
    """List the stages that DVC reports to have run, in order."""
    return re.findall(r"^Running stage '(\w+)':$", output, flags=re.MULTILINE)
