"""Work that is killed and resumed, in the tests' own process."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from spikejoule.core.resume import SavedState

R = TypeVar("R")


class KilledError(Exception):
    """In place of a kill: memory is lost, saved states are kept."""


class Memory:
    """A state store that kills the process after a number of epochs."""

    def __init__(
        self, kept: SavedState | None = None, epochs: int = sys.maxsize
    ) -> None:
        self.kept = kept
        self._left = epochs

    def load(self) -> SavedState | None:
        return self.kept

    def save(self, kept: SavedState) -> None:
        # Like a file: sorted by name, and sharing nothing with the engine.
        arrays = {name: kept.arrays[name].copy() for name in sorted(kept.arrays)}
        self.kept = SavedState(json.loads(json.dumps(kept.plain)), arrays)
        self._left -= 1
        if not self._left:
            raise KilledError


def cut_short_after_every_epoch(work: Callable[[Any], R]) -> tuple[R, int]:
    """Run work that is killed after each epoch; return its result and the kills."""
    kept = None
    cuts = 0
    seconds = 0.0
    while True:
        memory = Memory(kept, epochs=1)
        try:
            return work(memory), cuts
        except KilledError:
            kept = memory.kept
            cuts += 1
            assert kept is not None
            assert kept.plain["processor_seconds"] > seconds, "they add up"
            seconds = kept.plain["processor_seconds"]
