"""Origins: what tensors were made from.

Tensors that do not depend on the samples are weights. A tensor that no function made
was computed where hooks see nothing: by NumPy, in TorchScript, or in another thread.
"""

from collections.abc import Iterable, Iterator, Mapping
from inspect import getclosurevars
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from torch import Tensor, nn

from spikejoule.pricing.functions.calls import FunctionCall
from spikejoule.pricing.functions.kinds import CONSTANT, FOREIGN
from spikejoule.pricing.modules.parts import KNOWN, package_of
from spikejoule.pricing.tensors.nested import has_memory, tensors_in
from spikejoule.pricing.tensors.states import attributes_of
from spikejoule.pricing.torch_private import buffers_of, parameters_of


class Origins:
    """What tensors were made from; tensors that share memory have one origin.

    Attributes:
        read: the memory that functions have read.
    """

    def __init__(self, model: nn.Module, weight_names: Mapping[Any, str]) -> None:
        """Start with what the functions of a model hold.

        Args:
            model: the model.
            weight_names: the names of parameters and buffers, by their memory.
        """
        self.read: WeakSet[Any] = WeakSet()
        # Whether the contents depend on the samples; absent where nothing is known.
        self._depends: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._weight_names = weight_names
        # The names of parameters and buffers that other weights were made of.
        self._made_of: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()
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

    def note(self, call: FunctionCall) -> None:
        """Note what a function's result was made from.

        It depends on the samples if an input does, or may. Without tensor inputs, a
        constant does not; any other result, such as a random one, differs between
        inferences and counts as dependent. So does what was made of a tensor without
        memory. The origin of data from outside PyTorch stays unknown.
        """
        inputs, written = call.inputs, call.written
        for x in inputs:
            self.read.add(x.untyped_storage())
        depends = not all(map(self.is_weight, inputs))
        if len(inputs) < len(call.tensors):
            for x in tensors_in(call.result):
                self.mark_dependent(x)
        if written:
            for x in written if depends else ():
                self.mark_dependent(x)
        elif inputs or call.full_name not in FOREIGN:
            depends |= not inputs and call.full_name not in CONSTANT
            self.note_if_new(tensors_in(call.result), depends)
        out = call.out
        if out is not None and self.is_weight(out):
            self.note_weight(out, inputs)

    def note_weight(self, made: Tensor, inputs: list[Tensor]) -> None:
        """Note which weights another was made of."""
        self.read.update(x.untyped_storage() for x in inputs)
        self.note_if_new([made], depends=False)
        names = map(self.names_in, inputs)
        self._made_of[made.untyped_storage()] = frozenset().union(*names)

    def name_of(self, x: Tensor) -> str | None:
        """Return the name of a parameter or buffer; None for other tensors."""
        return self._weight_names.get(x.untyped_storage())

    def names_in(self, x: Tensor) -> frozenset[str]:
        """Return the names of the parameters and buffers that a tensor is made of."""
        name = self.name_of(x)
        if name is not None:
            return frozenset([name])
        return self._made_of.get(x.untyped_storage(), frozenset())

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

    def is_constant(self, x: Tensor) -> bool:
        """Whether a tensor is a weight, or made of weights, and not only zeros.

        Attributes, and zeros in a buffer, may be states before the first step.
        """
        memory = x.untyped_storage()
        has_name = memory in self._weight_names or memory in self._made_of
        return has_name and self.is_weight(x) and bool(x.any())

    def depends(self, x: Tensor) -> bool:
        """Whether a tensor is known to depend on the samples."""
        return self._depends.get(x.untyped_storage(), False)


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
