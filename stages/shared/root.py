"""Where the project is that a stage works for."""

import os
from pathlib import Path


def project_root() -> Path:
    """Return the project's root: the working directory, or for an experiment in a folder of its own
    (`dvc exp run --temp`, the queue) the workspace that it belongs to.

    DVC_ROOT is inherited by every process below a stage, so it counts only if it contains the
    working directory.
    """
    here = Path.cwd().resolve()
    dvc_root = os.environ.get("DVC_ROOT")
    if dvc_root:
        root = Path(dvc_root).resolve()
        if here.is_relative_to(root) and (root / ".dvc").is_dir():
            return root
    return here
