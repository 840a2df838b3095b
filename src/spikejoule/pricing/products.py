"""Products of tensors in PyTorch functions: `linear`, convolutions, `matmul`, `einsum`.

Each function is brought into one form. Convolutions have a layer; everything else is a
product of matrices, x [..., rows, n_in] times `right` [..., n_in, n_out].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from spikejoule.pricing.layers import matrix_layer, with_weights

Make = Callable[..., "list[Product]"]


class Operand(nn.Linear):
    """The right side of a product, as a layer with one matrix for each head or token.

    Only its size is known if it depends on the samples.
    """

    @classmethod
    def of(cls, right: Tensor) -> Self:
        """Make one of matrices [..., n_in, n_out], for one sample and step."""
        n_out = right.shape[-1]
        layer = cls(1, n_out, bias=False, device="meta")
        return with_weights(layer, right.mT.reshape(n_out, -1))


@dataclass(frozen=True, eq=False)
class Product:
    """One product in a function.

    Attributes:
        x: the left side, or the input of a convolution.
        right: the right side, or the kernel of a convolution.
        bias: what is added; None without.
        layer: the convolution; None for a product of matrices.
        is_of_samples: whether both sides depend on the samples.
    """

    x: Tensor
    right: Tensor
    bias: Tensor | None = None
    layer: Any = None
    is_of_samples: bool = False

    def as_layer(self) -> Any:
        """Return the right side as a layer, which is read and never runs."""
        if self.layer is not None:
            return with_weights(self.layer, self.right, self.bias)
        if self.right.ndim > 2:
            return Operand.of(self.right)
        return matrix_layer(self.right.mT, self.bias)

    def transposed(self) -> "Product":
        """Return the product with its sides swapped."""
        return Product(self.right.mT, self.x.mT, self.bias)


def _matmul(left: Tensor, right: Tensor, **_: Any) -> list[Product]:
    x = left if left.ndim > 1 else left[None]
    return [Product(x, right if right.ndim > 1 else right[:, None])]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> list[Product]:
    right = weight.mT if weight.ndim > 1 else weight[:, None]
    return [Product(x, right, bias)]


def _addmm(added: Tensor, left: Tensor, right: Tensor, **_: Any) -> list[Product]:
    return [Product(left, right, added)]


def _convolution(kind: Any, *names: str) -> Make:
    """Return a function that makes the product of a convolution.

    Args:
        kind: the layer's class.
        names: of the function's arguments after input, kernel and bias.
    """

    def product(
        x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **named: Any
    ) -> list[Product]:
        settings = dict(zip(names, args, strict=False)) | named
        n_out, n_in, *kernel = weight.shape
        groups = settings.get("groups", 1)
        channels = (n_in * groups, n_out)
        if "output_padding" in names:
            # The kernel of a transposed convolution has its input channels first.
            channels = (n_out, n_in * groups)
        settings |= {"bias": False, "device": "meta"}
        return [Product(x, weight, bias, kind(*channels, tuple(kernel), **settings))]

    return product


_OTHER_AXES: Final = "UVWXYZ"


def _einsum(equation: Any, *operands: Any) -> list[Product]:
    """Return the product of two operands; none if the equation is of another kind."""
    if not isinstance(equation, str) or len(operands) != 2:
        return []
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    left, right = inputs.split(",")
    # "..." is as many axes as the other letters leave, and has letters of its own.
    left_axes, right_axes = (
        _OTHER_AXES[len(_OTHER_AXES) - (operand.ndim - len(term.replace(".", ""))) :]
        for term, operand in zip((left, right), operands, strict=True)
    )
    left = left.replace("...", left_axes)
    right = right.replace("...", right_axes)
    output = output.replace("...", max(left_axes, right_axes, key=len))
    both = [letter for letter in left if letter in right]
    batch = "".join(letter for letter in both if letter in output)
    summed = "".join(letter for letter in both if letter not in output)
    rows = "".join(letter for letter in left if letter not in both)
    columns = "".join(letter for letter in right if letter not in both)
    letters = batch + rows + columns
    if not (arrow and summed) or sorted(letters) != sorted(output):
        return []
    x, weights = operands
    x = torch.einsum(f"{left}->{batch}{rows}{summed}", x)
    x = x.flatten(len(batch) + len(rows))
    weights = torch.einsum(f"{right}->{batch}{summed}{columns}", weights)
    weights = weights.flatten(len(batch), len(batch) + len(summed) - 1)
    weights = weights.flatten(len(batch) + 1) if columns else weights[..., None]
    if batch:
        x = x.flatten(len(batch), -2) if rows else x[..., None, :]
    return [Product(x, weights)]


def _attention(
    query: Tensor, key: Tensor, value: Tensor, *args: Any, **named: Any
) -> list[Product]:
    """Return the products with keys and with values; masked scores are 0."""
    names = ("attn_mask", "dropout_p", "is_causal")
    settings = dict(zip(names, args, strict=False)) | named
    if settings.get("enable_gqa"):
        repeats = query.shape[-3] // key.shape[-3]
        key = key.repeat_interleave(repeats, -3)
        value = value.repeat_interleave(repeats, -3)
    # Scores are real numbers: which ones is not needed.
    scores = query.new_full((*query.shape[:-1], key.shape[-2]), 0.5)
    if settings.get("is_causal"):
        scores = scores.tril()
    mask = settings.get("attn_mask")
    if mask is not None:
        scores = scores * (mask if mask.dtype == torch.bool else mask.isfinite())
    return [Product(query, key.mT), Product(scores, value)]


ATTENTION: Final = "scaled_dot_product_attention"
_FORWARD = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")
PRODUCTS: Final[dict[str, Make]] = {
    "linear": _linear,
    "matmul": _matmul,
    "rmatmul": lambda right, left: _matmul(left, right),
    "mm": _matmul,
    "bmm": _matmul,
    "mv": _matmul,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "einsum": _einsum,
    ATTENTION: _attention,
    "conv1d": _convolution(nn.Conv1d, *_FORWARD),
    "conv2d": _convolution(nn.Conv2d, *_FORWARD),
    "conv3d": _convolution(nn.Conv3d, *_FORWARD),
    "conv_transpose1d": _convolution(nn.ConvTranspose1d, *_TRANSPOSED),
    "conv_transpose2d": _convolution(nn.ConvTranspose2d, *_TRANSPOSED),
    "conv_transpose3d": _convolution(nn.ConvTranspose3d, *_TRANSPOSED),
}
"""By the names of functions, without underscores at their ends."""
