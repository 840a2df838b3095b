"""Remove DVC's lists of busy files if they are damaged: `python -m stages.locks`, before DVC.

DVC rewrites .dvc/tmp/rwlock (and for experiments .dvc/tmp/exps/rwlock) in place. Killed meanwhile,
or on a full disk, it leaves the file empty or cut, and refuses to work from then on. A damaged list
has lost its content, so it may go once nobody can have anything in it.
"""

import json
import sys
from pathlib import Path

import psutil

LISTS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))


def main(root: Path) -> int:
    """Mend the project at `root`; returns the exit status, 1 if a living DVC is in the way."""
    for path in LISTS:
        # Importing DVC takes a moment, which nobody shall wait for without need.
        if not _is_intact(root / path) and not _mend(root, path):
            return 1
    return 0


def _is_intact(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def _mend(root: Path, path: Path) -> bool:
    """Remove a list that is damaged still when DVC cannot be about to write it."""
    from dvc.config import Config
    from dvc.lock import LockError, make_lock
    from dvc.rwlock import RWLOCK_LOCK

    folder = (root / path).parent
    core = Config(str(root / ".dvc"))["core"]
    guard = make_lock(
        str(folder / RWLOCK_LOCK), tmp_dir=str(folder), hardlink_lock=core["hardlink_lock"]
    )
    try:
        with guard:
            if _is_intact(root / path):
                return True
            living = _processes_of_dvc(root)
            if not living:
                (root / path).unlink()
    except LockError:
        return True  # in use this very moment: DVC itself waits for it, or says so
    if living:
        print(
            f"error: {path} is damaged, and DVC runs in this project (process "
            f"{', '.join(map(str, living))}): try again when it has ended.",
            file=sys.stderr,
        )
        return False
    print(
        f"warning: {path}, damaged when DVC was killed or the disk was full, is removed.",
        file=sys.stderr,
    )
    return True


def _processes_of_dvc(root: Path) -> list[int]:
    """Every process of DVC at work in `root`, as far as this user may know."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        told = process.info
        alive = told["status"] != psutil.STATUS_ZOMBIE and told["cwd"] is not None
        if alive and _is_dvc(told["cmdline"] or []) and Path(told["cwd"]).is_relative_to(root):
            found.append(process.pid)
    return found


def _is_dvc(command: list[str]) -> bool:
    """`dvc ...`, `python dvc ...`, `python -m dvc ...`, and `python .../dvc/__main__.py ...`."""
    program = [Path(word).name for word in command[:3]]
    if "__main__.py" in program:
        return Path(command[program.index("__main__.py")]).parent.name == "dvc"
    return "dvc" in program


if __name__ == "__main__":
    sys.exit(main(Path.cwd().resolve()))
