"""The metrics that git keeps: of the recorded run, whatever has been run in the folder since."""

import csv
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def committed_values(name: str) -> Any:
    """The content of metrics/NAME.json."""
    return json.loads(committed_text(f"metrics/{name}.json"))


def committed_rows(name: str) -> list[dict[str, str]]:
    """The rows of metrics/NAME.csv."""
    return list(csv.DictReader(committed_text(f"metrics/{name}.csv").splitlines()))


@cache
def committed_text(path: str) -> str:
    """A file of the checked-out commit; of a folder that is no clone, the file itself."""
    if not (REPOSITORY / ".git").exists():
        return (REPOSITORY / path).read_text(encoding="utf-8")
    shown = subprocess.run(
        ["git", "show", f"HEAD:{path}"], cwd=REPOSITORY, check=True, capture_output=True
    )
    return shown.stdout.decode()
