"""Mend what a kill of DVC leaves, which DVC itself does not: `python -m stages.locks`,
before DVC.

DVC rewrites its lists of busy files and dvc.lock in place. Killed meanwhile, or on a
full disk, it leaves them empty or cut, and refuses to work from then on. And a list may
name a process that was killed, whose number another one has by now: DVC waits for that
one in vain. Where no DVC is at work nothing is busy, so the lists go; a damaged
dvc.lock is set aside: results are in DVC's run cache. Whatever else is wrong is for DVC
to name.
"""

import sys
from pathlib import Path

import psutil

BUSY_FILES = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))


def main(root: Path) -> None:
    """Mend the project at `root`, unless a living DVC is at work there."""
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
    """Whether a process is `dvc ...`, `python -m dvc ...` or the like, at work in
    `root`.
    """
    return Path(process.info["cwd"] or root).is_relative_to(root) and any(
        Path(word).name == "dvc" for word in (process.info["cmdline"] or ())[:6]
    )


def _is_whole(content: bytes) -> bool:
    """Whether YAML that DVC has written ends as it should, rather than at any byte."""
    return content.endswith(b"\n") and not content.endswith(b":\n")


if __name__ == "__main__":
    try:
        main(Path.cwd().resolve())
    except OSError as error:  # another user's project, say
        sys.exit(f"error: {error}.")
