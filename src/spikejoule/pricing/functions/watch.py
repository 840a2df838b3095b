"""Watch the PyTorch functions that run outside counted modules.

`FunctionWatch` sees each function and the module that runs it. `function_kinds` says
what a function does; who counts it is decided in `watching`. Functions that nobody
counts and that may compute something are reported, with the module they ran in.

What happens to a function also depends on that module (`parts.Functions`):

    COUNTED     not watched: the module is counted as a whole
    DESCRIBED   products are counted; a description of the neurons covers the rest
    EXTENDED    as REPORTED, but a simulator's own functions are counted by its module
    REPORTED    what can be counted is counted, other functions are reported
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn, no_grad
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.pricing.functions.calls import FunctionCall, caller, package_of_frame
from spikejoule.pricing.functions.kinds import (
    CHOOSING,
    DROPPING,
    FREE,
    RESCALING,
    RESIZING,
    SCALED_ADDING,
    WRITING,
)
from spikejoule.pricing.functions.origins import Origins
from spikejoule.pricing.functions.product_forms import ATTENTION
from spikejoule.pricing.modules.neurons import PACKAGES
from spikejoule.pricing.modules.parts import Functions, Part, Role
from spikejoule.pricing.tensors.nested import all_tensors, memory_of, tensors_in
from spikejoule.pricing.torch_private import is_innermost, without_function_modes

UNSEEN: Final = "which no function of the model has made"
"""How reports describe a tensor of unknown origin."""


CountFunction = Callable[[FunctionCall], bool]
FollowFunction = Callable[[FunctionCall], None]
EndCall = Callable[[Part, Any, Any], None]


class RunningCall(NamedTuple):
    """A call of a module: of a part, or of its copy; None for that of the model."""

    module: nn.Module | None
    part: Part
    inputs: Any


class FunctionWatch(TorchFunctionMode):
    """Watch all PyTorch functions.

    Attributes:
        reported: the names of functions that are not counted, by the part they ran in;
            the values None make a dictionary an ordered set.
        origins: of tensors.
        requantises: whether the network computes in integers. Rescaling by one number
            is then not reported: it is counted for each unit.
        before_writing: is called before each function that may write in place.
            `Watch` sets it, to count repeated calls before their tensors change.
    """

    def __init__(
        self,
        origins: Origins,
        requantises: bool,
        count: CountFunction,
        follow: FollowFunction,
        end_call: EndCall,
    ) -> None:
        """Start without functions.

        Args:
            origins, requantises: see above.
            count: counts a function; returns False if it cannot.
            follow: is given each function before it is counted.
            end_call: is given each part that has run, its inputs, and its output.
        """
        super().__init__()
        self.reported: dict[Part, dict[str, None]] = {}
        self.origins = origins
        self.requantises = requantises
        self._count = count
        self._follow = follow
        self._end_call = end_call
        self.before_writing: Callable[[], None] = lambda: None
        # Calls that run now, outermost first.
        self._running: list[RunningCall] = []
        self._is_on = False

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function; follow its tensors, then count or report it."""
        keywords = kwargs or {}
        wrapper = next((kind for kind in types if not issubclass(kind, Tensor)), None)
        if wrapper is not None:
            # A class around tensors, such as Brevitas' QuantTensor, runs functions on
            # the tensors in it: those are watched.
            with self:
                return wrapper.__torch_function__(function, types, args, keywords)
        name = getattr(function, "__name__", "")
        if _may_write(name, keywords):
            with without_function_modes(), no_grad():
                self.before_writing()
        result = function(*args, **keywords)
        if self._watches:
            part = self._running[-1].part
            # Another watch around this one, as of `price` where the training is
            # tracked, does not see what this one computes.
            with without_function_modes():
                call = FunctionCall.of(part, name, args, keywords, result)
                self._report_unknown_data(call)
                self.origins.note(call)
                self._follow(call)
                if not self._needs_no_count(call) and not self._count(call):
                    self._report(call)
        return result

    def _needs_no_count(self, call: FunctionCall) -> bool:
        """Whether a module's count contains a function, or no inference runs it."""
        # The counts of a simulator's module contain what the simulator's code computes.
        if (
            call.part.functions is Functions.EXTENDED
            and package_of_frame(caller()) in PACKAGES
        ):
            return True
        # A function of weights only is computed once, before any inference.
        return bool(call.tensors) and all(map(self.origins.is_weight, call.tensors))

    def _report_unknown_data(self, call: FunctionCall) -> None:
        """Report data that a function reads and whose origin is unknown.

        Single numbers and zeros are constants and initial states, not data.
        """
        for x in call.inputs:
            is_known = self.origins.has_known_origin(x)
            if x.numel() > 1 and not is_known and x.any():
                self.reported.setdefault(call.part, {})[f"data {UNSEEN}"] = None

    def _report(self, call: FunctionCall) -> None:
        """Report a function that may compute something."""
        if call.part.functions is Functions.DESCRIBED:
            return
        # `x[...] = 0` returns None: what it writes is its argument.
        writes = call.part.role is Role.OTHER and call.full_name in WRITING
        if writes or (all_tensors(call.result) and not self._is_free(call)):
            name = "softmax" if call.name in ATTENTION else call.name
            self.reported.setdefault(call.part, {})[name] = None

    def _is_free(self, call: FunctionCall) -> bool:
        """Whether a function only moves, adds, inspects or creates numbers."""
        name, inputs = call.name, call.inputs
        if name in DROPPING:
            # Where it drops nothing, it returns its input.
            kept = {memory_of(x) for x in inputs}
            return all(memory_of(x) in kept for x in tensors_in(call.result))
        if name == RESIZING:
            return str(call.keywords.get("mode")).startswith("nearest")
        if name in CHOOSING and inputs and self.origins.is_weight(inputs[0]):
            return not any(self.origins.depends(x) for x in inputs)
        if self.requantises and name in RESCALING:
            # A mask only chooses.
            numbers = [x for x in inputs if x.dtype != torch.bool]
            return sum(x.numel() > 1 for x in numbers) <= 1
        return name in FREE and call.keywords.get(SCALED_ADDING, 1) == 1

    @contextmanager
    def calling(self, part: Part, inputs: Any) -> Iterator[None]:
        """Watch a call of the model, which takes samples."""
        for x in tensors_in(inputs):
            self.origins.mark_dependent(x)
        self._running = [RunningCall(None, part, inputs)]
        self._switch()
        try:
            yield
        finally:
            self._running = []
            self._switch()

    def follow(self, parts: Iterable[Part]) -> list[RemovableHandle]:
        """Hook modules, to know when they run.

        Hooks of the user run before or after, as part of the module around it. Global
        ones run before all others.
        """
        handles = [
            part.module.register_forward_pre_hook(
                partial(self._enter, part), with_kwargs=True
            )
            for part in parts
        ]
        # Each hook is moved to the front. So `_return`, moved last, runs first and
        # finds the call that `_leave` then removes.
        for hook, always_call in ((self._leave, True), (self._return, False)):
            handle = register_module_forward_hook(hook, always_call=always_call)
            hooks: Any = handle.hooks_dict_ref()
            hooks.move_to_end(handle.id, last=False)
            handles.append(handle)
        return handles

    def enter_late(self, part: Part, inputs: Any) -> None:
        """Note that a module runs whose hooks came too late for this call."""
        self._running.append(RunningCall(part.module, part, inputs))
        self._switch()

    def _enter(self, part: Part, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._running.append(RunningCall(module, part, (args, kwargs)))
        self._switch()

    def _return(self, module: nn.Module, args: Any, out: Any) -> None:
        place = self._place_of(module)
        if place is not None:
            _, part, inputs = self._running[place]
            # No mode sees the functions that count, and autograd does not record them.
            with without_function_modes(), no_grad():
                self._end_call(part, inputs, out)

    def _leave(self, module: nn.Module, args: Any, out: Any) -> None:
        """Note that a module has returned or failed: a model may handle errors."""
        place = self._place_of(module)
        if place is not None:
            del self._running[place]
            self._switch()

    def _place_of(self, module: nn.Module) -> int | None:
        """Find the last call of a module that runs; in threads it may not be on top."""
        for place in reversed(range(len(self._running))):
            if self._running[place].module is module:
                return place
        return None

    def _switch(self) -> None:
        """Be a mode of PyTorch where functions are watched, and only there.

        Each function that passes through a mode takes some microseconds more.
        """
        if self._watches == self._is_on:
            return
        unannotated: Any = self
        if not self._is_on:
            unannotated.__enter__()
            self._is_on = True
        elif is_innermost(self):
            # A mode of the model's own may be around a counted module.
            unannotated.__exit__(None, None, None)
            self._is_on = False

    @property
    def _watches(self) -> bool:
        """Whether the functions that run now are watched."""
        running = self._running
        return bool(running) and running[-1].part.functions is not Functions.COUNTED


def _may_write(name: str, keywords: dict[str, Any]) -> bool:
    """Whether a function may write in place, by its name and arguments.

    It may err on the safe side: `x += y` and `~x` are `__iadd__` and `__invert__`.
    """
    if name.startswith("__"):
        return name == "__setitem__" or name.startswith("__i")
    return name.endswith("_") or "out" in keywords
