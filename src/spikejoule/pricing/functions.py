"""Watch the PyTorch functions that run outside counted modules.

Products (`products`) are counted where they run. Other functions that may compute
something are reported, with the module they ran in.

`Origins` remembers what made a tensor. Tensors that do not depend on the samples are
weights. A tensor that no function made was computed where hooks see nothing: by NumPy,
in TorchScript, or in another thread.

What happens to a function depends on the module that runs it (`parts.Functions`):

    COUNTED     not watched: the module is counted as a whole
    DESCRIBED   products are counted; a description of the neurons covers the rest
    EXTENDED    as REPORTED, but a simulator's own functions are counted by its module
    REPORTED    products are counted, other functions reported

and on the sets of function names in `layers`:

    UNREPORTED  moves, adds, inspects or creates numbers: not reported
    CHOOSING    indexes: reported if samples choose among weights
    DROPPING    dropout: reported if it drops something
    RESCALING   rescales, rounds or clips: not reported in an integer network
    SHARING     returns a tensor's memory as another object, such as a NumPy array
    WRITING     writes in place: reported in a module that is not counted
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import currentframe, getclosurevars
from types import FrameType, FunctionType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from torch import Tensor, nn, no_grad
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.pricing.layers import (
    CHOOSING,
    DROPPING,
    RESCALING,
    SHARING,
    UNREPORTED,
    WRITING,
)
from spikejoule.pricing.neurons import PACKAGES
from spikejoule.pricing.parts import KNOWN, Functions, Part, Role, package_of
from spikejoule.pricing.products import PRODUCTS, Product
from spikejoule.pricing.states import attributes_of
from spikejoule.pricing.tensors import (
    all_tensors,
    find_tensor,
    has_memory,
    memory_of,
    tensors_in,
)
from spikejoule.pricing.torch_private import (
    buffers_of,
    is_innermost,
    parameters_of,
    without_function_modes,
)

CONSTANT: Final = {"zeros", "ones", "full", "empty", "eye", "arange"}
"""Functions that make the same tensor in every inference, from no tensor."""
FOREIGN: Final = frozenset(
    ["from_numpy", "tensor", "as_tensor", "asarray", "frombuffer"]
)
"""Functions that make a tensor from data that PyTorch did not compute."""
UNSEEN: Final = "which no function of the model has made"
"""How reports describe a tensor of unknown origin."""
ATTENTION: Final = "scaled_dot_product_attention"
"""Its products are counted; it is reported for its softmax."""

CountProduct = Callable[[Part, Product, tuple[Any, ...], Any], bool]
FollowFunction = Callable[[str, list[Tensor], Tensor, bool], None]
EndCall = Callable[[Part, Any, Any], None]


class RunningCall(NamedTuple):
    """A call of a module: of a part, or of its copy; None for that of the model."""

    module: nn.Module | None
    part: Part
    inputs: Any


class Origins:
    """What tensors were made from; tensors that share memory have one origin.

    Attributes:
        read: the memory that functions have read.
    """

    def __init__(self, model: nn.Module) -> None:
        self.read: WeakSet[Any] = WeakSet()
        # Whether the contents depend on the samples; absent where nothing is known.
        self._depends: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        # Functions may hold weights in a closure or a global.
        seen: set[FunctionType] = set()
        for module in model.modules():
            for function in _functions_of(module):
                self.note_if_new(_outside(function, seen), depends=False)

    def begin(self, model: nn.Module) -> None:
        """Note that a model holds only weights and zeros before a batch."""
        for module in model.modules():
            own = (parameters_of(module), buffers_of(module), attributes_of(module))
            self.note_if_new(tensors_in(own), depends=False)

    def end_neurons(self, module: nn.Module) -> None:
        """Note that the states of neurons depend on the samples."""
        self.note_if_new(tensors_in(buffers_of(module)), depends=True)
        for x in tensors_in(attributes_of(module)):
            self.mark_dependent(x)

    def note_if_new(self, tensors: Iterable[Tensor], depends: bool) -> None:
        """Note whether tensors depend on the samples, where that is not known yet."""
        for x in tensors:
            self._depends.setdefault(x.untyped_storage(), depends)

    def mark_dependent(self, x: Tensor) -> None:
        """Note that a tensor depends on the samples from now on."""
        self._depends[x.untyped_storage()] = True

    def has_known_origin(self, x: Tensor) -> bool:
        """Whether it is known what made a tensor."""
        return x.untyped_storage() in self._depends

    def is_weight(self, x: Tensor) -> bool:
        """Whether a tensor is known not to depend on the samples."""
        return has_memory(x) and not self._depends.get(x.untyped_storage(), True)

    def depends(self, x: Tensor) -> bool:
        """Whether a tensor is known to depend on the samples."""
        return self._depends.get(x.untyped_storage(), False)


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
        count_product: CountProduct,
        follow_function: FollowFunction,
        end_call: EndCall,
    ) -> None:
        """Start without functions.

        Args:
            origins, requantises: see above.
            count_product: counts a product in a part, given a key and the result;
                returns False if it cannot. The key identifies the place in the code:
                the function's name, the caller's code object, the position of the
                instruction in it, and the product's number within the function.
            follow_function: is given the name of each function, its tensors, its first
                result, and whether that was written into one of the tensors.
            end_call: is given each part that has run, its inputs, and its output.
        """
        super().__init__()
        self.reported: dict[Part, dict[str, None]] = {}
        self.origins = origins
        self.requantises = requantises
        self._count_product = count_product
        self._follow_function = follow_function
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
                self._follow(part, name, (args, keywords), result)
                self._count_or_report(part, name, (args, keywords), result)
        return result

    def _follow(
        self, part: Part, name: str, arguments: tuple[Any, Any], result: Any
    ) -> None:
        """Note the origins of a function's tensors, and pass on what it made."""
        tensors = all_tensors(arguments)
        inputs = [x for x in tensors if has_memory(x)]
        if len(inputs) < len(tensors):
            # A sparse or vmapped tensor has no memory that could be followed.
            for x in tensors_in(result):
                self.origins.mark_dependent(x)
        self._report_unknown_data(part, inputs)
        written = _written(name, result, inputs, arguments[1])
        self._note_origin(name, result, inputs, written)
        out = written[0] if written else find_tensor(result)
        if inputs and name.strip("_") in SHARING:
            # The result is no tensor, but shares the memory of this one.
            out = inputs[0]
        if out is not None:
            self._follow_function(name, inputs, out, bool(written))

    def _count_or_report(
        self, part: Part, name: str, arguments: tuple[Any, Any], result: Any
    ) -> None:
        """Count a function's products; else report it if it may compute something."""
        # The counts of a simulator's module contain what the simulator's code computes.
        if part.functions is Functions.EXTENDED and _package(_caller()) in PACKAGES:
            return
        # A function of weights only is computed once, before any inference.
        tensors = all_tensors(arguments)
        if tensors and all(map(self.origins.is_weight, tensors)):
            return
        is_counted = self._counts(part, name.strip("_"), arguments, result)
        if not is_counted and part.functions is not Functions.DESCRIBED:
            self._report(part, name, arguments, result)

    def _report_unknown_data(self, part: Part, inputs: list[Tensor]) -> None:
        """Report data that a function reads and whose origin is unknown.

        Single numbers and zeros are constants and initial states, not data.
        """
        for x in inputs:
            is_known = self.origins.has_known_origin(x)
            if x.numel() > 1 and not is_known and x.any():
                self.reported.setdefault(part, {})[f"data {UNSEEN}"] = None

    def _note_origin(
        self, name: str, result: Any, inputs: list[Tensor], written: list[Tensor]
    ) -> None:
        """Note whether a function's result depends on the samples.

        It does if an input does, or may. Without tensor inputs, a constant does not;
        any other result, such as a random one, differs between inferences and counts as
        dependent. The origin of data from outside PyTorch stays unknown.
        """
        for x in inputs:
            self.origins.read.add(x.untyped_storage())
        depends = not all(self.origins.is_weight(x) for x in inputs)
        if written:
            for x in written if depends else ():
                self.origins.mark_dependent(x)
        elif inputs or name not in FOREIGN:
            depends |= not inputs and name not in CONSTANT
            self.origins.note_if_new(tensors_in(result), depends)

    def _counts(
        self, part: Part, name: str, arguments: tuple[Any, Any], result: Any
    ) -> bool:
        """Count the products of a function; False if it has to be reported."""
        if name not in PRODUCTS:
            return False
        args, keywords = arguments
        if "input" in keywords:
            keywords = dict(keywords)
            args = (keywords.pop("input"), *args)
        try:
            products = PRODUCTS[name](*args, **keywords)
        except (IndexError, RuntimeError, TypeError, ValueError):
            # Called in a way that `products` does not know.
            return False
        caller = _caller()
        site = (name, caller.f_code, caller.f_lasti)
        sides = [side for product in products for side in (product.x, product.right)]
        if not all(map(has_memory, sides)):
            return False
        is_counted = bool(products)
        for number, product in enumerate(products):
            oriented = self._oriented(product)
            is_last = number == len(products) - 1
            # All products are counted, also those after one that could not be.
            is_counted &= self._count_product(
                part, oriented, (*site, number), result if is_last else None
            )
        return is_counted and name != ATTENTION

    def _oriented(self, product: Product) -> Product:
        """Return a product with weights on the right, if it has any."""
        origins = self.origins
        is_matrix = product.layer is None
        # A heuristic: a single matrix of unknown origin is taken for weights, since
        # samples that enter a product usually come from functions that were followed.
        weights_first = origins.is_weight(product.x) or (
            product.x.ndim == 2 and not origins.depends(product.x)
        )
        if is_matrix and weights_first and origins.depends(product.right):
            product = product.transposed()
        bias = product.bias
        if bias is not None and origins.depends(bias):
            bias = None
        # A single matrix holds no axis of samples.
        is_of_samples = is_matrix and product.right.ndim > 2
        is_of_samples = is_of_samples and not origins.is_weight(product.right)
        return replace(product, bias=bias, is_of_samples=is_of_samples)

    def _report(
        self, part: Part, full_name: str, arguments: tuple[Any, Any], result: Any
    ) -> None:
        """Report a function, unless it only moves, adds, inspects or rescales."""
        args, keywords = arguments
        # `x[...] = 0` returns None: what it writes is its argument.
        writes = part.role is Role.OTHER and full_name in WRITING
        if not writes and not all_tensors(result):
            return
        name = full_name.strip("_")
        is_known = name in UNREPORTED and keywords.get("alpha", 1) == 1
        inputs = tensors_in((args, keywords))
        if name == DROPPING:
            # Where it drops nothing, it returns its input.
            kept = {memory_of(x) for x in inputs}
            is_known = all(memory_of(x) in kept for x in tensors_in(result))
        if name in CHOOSING and inputs and self.origins.is_weight(inputs[0]):
            is_known = not any(self.origins.depends(x) for x in inputs)
        if self.requantises and name in RESCALING:
            is_known |= sum(x.numel() > 1 for x in inputs) <= 1
        if writes or not is_known:
            self.reported.setdefault(part, {})[name] = None

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


