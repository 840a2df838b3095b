"""What it costs to share a batch out over many threads, whatever their number.

Up to two threads each take a lane of the batch. More of them follow a plan of smaller parts
(`spikejoule.engine.sharing`), which is more work in all. Here one thread executes the plans for
several numbers of threads, on the same batches in turns, so that nothing but that work is measured.
"""

import math
from typing import Any

import numba
import numpy as np

from benchmarks.peers.project import EventEngine
from benchmarks.timing import timed
from spikejoule.engine import event
from spikejoule.engine.sharing import gradient_of_batch
from spikejoule.engine.workspace import new_workspace, slots_for

PLANS = (2, 4, 8, 16)
PASSES = 6
"""Times that every plan is executed; the fastest counts."""


def gradient_arguments(row: EventEngine, chosen: np.ndarray) -> list[tuple[Any, ...]]:
    """What `gradient_of_batch` receives for each batch of images, [batches, batch size]."""
    received: list[tuple[Any, ...]] = []

    def receive(*arguments: Any) -> None:
        received.append(arguments[:3])
        gradient_of_batch(*arguments)

    event.gradient_of_batch = receive
    try:
        for indices in chosen:
            row.train_batch(indices)
    finally:
        event.gradient_of_batch = gradient_of_batch
    return received


def work_of_plans(row: EventEngine, chosen: np.ndarray) -> dict[int, float]:
    """The work of each plan as a multiple of the first one's."""
    numba.set_num_threads(1)
    batches = gradient_arguments(row, chosen)
    layout, n_steps = row.engine._layout, row.job.time_window
    least = dict.fromkeys(PLANS, math.inf)
    lanes = event.GRADIENT_LANES
    workspaces = {
        threads: new_workspace(
            layout, n_steps, slots_for(layout, n_steps, lanes, threads), lanes, False, np.float32
        )
        for threads in PLANS
    }
    for number in range(PASSES + 1):
        for threads, workspace in workspaces.items():
            seconds = sum(
                timed(gradient_of_batch, *arguments, workspace, threads)[0] for arguments in batches
            )
            if number > 0:  # the first pass compiles and fetches
                least[threads] = min(least[threads], seconds)
    return {threads: seconds / least[PLANS[0]] for threads, seconds in least.items()}
