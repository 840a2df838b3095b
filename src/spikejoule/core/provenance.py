"""Provenance of a result: code, libraries, and digests of files."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# The code that decides a result. A pipeline rewrites its outputs and dvc.lock, so the
# whole tree would never count as committed.
CODE = ("src", "stages", "dvc.yaml", "params.yaml", "pyproject.toml")

_GIT_SECONDS = 20
LIBRARIES = ("torch", "numpy", "numba", "scikit-learn", "dvc", "mlflow")


def provenance_tags(
    directory: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return MLflow's tags for a run's name and git commit, and whether it is dirty.

    The name is that of DVC's experiment, else that of the commit. Outside a repository
    or without git, commit and dirtiness are "unknown", and MLflow names the run.
    """
    try:
        commit = git(directory, "rev-parse", "HEAD")
        dirty = (
            "true" if git(directory, "status", "--porcelain", "--", *CODE) else "false"
        )
    except (OSError, subprocess.SubprocessError):
        commit = dirty = "unknown"
    tags = {
        "git.dirty": dirty,
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml",
    }
    experiment = environment.get("DVC_EXP_NAME")
    if experiment:
        tags["mlflow.runName"] = experiment
    elif commit != "unknown":
        tags["mlflow.runName"] = f"repro-{commit[:7]}"
    return tags


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of installed libraries, without importing them."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def computing_environment() -> dict[str, str]:
    """Return versions of libraries and Python, and the processor's instruction set.

    Where one of them differs, sums may be rounded differently.
    """
    import torch

    return {
        **library_versions(),
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def file_digest(path: str | os.PathLike[str], algorithm: str) -> str:
    """Return the hexadecimal digest of a file; DVC records `md5` in dvc.lock."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def tree_digests(paths: Iterable[Path]) -> dict[str, str] | None:
    """Return the SHA-256 of every file at `paths` and below; None if one is missing.

    Python's caches and hidden files are left out.
    """
    digests: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            return None
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            below = file.relative_to(path).parts
            is_hidden = any(part.startswith((".", "__pycache__")) for part in below)
            if file.is_file() and not is_hidden:
                digests[file.as_posix()] = file_digest(file, "sha256")
    return digests


def content_digest(content: Mapping[str, Any]) -> str:
    """Return a digest (32 hexadecimal digits) of plain values, whatever their order."""
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def git(directory: Path, *arguments: str) -> str:
    """Run git and return its output; OSError or SubprocessError if it fails."""
    done = subprocess.run(
        ["git", "-C", os.fspath(directory), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
    )
    return done.stdout.strip()
