"""Count products that functions compute, as a layer with these weights."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikejoule.core.errors import DataError
from spikejoule.network.nodes import Shape
from spikejoule.pricing.counting.modules import ModuleCounter, Sent
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.functions.calls import FunctionCall, PlaceNames
from spikejoule.pricing.functions.origins import Origins
from spikejoule.pricing.functions.product_forms import (
    ATTENTION,
    PRODUCTS,
    Operand,
    Product,
)
from spikejoule.pricing.modules.axes import ANY_LAYOUT, ModuleLayout
from spikejoule.pricing.modules.layers import unit_dimensions
from spikejoule.pricing.modules.parts import Part
from spikejoule.pricing.tensors.amounts import Counts, SampleSums
from spikejoule.pricing.tensors.contents import (
    MAX_EXACT_FLOAT32,
    TensorContents,
    counts_of,
    nonzero_marks,
)
from spikejoule.pricing.tensors.nested import has_memory, memory_of


class ProductCounter:
    """Counts products among the calls of a model."""

    def __init__(self, calls: ModuleCounter, origins: Origins) -> None:
        """Start without products.

        Args:
            calls: counts what enters them.
            origins: of the tensors that they multiply.
        """
        self._calls = calls
        self._origins = origins
        self._layers: dict[str, Any] = {}
        self._names = PlaceNames()

    def count(self, call: FunctionCall) -> bool:
        """Count the products of a function; False if it has to be named."""
        make = PRODUCTS.get(call.name)
        if make is None:
            return False
        try:
            products = make(*call.args, **call.keywords)
        except (IndexError, RuntimeError, TypeError, ValueError):
            # Called in a way that `products` does not know.
            return False
        sides = [side for product in products for side in (product.x, product.right)]
        if not products or not all(map(has_memory, sides)):
            return False
        is_counted = True
        for number, product in enumerate(map(self._oriented, products)):
            name = self._name_of(product, call, number)
            out = call.out if number == len(products) - 1 else None
            # All products are counted, also those after one that could not be.
            is_counted &= self._count(call.part, product, name, out)
        # The softmax of attention is not counted.
        return is_counted and call.name not in ATTENTION

    def _oriented(self, product: Product) -> Product:
        """Return a product with weights on the right, if it has any."""
        origins = self._origins
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

    def _name_of(self, product: Product, call: FunctionCall, number: int) -> str:
        """Name a product by its weights or, without any, by its function.

        The same weights in another shape, or in a convolution with other settings, have
        a name of their own. So have weights that a function makes of other parameters.

        Args:
            product: the product.
            call: of its function.
            number: of the product within the function.
        """
        right = product.right
        # The settings of a convolution, or the shape of a matrix of weights: the axes
        # before its last two may hold samples.
        form: Any = str(product.layer)
        if product.layer is None and not product.is_of_samples:
            form = tuple(right.shape[-2:])
        weights = self._origins.name_of(right)
        if weights is not None:
            return self._names.of(weights, right.storage_offset(), form)
        made_of = self._origins.names_in(right)
        base = f"{call.part.name}.{call.name}"
        return self._names.of(base, *call.site, number, form, made_of)

    def _count(self, part: Part, product: Product, name: str, out: Any) -> bool:
        """Count a product in a function; False if its samples were not found.

        Args:
            part: the module that runs it.
            product: the product.
            name: of its place.
            out: what the function returned; None if that is not the product.
        """
        population = part.population
        if population is not None and any(
            memory_of(layer.weight) == memory_of(product.right)
            for layer in population.own_layers.values()
        ):
            # Its `Population` counts it.
            return True
        count = self._count_sides if product.is_of_samples else self._count_weights
        try:
            place = count(name, product, out)
        except DataError:
            return False
        if out is not None:
            self._calls.traces.set(out, place.name, are_values=True)
        return True

    def _count_weights(self, name: str, product: Product, out: Any) -> ModulePlace:
        """Count a product with weights, as a layer."""
        if name not in self._layers:
            self._layers[name] = product.as_layer()
        layer = self._layers[name]
        layout = ModuleLayout(unit_dimensions(layer))
        entering = self._calls.layout.by_step(product.x, layout)
        out_shape: Shape = (*entering.shape[2:-1], product.right.shape[-1])
        if product.layer is not None:
            out_shape = self._calls.layout.by_step(out, layout).shape[2:]
        place = self._calls.places.enter(name, layer, entering, out_shape)
        self._calls.receive(place, product.x, entering)
        return place

    def _count_sides(self, name: str, product: Product, out: Any) -> ModulePlace:
        """Count a product whose two sides depend on the samples.

        A pair of spikes that meet is an event. So is a spike that meets a value, which
        is added. Values that meet values are multiplied. A later batch may show that a
        side holds values: each case is counted, and `Places` chooses in the end.
        """
        x, y = product.x, product.right
        # An empty tensor: only its shape is needed.
        heads = (x[..., :0, 0].sum(-1) + y[..., :0, 0].sum(-1)).shape
        # The rows of a matrix are no samples, even if there are as many.
        layout = ModuleLayout(unit_axes=2) if len(heads) == 1 else ANY_LAYOUT
        left = self._calls.layout.by_step(x.expand(*heads, -1, -1), layout)
        right = self._calls.layout.by_step(y.expand(*heads, -1, -1), layout)
        out_shape: Shape = (*left.shape[2:-1], right.shape[-1])
        operand = Operand.of(torch.zeros(right.shape[2:]))
        place = self._calls.places.enter(name, operand, left, out_shape)
        if place.nonzero_products is None:
            place.nonzero_products = SampleSums(place.sizes)
        sent_left = self._calls.sent_into(place, x, left)
        sent_right = self._calls.sent_into(place, y, right, "right")
        _receive(place.side("left"), sent_left, fan_out=right.shape[-1])
        _receive(place.side("right"), sent_right, fan_out=left.shape[-2])
        left_contents, right_contents = sent_left.contents, sent_right.contents
        if place.chosen is place:
            pairs = _pairs(
                _sizes(left, left_contents, axis=-2),
                _sizes(right, right_contents, axis=-1),
            )
            place.reached.add(pairs, pairs)
        nonzero = _pairs(
            _numbers(left, left_contents, axis=-2),
            _numbers(right, right_contents, axis=-1),
        )
        place.nonzero_products.add(nonzero)
        for sender in (sent_left, sent_right):
            sender.add_to(place)
        return place


def _sizes(x: Tensor, contents: TensorContents, axis: int) -> Tensor:
    """Sum the sizes of spikes along an axis, exactly, in float64."""
    if not contents.is_binary:
        return x.abs().sum(axis, dtype=torch.float64)
    # float32 is exact here, and takes half the time.
    is_small = x.shape[axis] < MAX_EXACT_FLOAT32
    return x.sum(axis, dtype=torch.float32 if is_small else torch.float64).double()


def _numbers(x: Tensor, contents: TensorContents, axis: int) -> Tensor:
    """Count what is not zero along an axis, in float64."""
    if contents.is_binary:
        return _sizes(x, contents, axis)
    return nonzero_marks(x).sum(axis, dtype=torch.float64)


def _pairs(left: Tensor, right: Tensor) -> Counts:
    """Sum what meets: an entry on the left, and each in its row on the right."""
    return counts_of((left * right).flatten(2).sum(dim=(0, 2)))


def _receive(side: ModulePlace, sent: Sent, fan_out: int) -> None:
    """Count what one side of a product sends to all it meets."""
    contents = sent.contents
    side.receives_values |= not contents.is_whole
    side.reached.add(fan_out * contents.spikes, fan_out * contents.nonzero)
    sent.add_to(side)
