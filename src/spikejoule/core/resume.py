"""Resuming work after a kill: its state in a file that one process at a time owns.

    with ResumeFile(folder, key) as file:
        state = file.load()             # None: start over
        for each part that is left:
            work
            file.save(SavedState(plain, arrays))
        write the result
        file.done()

The key is a digest of all that the result depends on (code, parameters, data), so no
other run resumes from the state. The kernel holds the lock and releases it when the
process ends, in any way; a second process waits. A state that cannot be written or read
costs time, never a result: a warning says so, and the work continues or starts over.

Nothing is pickled: a state is an .npz file, whose arrays have checksums.
"""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import read_npz, write_npz
from spikejoule.core.store import plain_number

logger = logging.getLogger(__name__)

SCHEMA = "spikejoule/resume/2"
_PLAIN = "plain"
_POLL_SECONDS = 0.2


@dataclass(frozen=True, eq=False)
class SavedState:
    """A state from which another process can resume.

    Attributes:
        plain: values for JSON; floats return exactly, tuples as lists.
        arrays: arrays of numbers by name.
    """

    plain: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


class ResumeFile:
    """The state of some work in a file; see the module. The context holds the lock.

    Args:
        folder: folder of all states; created if missing.
        key: digest of what the result depends on; the file's name.
        what: the work, in words, for messages.
    """

    def __init__(self, folder: Path, key: str, what: str = "this work") -> None:
        self.path = folder / f"{key}.npz"
        self._what = what
        self._lock_path = self.path.with_suffix(".lock")
        self._lock = FileLock(self._lock_path, thread_local=False)
        self._has_warned = False

    @property
    def is_owned(self) -> bool:
        """Whether states are kept: not in a folder that cannot be written."""
        return self._lock.is_locked

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                owner = self._lock_path.read_text(encoding="utf-8").strip()
                logger.warning("waiting for process %s to finish %s", owner, self._what)
                self._lock.acquire(poll_interval=_POLL_SECONDS)
            self._lock_path.write_text(f"{os.getpid()}\n", encoding="utf-8")
            # Remove what a killed writer left: the lock is ours, so it has ended.
            for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"{self.path.parent}: {error.strerror or error}")
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_owned:
            # Unlink while locked: a process that has opened the file meanwhile sees
            # that it is gone, and opens another.
            with suppress(OSError):
                self._lock_path.unlink()
            self._lock.release()

    def load(self) -> SavedState | None:
        """Return the last saved state; None, with a warning, if it is damaged."""
        if not self.is_owned or not self.path.exists():
            return None
        try:
            arrays = read_npz(self.path, SCHEMA)
            return SavedState(json.loads(arrays.pop(_PLAIN).tobytes()), arrays)
        except (ArtifactError, KeyError, ValueError) as error:
            logger.warning("%s starts over: %s", self._what, error)
            self.done()
            return None

    def save(self, state: SavedState) -> None:
        """Replace the saved state; it is on the disk when this returns.

        If writing fails, the previous state stays, and one warning is logged.
        """
        if not self.is_owned:
            return
        text = json.dumps(state.plain, default=plain_number).encode()
        arrays = {**state.arrays, _PLAIN: np.frombuffer(text, dtype=np.uint8)}
        try:
            write_npz(self.path, SCHEMA, arrays)
        except ArtifactError as error:
            self._warn(str(error).rstrip("."))

    def done(self) -> None:
        """Remove the state, once the result is written."""
        if self.is_owned:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            sentence = (
                "the state of %s cannot be saved (%s): if this process is killed, "
                "finished epochs are lost"
            )
            logger.warning(sentence, self._what, reason)
        self._has_warned = True
