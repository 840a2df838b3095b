"""Mend what a kill of DVC has left behind: `python -m stages.locks`, before DVC.

DVC rewrites its lists of busy files (.dvc/tmp/rwlock, for experiments .dvc/tmp/exps/rwlock) and
dvc.lock in place. Killed meanwhile, or on a full disk, it leaves them empty or cut, and refuses to
work from then on. A list that is whole may name a process whose number another one has by now,
after a restart of the machine say: DVC waits for that one in vain. Such a list may go once nobody
can have anything in it, and such a dvc.lock may be set aside: results of trainings are in DVC's run
cache, and the other stages take seconds.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

LISTS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))
LOCK_FILE = Path("dvc.lock")
SET_ASIDE = Path(".dvc/tmp/dvc.lock.damaged")

_CONFLICT = "<<<<<<< "
_CLOCK_SECONDS = 2.0
_WRITING_SECONDS = 0.5


def main(root: Path) -> int:
    """Mend the project at `root`; returns the exit status, 1 if a living DVC is in the way."""
    for path in LISTS:
        # Importing DVC takes a moment, which nobody shall wait for without need.
        if not _is_sound(root / path) and not _mend(root, path):
            return 1
    if not _is_whole(root / LOCK_FILE):
        return _set_aside(root)
    return 0


def _is_sound(path: Path) -> bool:
    """Whether a list is whole, and names no process that began after it was written."""
    try:
        content = json.loads(path.read_bytes())
        written = path.stat().st_mtime
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return isinstance(content, dict) and not any(
        _began_after(written, pid) for pid in _processes_in(content)
    )


def _processes_in(content: dict[str, Any]) -> set[int]:
    """The numbers of the processes in a list: one writes a path, several may read it."""
    readers = [entry for several in content.get("read", {}).values() for entry in several]
    return {int(entry["pid"]) for entry in (*readers, *content.get("write", {}).values())}


def _began_after(moment: float, pid: int) -> bool:
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).create_time() > moment + _CLOCK_SECONDS)
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
            if _is_sound(root / path):
                return True
            living = _processes_of_dvc(root)
            if not living:
                (root / path).unlink()
    except LockError:
        return True  # in use this very moment: DVC itself waits for it, or says so
    if living:
        _refuse(path, living)
        return False
    print(
        f"warning: {path}, damaged or outdated since DVC was killed or the disk was full, is "
        "removed.",
        file=sys.stderr,
    )
    return True


def _is_whole(path: Path) -> bool:
    """Whether dvc.lock ends where DVC has ended it.

    Another damage, as a conflict that git has marked, is for DVC to name and for a person to mend.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    except UnicodeDecodeError:
        return False
    if _CONFLICT in text:
        return True
    try:
        stages = YAML(typ="safe").load(text)["stages"]
        return text.endswith("\n") and isinstance(stages, dict) and _is_complete(stages)
    except (YAMLError, KeyError, TypeError):
        return False


def _is_complete(value: object) -> bool:
    """Whether the last value of all is there, how deep it may be."""
    while isinstance(value, dict | list) and value:
        value = [*value.values()][-1] if isinstance(value, dict) else value[-1]
    return value is not None


def _set_aside(root: Path) -> int:
    """Move dvc.lock away if it is cut still when DVC cannot be about to write it."""
    time.sleep(_WRITING_SECONDS)
    living = _processes_of_dvc(root)
    if _is_whole(root / LOCK_FILE):
        return 0
    if living:
        _refuse(LOCK_FILE, living)
        return 1
    (root / SET_ASIDE).parent.mkdir(parents=True, exist_ok=True)
    os.replace(root / LOCK_FILE, root / SET_ASIDE)
    print(
        f"warning: {LOCK_FILE}, cut when DVC was killed or the disk was full, is now {SET_ASIDE}; "
        "DVC takes what it can from its run cache, and runs the rest.",
        file=sys.stderr,
    )
    return 0


def _refuse(path: Path, living: list[int]) -> None:
    print(
        f"error: {path} is damaged, and DVC runs in this project (process "
        f"{', '.join(map(str, living))}): try again when it has ended.",
        file=sys.stderr,
    )


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
