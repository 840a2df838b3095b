"""Calls that are alike, as in a loop over time: counted together at the end of a batch.

To find out what a tensor is, and where it comes from, takes longer than to count it. A
call of one step that has the shapes and the source of the call before is only noted:
its tensors are counted later. They must not change until then, so the calls are counted
before any function that writes in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from spikejoule.core.errors import DataError
from spikejoule.pricing.counting.modules import Call, ModuleCounter, Sent
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import WEIGHTED
from spikejoule.pricing.modules.parts import INPUT, Part
from spikejoule.pricing.tensors.contents import TensorContents, contents_of
from spikejoule.pricing.tensors.traces import Trace
from spikejoule.pricing.torch_private import version_of


@dataclass(eq=False)
class _Alike:
    """Calls of a module that are alike.

    Attributes:
        place: where they are counted.
        received, emitted: the traces of what it takes and returns.
        shapes: of these, with their types.
        tensors: what they took (a layer with weights) or returned (neurons), with the
            version of each.
    """

    place: ModulePlace
    received: Trace
    emitted: Trace
    shapes: tuple[object, ...]
    tensors: list[tuple[Tensor, int]] = field(default_factory=list)


def _shapes(x: Tensor, out: Tensor) -> tuple[object, ...]:
    return (x.shape, x.dtype, out.shape, out.dtype)


class RepeatedCalls:
    """The calls of a batch that are like earlier ones.

    Attributes:
        is_on: whether any calls are joined.
    """

    def __init__(self, calls: ModuleCounter, model: nn.Module) -> None:
        self._calls = calls
        self._alike: dict[Part, _Alike] = {}
        # Such modules write into tensors, and no function is seen that does.
        self._never = any(getattr(one, "inplace", False) for one in model.modules())
        self.is_on = False

    def begin(self) -> None:
        """Forget all calls, at the begin of a batch."""
        self._alike = {}

    def takes(self, part: Part, x: Tensor, out: Tensor) -> bool:
        """Note a call, if it is like the one before; False if it has to be counted."""
        alike = self._alike.get(part)
        if alike is None or alike.shapes != _shapes(x, out):
            return False
        trace = self._calls.traces.of(x)
        if trace[:2] != alike.received[:2]:
            return False
        self._calls.traces.put(out, alike.emitted)
        counted = x if part.population is None else out
        alike.tensors.append((counted, version_of(counted)))
        return True

    def note(self, call: Call, place: ModulePlace | None) -> None:
        """Note a call that was counted, for others that are like it."""
        part = call.part
        if not self.is_on or self._never or place is None:
            return
        received = self._calls.traces.of(call.x)
        if part.population is None:
            is_joined = isinstance(part.layer, WEIGHTED) and bool(received.source)
            is_joined &= call.received.shape == (1, *call.x.shape)
        else:
            is_joined = received.source not in ("", INPUT)
            is_joined &= not part.population.own_layers
            is_joined &= call.emitted.shape == (1, *call.out.shape)
        is_joined &= not (call.x.is_inference() or call.out.is_inference())
        self._count(self._alike.pop(part, None), {})
        if is_joined:
            emitted = self._calls.traces.of(call.out)
            emitted = Trace(emitted.source, emitted.are_values)
            shapes = _shapes(call.x, call.out)
            self._alike[part] = _Alike(place, received, emitted, shapes)

    def count(self) -> None:
        """Count all calls that were noted."""
        # What neurons return is mostly what the next layer takes.
        known: dict[tuple[int, ...], TensorContents] = {}
        for alike in self._alike.values():
            self._count(alike, known)
            alike.tensors = []

    def _count(
        self, alike: _Alike | None, known: dict[tuple[int, ...], TensorContents]
    ) -> None:
        """Count some calls.

        Args:
            alike: these calls; None without any.
            known: contents by the identities of tensors.

        Raises:
            DataError: a tensor has changed.
        """
        if alike is None or not alike.tensors:
            return
        place = alike.place
        if any(version_of(x) != version for x, version in alike.tensors):
            raise DataError(
                f"a tensor that {place.name} takes or returns is changed in place, "
                "where no function of PyTorch is seen: let the model make a new one."
            )
        tensors = [x for x, _ in alike.tensors]
        place.steps.add(np.full(len(tensors[0]), len(tensors)))
        identities = tuple(map(id, tensors))
        if place.population is not None:
            are_values = self._calls.emits_values(place, alike.received)
            contents = contents_of(tensors, are_values)
            known[identities] = contents
            self._calls.add_emitted(place, contents)
            return
        self._receive(alike, tensors, known.get(identities))

    def _receive(
        self,
        alike: _Alike,
        tensors: Sequence[Tensor],
        contents: TensorContents | None,
    ) -> None:
        """Count what enters a layer with weights."""
        place = alike.place
        source, are_values = alike.received[:2]
        had_values = self._calls.has_sent_values(place, source)
        if contents is None or (had_values and contents.is_whole):
            contents = contents_of(tensors, are_values or had_values)
        self._calls.note_values(place, source, contents)
        self._calls.add_received(place, Sent(source, contents), tensors)
