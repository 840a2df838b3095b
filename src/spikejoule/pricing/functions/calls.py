"""Calls of PyTorch functions: their names, tensors and places in the code."""

from dataclasses import dataclass
from functools import cached_property
from inspect import currentframe
from types import FrameType
from typing import Any, Self

from torch import Tensor

from spikejoule.pricing.functions.kinds import CASTING, SHARING
from spikejoule.pricing.modules.parts import Part
from spikejoule.pricing.tensors.nested import (
    all_tensors,
    find_tensor,
    has_memory,
    tensors_in,
)


@dataclass(frozen=True, eq=False)
class FunctionCall:
    """A call of a PyTorch function that has returned.

    Attributes:
        part: the module that ran it.
        full_name: of the function.
        args, keywords: its arguments; `input` comes first among `args`.
        result: what it returned.
    """

    part: Part
    full_name: str
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    result: Any

    @classmethod
    def of(
        cls, part: Part, name: str, args: Any, keywords: dict[str, Any], result: Any
    ) -> Self:
        """Return a call, with its input as the first argument."""
        if "input" in keywords:
            keywords = dict(keywords)
            args = (keywords.pop("input"), *args)
        return cls(part, name, args, keywords, result)

    @property
    def name(self) -> str:
        """The function's name, without underscores at its ends."""
        return self.full_name.strip("_")

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All tensors that it reads."""
        read = self.args[:1] if self.name in CASTING else (self.args, self.keywords)
        return all_tensors(read)

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Those of them that have memory."""
        return [x for x in self.tensors if has_memory(x)]

    @cached_property
    def written(self) -> list[Tensor]:
        """The tensors that it wrote into, if it made no new one.

        This is exact, since the result is known; `_may_write` guesses before the call.
        """
        name = self.full_name
        # `x[i] = y` and `x.add_(y)`
        in_place = name == "__setitem__"
        in_place |= name.endswith("_") and not name.endswith("__")
        # `x += y` returns the tensor that it changes; `~x` makes a new one.
        if self.inputs and name.startswith("__i"):
            in_place |= self.result is self.inputs[0]
        return self.inputs[:1] if in_place else tensors_in(self.keywords.get("out"))

    @property
    def out(self) -> Tensor | None:
        """The first tensor that it made, or wrote into."""
        if self.inputs and self.name in SHARING:
            # The result is no tensor, but shares the memory of this one.
            return self.inputs[0]
        return self.written[0] if self.written else find_tensor(self.result)

    @property
    def site(self) -> tuple[Any, ...]:
        """Where in the code it was called: code object and instruction, by name."""
        frame = caller()
        return (self.name, frame.f_code, frame.f_lasti)


class PlaceNames:
    """The names of places that functions have; a number tells those of one base."""

    def __init__(self) -> None:
        self._names: dict[tuple[Any, ...], str] = {}

    def of(self, base: str, *key: Any) -> str:
        """Return the name of the place that a base and a key identify."""
        place = (base, *key)
        if place not in self._names:
            n_earlier = sum(base == other[0] for other in self._names)
            self._names[place] = base if n_earlier == 0 else f"{base} {n_earlier + 1}"
        return self._names[place]


def caller() -> FrameType:
    """Return the frame that called a function of PyTorch, outside PyTorch."""
    frame = currentframe()
    assert frame is not None  # only outside CPython
    while frame.f_back is not None and package_of_frame(frame) in (
        "torch",
        "spikejoule",
    ):
        frame = frame.f_back
    return frame


def package_of_frame(frame: FrameType) -> str:
    """Return the package whose code a frame runs."""
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
