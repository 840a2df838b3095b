"""Kill a search's workers at random moments: every trial ends, once, and the front is repeatable.

    python -m tests.tools.search_kills --trials 40 --kills 5 --points 3

The search of search.yaml on the 5,000 digits, by two workers in a fresh clone. One of them is
killed with -9 in the middle of a trial, again and again. Then some points of the front are repeated
by the `dvc exp run` that the search gives for each, one after the other in one workspace, where
each command leaves its parameters: the weights must be the same to the byte.
"""

import argparse
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import yaml

from spikejoule.core.provenance import file_digest
from spikejoule.core.store import read_csv
from spikejoule.search.study import STOPPED, TRAINED, number_of
from tests.tools.pipeline_tools import (
    REPOSITORY,
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    dvc,
)
from tests.tools.searches import Search

SEARCH_SECONDS = 3600
MOST_SECONDS = 20.0
"""From one kill to the next."""


def killed(search: Search, trials: int, kills: int, draw: random.Random) -> None:
    """Run a search of two workers, and kill one of them so often."""
    process = search.start("--workers", "2", "--trials", str(trials))
    for number in range(1, kills + 1):
        time.sleep(draw.uniform(0, MOST_SECONDS))
        victim = draw.choice(search.wait_for(search.workers, process))
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            over = len(search.state()[TRAINED])
            print(f"kill {number}: worker {victim}, {over} trials were trained", flush=True)
        search.wait_for(lambda state, gone=victim: gone not in search.workers(state), process)
    search.output_of(process, seconds=SEARCH_SECONDS)


def repeated(search: Search, points: int, draw: random.Random) -> int:
    """Repeat so many points of the front through the pipeline; returns how many differ."""
    rows = read_csv(search.folder / "metrics/search.csv", ["on_front", "command"])
    front = [row for row in rows if row["on_front"] == "1"]
    trained = search.folder / artifact_paths(search.folder)["trained"]
    different = 0
    for point in draw.sample(front, min(points, len(front))):
        dvc(search.folder, search.environment, *shlex.split(point["command"])[1:])
        same = file_digest(trained, "sha256") == point["trained_sha256"]
        different += not same
        print(f"{point['command']}: {'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
    return different


def main(trials: int, kills: int, points: int, seed: int, folder: Path) -> int:
    """Print every kill and every point; returns 1 if a point has other weights."""
    draw = random.Random(seed)
    environment = {**clean_environment(folder.parent), "MLFLOW_DISABLE_TELEMETRY": "true"}
    clone_of_working_tree(REPOSITORY, folder, environment, {"data.source": "mnist5k"})
    dvc(folder, environment, "repro", "prepare")
    content = yaml.safe_load((folder / "search.yaml").read_text(encoding="utf-8"))
    search = Search(folder, environment, content["study"], content["fixed"]["train.max_epochs"])
    started = time.monotonic()
    try:
        killed(search, trials, kills, draw)
    finally:
        search.end()
    search.check(trials, workers=2, all_complete=False)
    state = search.state()
    again = sum(number_of(trial) != trial.number for trial in search.trials())
    trained, stopped = len(state[TRAINED]), len(state[STOPPED])
    print(
        f"{trials} trials requested, {trained + stopped} made in {time.monotonic() - started:.0f} "
        f"s: {trained} complete, {stopped} stopped as hopeless; {again} were run again, each in "
        "its one run, which is FINISHED and has every epoch once",
        flush=True,
    )
    return int(repeated(search, points, draw) > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        project = Path(place) / "project"
        sys.exit(main(chosen.trials, chosen.kills, chosen.points, chosen.seed, project))
