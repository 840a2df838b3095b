"""Which code, which libraries and which bytes made a result."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# What decides a result, within a project. (A pipeline rewrites its own outputs and
# dvc.lock, so the whole tree would never count as committed.)
CODE = ("src", "stages", "dvc.yaml", "params.yaml", "pyproject.toml")

_GIT_SECONDS = 20
LIBRARIES = ("torch", "numpy", "numba", "scikit-learn", "dvc", "mlflow")


def provenance_tags(
    directory: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Tags of a run under MLflow's own names: its name, its code and the git commit of
    that; and whether `CODE` differs from the commit.

    The name is that of DVC's experiment, else of the commit that was reproduced.
    Outside a repository or without git both facts are "unknown", and MLflow names the
    run.
    """
    try:
        commit = git(directory, "rev-parse", "HEAD")
        dirty = (
            "true" if git(directory, "status", "--porcelain", "--", *CODE) else "false"
        )
    except (OSError, subprocess.SubprocessError):
        commit = dirty = "unknown"
    name = environment.get("DVC_EXP_NAME") or (
        commit != "unknown" and f"repro-{commit[:7]}"
    )
    return {
        "git.dirty": dirty,
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml",
        **({"mlflow.runName": name} if name else {}),
    }


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """The installed version of each library, without importing it; those not installed
    left out.
    """
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def computing_environment() -> dict[str, str]:
    """Versions of libraries and of Python, and the processor's instructions, as torch
    sees them.

    Where one of them differs, sums may be rounded otherwise.
    """
    import torch

    return {
        **library_versions((*LIBRARIES, "scipy")),
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def file_digest(path: str | os.PathLike[str], algorithm: str) -> str:
    """The hexadecimal digest of a file's bytes; `md5` is what DVC records in
    dvc.lock.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def tree_digests(paths: Iterable[Path]) -> dict[str, str] | None:
    """The SHA-256 of every file at `paths` and below, by its path; None if a path is
    missing.

    Caches of Python and hidden files are left out.
    """
    digests: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            return None
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            below = file.relative_to(path).parts
            if file.is_file() and not any(
                of[0] == "." or of == "__pycache__" for of in below
            ):
                digests[file.as_posix()] = file_digest(file, "sha256")
    return digests


def content_digest(content: Mapping[str, Any]) -> str:
    """A digest (32 hexadecimal digits) of plain values that does not depend on their
    order.
    """
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def git(directory: Path, *arguments: str) -> str:
    """What a command of git prints; OSError or `subprocess.SubprocessError` if it
    fails.
    """
    done = subprocess.run(
        ["git", "-C", os.fspath(directory), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
    )
    return done.stdout.strip()
