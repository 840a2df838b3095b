"""What tests take from inside DVC, which has no public way for it. Seen in DVC 3.67.

An import that fails here means that a newer DVC has moved it.
"""

from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides as apply_overrides
from dvc.utils.serialize import parse_yaml as parse_yaml


def load_lock_file(folder: Path) -> None:
    """Read the dvc.lock of a project as DVC does; DVC's error if it is damaged."""
    with Repo(str(folder)) as repo:
        Lockfile(repo, str(folder / "dvc.lock")).load()
