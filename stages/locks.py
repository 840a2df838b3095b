"""Mend what a kill of DVC leaves, which DVC itself does not: `python -m stages.locks`, before DVC.

DVC rewrites its lists of busy files (.dvc/tmp/rwlock, for experiments .dvc/tmp/exps/rwlock) and
dvc.lock in place. Killed meanwhile, or on a full disk, it leaves them empty or cut, and refuses to
work from then on. And a list may name a process that was killed, whose number another one has by
now: DVC waits for that one in vain. Where no DVC is at work, such a file is set aside: results are
in DVC's run cache. Whatever else is wrong is for DVC to name.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil

FILES = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"), Path("dvc.lock"))
_WRITING_SECONDS = 0.5


def main(root: Path) -> int:
    """Mend the project at `root`; returns the exit status, 1 if a living DVC is in the way."""
    damaged = [path for path in FILES if not _is_sound(root / path)]
    if damaged:
        time.sleep(_WRITING_SECONDS)  # DVC may be about to write it
        living = ", ".join(map(str, _processes_of_dvc(root)))
        damaged = [path for path in damaged if not _is_sound(root / path)]
        if damaged and living:
            busy = f"DVC runs in this project (process {living}): try again when it has ended"
            print(f"error: {damaged[0]} is damaged, and {busy}.", file=sys.stderr)
            return 1
    for path in damaged:
        aside = Path(".dvc/tmp") / f"{path.name}.damaged"
        os.replace(root / path, root / aside)
        print(f"warning: {path}, which a kill has left damaged, is now {aside}.", file=sys.stderr)
    return 0


def _is_sound(path: Path) -> bool:
    """Whether a file is whole or not there; a list names no process but that which wrote it."""
    if not path.exists():
        return True
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".lock":
            return text.endswith("\n") and not text.endswith(":\n")
        entries: list[dict[str, Any]] = []
        json.loads(text, object_hook=lambda each: entries.append(each) if "pid" in each else each)
        return all(map(_is_of_its_writer, entries))
    except ValueError:
        return False


def _is_of_its_writer(entry: dict[str, Any]) -> bool:
    """Whether the process that an entry names has its command, or is gone, which DVC notices."""
    try:
        command = " ".join(psutil.Process(entry["pid"]).cmdline())
    except psutil.Error:
        return True
    return command.endswith(entry["cmd"].split()[-1])


def _processes_of_dvc(root: Path) -> list[int]:
    """Every process of DVC at work in `root`: `dvc ...`, `python -m dvc ...` and the like."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "cwd"])
        if Path(process.info["cwd"] or "/").is_relative_to(root)
        and any(Path(word).name == "dvc" for word in (process.info["cmdline"] or ())[:3])
    ]


if __name__ == "__main__":
    sys.exit(main(Path.cwd().resolve()))
