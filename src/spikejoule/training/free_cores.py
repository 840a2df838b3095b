"""Adapting the number of kernel threads to the cores that are idle."""

import time

import numba
import psutil

from spikejoule.engine.learning.interface import BatchOutcome
from spikejoule.training.observers import TrainingObserver

COUNT_EVERY_SECONDS = 0.5
"""Time between two counts of idle cores; system counters tick 100 times a second."""


class FreeCores(TrainingObserver):
    """Lets kernels use the idle cores and those they already use.

    Threads wait for each other after every kernel. If one of them shares its core with
    another process, all of them together are slower than a single thread. Results do
    not depend on the number of threads.

    Args:
        threads: the most threads to use.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._n_cores = psutil.cpu_count() or 1
        self._process = psutil.Process()
        self._counted_at = time.perf_counter()
        # Both calls return the load since the previous call; this starts the interval.
        psutil.cpu_percent()
        self._process.cpu_percent()

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """Adapt the number of threads after a batch."""
        self.adapt()

    def adapt(self) -> None:
        """Set the number of threads; idle cores are counted twice a second."""
        now = time.perf_counter()
        if now - self._counted_at < COUNT_EVERY_SECONDS:
            return
        self._counted_at = now
        # psutil gives the mean load of all cores, at most 100, but the process's own
        # load as a sum over its cores, 100 per core.
        idle = self._n_cores * (1 - psutil.cpu_percent() / 100)
        own = self._process.cpu_percent() / 100
        numba.set_num_threads(min(max(round(idle + own), 1), self._most))
