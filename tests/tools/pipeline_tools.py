"""A clone of the project to run DVC in, and stages as processes: for the tests of the pipeline."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

STAGES = (
    "prepare",
    "encode",
    "baseline",
    "train",
    "measure_inference",
    "evaluate",
    "energy_report",
    "publish",
)
COMMAND_SECONDS = 900

# What a user's shell may carry and the tests must not depend on.
_FOREIGN_PREFIXES = ("DVC_", "MLFLOW_", "GIT_", "AWS_")
_FOREIGN = ("MNIST_DIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_OUTPUTS_AND_STORES = (
    *("data", "models", "results", "metrics", "figures", "reports"),
    *("dvc.lock", "mlflow.db"),
)
# No stage has them as outputs: they come with the project, like the code.
_GIVEN = (
    "metrics/front.csv",
    "metrics/verdict.csv",
    "metrics/fronts.csv",
)


def pipeline_definition(folder: Path) -> dict[str, Any]:
    """The content of the dvc.yaml in `folder`, as it is written: variables not replaced."""
    return _parsed((folder / "dvc.yaml").read_text(encoding="utf-8"))


REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Once for each text: PyYAML takes 50 ms for it, and tests ask for every single path."""
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def artifact_paths(folder: Path) -> dict[str, str]:
    """Name and path of every artifact of the pipeline."""
    (variables,) = pipeline_definition(folder)["vars"]
    paths: dict[str, str] = variables["paths"]
    return paths


def write_paths(folder: Path, paths: Mapping[str, str | Path]) -> None:
    """The project's dvc.yaml in `folder`, with these artifacts and no others."""
    content = {
        "vars": [{"paths": {name: str(path) for name, path in paths.items()}}],
        "stages": pipeline_definition(REPOSITORY)["stages"],
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def clean_environment(isolated: Path, activated: bool = True) -> dict[str, str]:
    """The environment of a new shell in which nothing of this machine's set-up shows.

    `isolated` takes DVC's folders outside of the project. `activated`: the virtual environment of
    these tests is active, as after `. .venv/bin/activate`.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
    }
    binaries = str(Path(sys.executable).parent)
    path = [folder for folder in environment["PATH"].split(os.pathsep) if folder != binaries]
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
    seconds: float = COMMAND_SECONDS,
) -> str:
    """Run a command to its end; returns its standard output and error together.

    Raises AssertionError, with what the command said, for another exit status than `status`.
    """
    process = subprocess.Popen(
        [os.fspath(part) for part in command],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # All that it started too: a stage that hangs says where (PYTHONFAULTHANDLER).
        os.killpg(process.pid, signal.SIGABRT)
        output, _ = process.communicate()
        raise AssertionError(f"{command} did not end:\n{output}") from None
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == status, f"{command} gave {process.returncode}:\n{output}"
    return output


def dvc(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run DVC as the Makefile does; returns all that it printed."""
    return run([sys.executable, "-m", "dvc", *arguments], folder, environment)


def start_dvc(
    folder: Path, environment: Mapping[str, str], *arguments: str, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start DVC in a session of its own, to be killed with all that it started."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def dvc_json(folder: Path, environment: Mapping[str, str], *arguments: str) -> Any:
    """Run a command of DVC with `--json`; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--json"],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
    return json.loads(done.stdout)


def git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run git; returns what it printed."""
    return run(["git", *arguments], folder, environment)


def clone_of_working_tree(
    repository: Path, clone: Path, environment: Mapping[str, str], parameters: Mapping[str, Any]
) -> None:
    """Make `clone` a fresh repository of what git would clone had the working tree been committed.

    Results of an earlier run stay behind. `parameters` (full key -> value) are set and committed.
    """
    files = git(
        repository, environment, "ls-files", "--cached", "--others", "--exclude-standard", "-z"
    )
    for name in files.split("\0"):
        source = repository / name
        kept_back = name.split("/")[0] in _OUTPUTS_AND_STORES and name not in _GIVEN
        if not name or kept_back or not source.is_file():
            continue
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    set_parameters(clone, parameters)
    git(clone, environment, "init", "-q", "-b", "main")
    git(clone, environment, "config", "user.name", "A Researcher")
    git(clone, environment, "config", "user.email", "researcher@example.org")
    commit(clone, environment, "The project")


def commit(clone: Path, environment: Mapping[str, str], message: str) -> None:
    """Commit everything that git does not ignore."""
    git(clone, environment, "add", "-A")
    git(clone, environment, "commit", "-q", "--no-gpg-sign", "-m", message)


def set_parameters(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Change values in the params.yaml of `folder`, by full key (`train.lr`); comments stay."""
    path = folder / "params.yaml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for key, value in parameters.items():
        section, _, name = key.rpartition(".")
        start = lines.index(f"{section}:\n") if section else 0
        pattern = re.compile(rf"({'  ' if section else ''}{name}: )[^#\n]*?(\s*(#.*)?\n)")
        found = next(index for index in range(start, len(lines)) if pattern.fullmatch(lines[index]))
        lines[found] = pattern.sub(
            lambda match, new=value: f"{match[1]}{new}{match[2]}", lines[found]
        )
    path.write_text("".join(lines), encoding="utf-8")


def write_lock(folder: Path, outputs: Sequence[Path], given: Sequence[Path]) -> None:
    """A dvc.lock in `folder`, as if one stage had made `outputs`, for stages called without DVC."""

    def entries(paths: Sequence[Path]) -> list[dict[str, str]]:
        return [
            {"path": path.as_posix(), "md5": hashlib.md5((folder / path).read_bytes()).hexdigest()}
            for path in paths
        ]

    values = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    parameters = {}
    for of_stage in pipeline_definition(REPOSITORY)["stages"].values():
        for name in of_stage["params"]:
            section, _, key = name.partition(".")
            parameters[name] = values[section][key] if key else values[section]
    stage = {
        "cmd": "by hand",
        "deps": entries(given),
        "params": {"params.yaml": parameters},
        "outs": entries(outputs),
    }
    lock = {"schema": "2.0", "stages": {"all": stage}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")


def stages_that_ran(output: str) -> list[str]:
    """The stages that DVC says it ran, in their order."""
    return re.findall(r"^Running stage '(\w+)':$", output, flags=re.MULTILINE)
