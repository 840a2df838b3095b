"""Traces: which place wrote a tensor.

Views share their memory, so the trace of a tensor also holds after `flatten` or a slice
of time. The output of a function that is no module has new memory, and no trace.
"""

from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor

from spikejoule.pricing.tensors.contents import Reading, TensorContents


class Trace(NamedTuple):
    """The origin of a tensor.

    Attributes:
        source: the name of the place that wrote it; empty if unknown.
        are_values: whether its numbers are values even if they happen to be whole.
        reading, contents: what it held when it was counted, so that the modules that it
            enters need not read it again; None if it was not counted.
    """

    source: str
    are_values: bool = False
    reading: Reading | None = None
    contents: TensorContents | None = None


UNKNOWN: Final = Trace("")


class Traces:
    """The traces of all tensors that are still alive."""

    def __init__(self) -> None:
        # The key is the storage: it is shared by views, and freed with the last one.
        self._by_storage: WeakKeyDictionary[Any, Trace] = WeakKeyDictionary()

    def of(self, x: Tensor) -> Trace:
        """Return the latest trace of a tensor, `UNKNOWN` without one."""
        return self._by_storage.get(x.untyped_storage(), UNKNOWN)

    def set(self, x: Tensor, source: str, are_values: bool = False) -> Trace:
        """Remember which place wrote a tensor."""
        return self.put(x, Trace(source, are_values))

    def forget_contents(self, x: Tensor) -> None:
        """Forget what a tensor held: it may change unseen."""
        trace = self.of(x)
        if trace.reading is not None:
            self.put(x, trace._replace(reading=None, contents=None))

    def put(self, x: Tensor, trace: Trace) -> Trace:
        """Remember the trace of a tensor."""
        self._by_storage[x.untyped_storage()] = trace
        return trace
