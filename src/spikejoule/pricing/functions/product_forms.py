"""Products of tensors in PyTorch functions: `linear`, convolutions, `matmul`, `einsum`.

Each function is brought into one form. Convolutions have a layer; everything else is a
product of matrices, x [..., rows, n_in] times `right` [..., n_in, n_out].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikejoule.pricing.modules.layers import matrix_layer, with_weights

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


_MULTI_HEAD: Final = (
    *("query", "key", "value", "embed_dim", "num_heads"),
    *("in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "add_zero_attn"),
    *("dropout_p", "out_proj_weight", "out_proj_bias", "training"),
    *("key_padding_mask", "need_weights", "attn_mask"),
)
"""Names of the arguments of `nn.functional.multi_head_attention_forward`."""


def _multi_head_attention(*args: Any, **named: Any) -> list[Product]:
    """Return the projections, the products of `_attention`, and the last projection.

    Projections are computed again, since the products inside are not seen.
    """
    given = dict(zip(_MULTI_HEAD, args, strict=False)) | named
    projections = _projections(given)
    queries, keys, values = (
        functional.linear(one.x, one.right.mT, one.bias) for one in projections
    )
    if given["bias_k"] is not None:
        keys = _with_token(keys, given["bias_k"])
        values = _with_token(values, given["bias_v"])
    if given["add_zero_attn"]:
        keys, values = (functional.pad(x, (0, 0, 0, 1)) for x in (keys, values))
    split = nn.Unflatten(2, (given["num_heads"], -1))
    query, key, value = (split(x).transpose(1, 2) for x in (queries, keys, values))
    mask = _kept_scores(query, key, given)
    attended = functional.scaled_dot_product_attention(query, key, value, mask)
    bias = given["out_proj_bias"]
    last = Product(
        attended.transpose(1, 2).flatten(2), given["out_proj_weight"].mT, bias
    )
    return [*projections, *_attention(query, key, value, mask), last]


def _projections(given: Mapping[str, Any]) -> list[Product]:
    """Return the products that make queries, keys and values of [samples, tokens, n].

    The function takes [tokens, samples, n], or one sample without its axis.
    """
    sides = ("query", "key", "value")
    inputs = [given[side].transpose(0, -2) for side in sides]
    weights: list[Any] = [given.get(f"{side[0]}_proj_weight") for side in sides]
    if weights[0] is None:
        weights = [*given["in_proj_weight"].chunk(3)]
    biases = given["in_proj_bias"]
    added = [None] * 3 if biases is None else biases.chunk(3)
    return [
        Product(x, weight.mT, bias)
        for x, weight, bias in zip(inputs, weights, added, strict=True)
    ]


def _with_token(x: Tensor, token: Tensor) -> Tensor:
    """Append a learned token to [samples, tokens, features]."""
    return torch.cat([x, token.expand(len(x), -1, -1)], dim=1)


def _kept_scores(query: Tensor, key: Tensor, given: Mapping[str, Any]) -> Tensor | None:
    """Return which scores are kept by the masks; None for all.

    Args:
        query, key: [samples, heads, tokens, features].
        given: arguments: True in a mask, or minus infinity, leaves a score out. Tokens
            that the attention adds itself are kept.
    """
    is_kept: Tensor | None = None
    n_samples, n_heads, *_ = query.shape
    for name in ("attn_mask", "key_padding_mask"):
        mask = given.get(name)
        if mask is None:
            continue
        kept = mask.logical_not() if mask.dtype == torch.bool else mask.isfinite()
        kept = functional.pad(kept, (0, key.shape[2] - kept.shape[-1]), value=True)
        if name == "key_padding_mask":
            kept = kept.reshape(n_samples, 1, 1, -1)
        elif kept.ndim == 3:
            kept = kept.reshape(n_samples, n_heads, *kept.shape[1:])
        is_kept = kept if is_kept is None else is_kept & kept
    return is_kept


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
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head_attention,
    "conv1d": _convolution(nn.Conv1d, *_FORWARD),
    "conv2d": _convolution(nn.Conv2d, *_FORWARD),
    "conv3d": _convolution(nn.Conv3d, *_FORWARD),
    "conv_transpose1d": _convolution(nn.ConvTranspose1d, *_TRANSPOSED),
    "conv_transpose2d": _convolution(nn.ConvTranspose2d, *_TRANSPOSED),
    "conv_transpose3d": _convolution(nn.ConvTranspose3d, *_TRANSPOSED),
}
"""By the names of functions, without underscores at their ends."""

ATTENTION: Final = {"scaled_dot_product_attention", "multi_head_attention_forward"}
"""Functions of which all but the softmax is counted."""
