"""Repair what a killed DVC leaves: `python -m stages.locks`, before DVC starts.

DVC rewrites its lists of busy files and dvc.lock in place. Killed meanwhile, or on a
full disk, it leaves them empty or truncated, and then refuses to work. A list may also
name a killed process whose number another process has now, for which DVC waits in vain.
Where no DVC is running nothing is busy, so the lists are removed. A damaged dvc.lock is
set aside: the results are in DVC's run cache. DVC itself reports any other problem.

DVC has no command for this. Its messages name the lists, and its documentation names
dvc.lock; seen in DVC 3.67. `tests/stages/test_locks.py` fails if a newer one has
changed them.
"""

import sys
from pathlib import Path

import psutil

BUSY_FILES = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))


def main(root: Path) -> None:
    """Repair the project at `root`, unless DVC is running there."""
    if any(
        _is_dvc(process, root) for process in psutil.process_iter(["cmdline", "cwd"])
    ):
        return
    for path in BUSY_FILES:
        (root / path).unlink(missing_ok=True)
    lock = root / "dvc.lock"
    aside = Path(".dvc/tmp/dvc.lock.damaged")
    if lock.exists() and not _is_whole(lock.read_bytes()):
        (root / aside).parent.mkdir(parents=True, exist_ok=True)
        lock.replace(root / aside)
        print(
            f"warning: dvc.lock, which a kill has left damaged, is now {aside}.",
            file=sys.stderr,
        )


def _is_dvc(process: psutil.Process, root: Path) -> bool:
    """Whether a process is `dvc` or `python -m dvc`, running in `root`."""
    return Path(process.info["cwd"] or root).is_relative_to(root) and any(
        Path(word).name == "dvc" for word in (process.info["cmdline"] or ())[:6]
    )


def _is_whole(content: bytes) -> bool:
    """Whether YAML that DVC wrote ends with a whole line and no open key."""
    return content.endswith(b"\n") and not content.endswith(b":\n")


if __name__ == "__main__":
    try:
        main(Path.cwd().resolve())
    except OSError as error:  # such as another user's project
        sys.exit(f"error: {error}.")