def _functions_of(module: nn.Module) -> Iterator[FunctionType]:
    """Yield the functions of a module and of its class that are not PyTorch's."""
    kinds = [kind for kind in type(module).__mro__ if package_of(kind) not in KNOWN]
    for holder in (module, *kinds):
        for value in vars(holder).values():
            # A method that replaces one of the class is bound to the module.
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                yield function


def _outside(function: FunctionType, seen: set[FunctionType]) -> Iterator[Tensor]:
    """Yield the tensors in the closure and globals of a function and of its callees."""
    if function in seen or package_of(function) in KNOWN:
        return
    seen.add(function)
    try:
        variables = getclosurevars(function)
    except ValueError:
        # A variable of the closure has no value yet.
        return
    defaults = function.__defaults__ or ()
    values = [*variables.nonlocals.values(), *variables.globals.values(), *defaults]
    yield from tensors_in(values)
    for value in values:
        if isinstance(value, FunctionType):
            yield from _outside(value, seen)


def _written(
    name: str, result: Any, inputs: list[Tensor], keywords: dict[str, Any]
) -> list[Tensor]:
    """Return the tensors that a function wrote into, if it made no new one.

    This is exact, since the result is known; `_may_write` guesses before the call.
    """
    is_dunder = name.endswith("__")
    # `x[i] = y` and `x.add_(y)`
    in_place = name == "__setitem__" or (name.endswith("_") and not is_dunder)
    # `x += y` returns the tensor that it changes; `~x` makes a new one.
    if inputs and name.startswith("__i"):
        in_place |= result is inputs[0]
    return inputs[:1] if in_place else tensors_in(keywords.get("out"))


def _may_write(name: str, keywords: dict[str, Any]) -> bool:
    """Whether a function may write in place, by its name and arguments.

    It may err on the safe side: `x += y` and `~x` are `__iadd__` and `__invert__`.
    """
    if name.startswith("__"):
        return name == "__setitem__" or name.startswith("__i")
    return name.endswith("_") or "out" in keywords


def _caller() -> FrameType:
    """Return the frame that called a function of PyTorch, outside PyTorch."""
    frame = currentframe()
    assert frame is not None  # only outside CPython
    while frame.f_back is not None and _package(frame) in ("torch", "spikejoule"):
        frame = frame.f_back
    return frame


def _package(frame: FrameType) -> str:
    """Return the package whose code a frame runs."""
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
