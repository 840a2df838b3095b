"""Run `dvc repro` on many params.yaml, one after the other.

In the working directory, a project. For each file NAME.yaml of the folder CASES, NAME.json tells
what came of it. DVC's command line is called in this process, as `dvc` itself calls it: its import
would take longer than all the rest.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dvc.cli
from ruamel.yaml import YAML

from spikejoule.encoding.events import load_events

LOCK = Path("dvc.lock")
OUTPUTS = {name: Path(f"{name}.npz") for name in ("events_validation", "events_test")}
PROBE = Path("probe.json")


def outcome(parameters: bytes, arguments: list[str]) -> dict[str, Any]:
    """Exit status, output, seconds, and of each stage that ran what was recorded and used."""
    for path in (LOCK, PROBE, *OUTPUTS.values()):
        path.unlink(missing_ok=True)
    Path("params.yaml").write_bytes(parameters)
    started = time.monotonic()
    status, said = _call(arguments)
    found: dict[str, Any] = {
        "status": status,
        "said": said,
        "seconds": time.monotonic() - started,
        "recorded": _recorded(),
    }
    if "probe" in found["recorded"]:
        found["used"] = json.loads(PROBE.read_text(encoding="utf-8"))
    if "encode" in found["recorded"]:
        loaded = [load_events(path) for path in OUTPUTS.values()]
        found["headers"] = [encoding | {"n_steps": events.n_steps} for events, encoding in loaded]
    return found


def _recorded() -> dict[str, Any]:
    """Stage -> the parameters that dvc.lock records."""
    if not LOCK.exists():
        return {}
    lock = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))
    return {name: stage["params"]["params.yaml"] for name, stage in lock["stages"].items()}


def _call(arguments: list[str]) -> tuple[int, str]:
    """DVC's command line; what it and its children write goes through the descriptors 1 and 2."""
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as stream:
        try:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)
            status = dvc.cli.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
        stream.seek(0)
        return status, stream.read().decode("utf-8", errors="replace")


if __name__ == "__main__":
    for case in sorted(Path(sys.argv[1]).glob("*.yaml")):
        result = outcome(case.read_bytes(), sys.argv[2:])
        case.with_suffix(".json").write_text(json.dumps(result, default=str), encoding="utf-8")
