"""Train on a set of events that is larger than the memory it takes: `python -m` this module.

Generates an event file of so many bytes, a block at a time, and runs prepare, encode and train on
it, each in a process of its own, in a folder that is removed. Prints what each needed: seconds, and
the largest resident set size, which is of the process alone and not of the file cache.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.images import project_root
from spikejoule.data.event_file import EventBlock, EventSetting, write_event_file
from spikejoule.data.event_samples import EventSamples, offsets_of
from spikejoule.data.subject import Subject, numbered

SIDE = 128
SHAPE = (2, SIDE, SIDE)
EVENTS_PER_SAMPLE = 17_500
BYTES_PER_EVENT = 6
N_CLASSES = 10
DURATION_US = 100_000
TEST_SHARE = 0.02
STAGES = ("prepare", "encode", "train")
# A stage, and the most memory that it took, in KiB, as its last line.
CODE = """
import importlib, resource, sys
from stages.shared.common import run_stage
stage = importlib.import_module(f"stages.{sys.argv[1]}")
status = run_stage(stage.main, None, stage.PATHS, [])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def blocks(n_samples: int, size: int = 64) -> Iterator[EventBlock]:
    """Samples whose class is the band of rows in which four fifths of their events lie."""
    band = SIDE // N_CLASSES
    for first in range(0, n_samples, size):
        count = min(size, n_samples - first)
        random = np.random.default_rng(first)
        labels = np.arange(first, first + count) % N_CLASSES
        extent = (count, EVENTS_PER_SAMPLE)
        own = labels[:, None] * band + random.integers(0, band, extent)
        rows = np.where(random.random(extent) < 0.8, own, random.integers(0, SIDE, extent))
        units = (random.integers(0, 2, extent) * SIDE + rows) * SIDE
        units += random.integers(0, SIDE, extent)
        times = random.integers(0, DURATION_US, extent, dtype=np.uint32)
        offsets = offsets_of(np.full(count, EVENTS_PER_SAMPLE))
        events = EventSamples(times.ravel(), units.ravel().astype(np.uint16), offsets)
        yield EventBlock(events, labels)


def prepared(folder: Path, root: Path, n_bytes: int) -> int:
    """Write the set and a project on it; returns the number of samples."""
    n_samples = -(-n_bytes // (BYTES_PER_EVENT * EVENTS_PER_SAMPLE))
    setting = EventSetting("generated", Subject("band", numbered(N_CLASSES)), SHAPE, DURATION_US)
    n_train = round(n_samples * (1 - TEST_SHARE))
    write_event_file(folder / "generated.npz", setting, blocks(n_samples), n_train)
    shutil.copy(root / "dvc.yaml", folder)
    content: Any = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content["data"] |= {"source": "events", "files": "generated.npz", "validation_size": 0.02}
    content["encode"] |= {"encoding": "none", "time_window": 20, "window_ms": DURATION_US / 1000}
    content["model"] |= {"hidden": 64}
    none = dict.fromkeys(("shift_pixels", "rotate_degrees", "scale_fraction"), 0)
    content["train"] |= {"engine": "event", "max_epochs": 1, **none}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return n_samples


def main() -> None:
    """Generate, run the stages, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of events (default: 2)")
    options = parser.parse_args()
    root = project_root()
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_samples = prepared(folder, root, round(options.gigabytes * 1e9))
        size = (folder / "generated.npz").stat().st_size
        print(json.dumps({"set_bytes": size, "samples": n_samples}), flush=True)
        for stage in STAGES:
            since = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CODE, stage],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            figures = {
                "stage": stage,
                "seconds": round(time.perf_counter() - since, 1),
                "largest_resident_bytes": int(done.stdout.split()[-1]) * 1024,
            }
            print(json.dumps(figures), flush=True)
        print((folder / "metrics" / "train.json").read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
