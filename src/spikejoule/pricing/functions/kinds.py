"""What PyTorch functions do, by name: the table that decides what is counted.

    free          moves, adds, inspects or creates numbers, and needs no count (`FREE`)
    a product     counted with its operands (`products.PRODUCTS`)
    like a module counted as the module that does the same
                  (`like_modules.LIKE_MODULES`)

Every other function is named in the report. Names have no underscores at their ends:
`add` is `torch.add`, `Tensor.add_` and `+`.
"""

from typing import Final

_ADDING: Final = "add radd iadd sub rsub isub sum cumsum neg"
_RESHAPING: Final = """
    cat concat concatenate stack hstack vstack view view_as reshape ravel flatten
    unflatten squeeze unsqueeze transpose swapaxes swapdims permute movedim moveaxis t
    expand expand_as repeat repeat_interleave broadcast_to pad split chunk tensor_split
    unbind narrow
"""
_INDEXING: Final = """
    get getitem setitem select index_select gather unfold roll flip tril triu
    pixel_shuffle pixel_unshuffle channel_shuffle
"""
_COPYING: Final = """
    clone detach contiguous to float half bfloat16 double cpu cuda copy fill zero
    requires_grad to_dense to_sparse to_sparse_csr type type_as bool long int short char
    byte
"""
_LOOKING: Final = "eq ne any all isnan isfinite argmax argmin argsort nonzero"
_CREATING: Final = """
    zeros ones empty full eye tensor as_tensor zeros_like ones_like empty_like full_like
    new_zeros new_ones new_empty new_full arange
"""
FREE: Final = frozenset(
    f"{_ADDING} {_RESHAPING} {_INDEXING} {_COPYING} {_LOOKING} {_CREATING}".split()
)
"""Functions that only move, add, inspect or create numbers."""
CHOOSING: Final = frozenset(["getitem", "index_select", "gather"])
"""Free functions, unless samples choose among weights: those of units that fired."""
SCALED_ADDING: Final = "alpha"
"""The argument of free functions that add multiples, if it is not 1."""
DROPPING: Final = frozenset(["dropout", "dropout1d", "dropout2d", "dropout3d"])
"""Functions that scale what they keep; free where they return what they took."""
RESIZING: Final = "interpolate"
"""A function that only repeats numbers if its `mode` starts with ``nearest``."""
_RESCALING: Final = """
    mul rmul imul div rdiv truediv itruediv true_divide floordiv ifloordiv floor_divide
    lshift ilshift bitwise_left_shift rshift irshift bitwise_right_shift
    round floor ceil trunc clamp clip clamp_min clamp_max minimum maximum
    gt ge lt le where relu relu6 hardtanh fake_quantize_per_tensor_affine
    fused_moving_avg_obs_fake_quant
"""
RESCALING: Final = frozenset(_RESCALING.split())
"""Functions that rescale, round and clip by one number: in an integer network they are
counted with the units."""

VIEWING: Final = frozenset(f"{_RESHAPING} get getitem select detach contiguous".split())
"""Functions that may return a view, and change no number."""
MOVING: Final = VIEWING | frozenset(
    f"{_ADDING} {_INDEXING} {RESIZING} to type_as float half bfloat16 double cpu cuda"
    " clone copy".split()
)
"""Functions that move or add numbers: what they make of values are values."""
CASTING: Final = frozenset(["to", "type_as"])
"""Functions that read only their first tensor: the type is that of a second."""
MERGING: Final = frozenset(["flatten", "reshape", "view"])
"""Functions that may merge samples and steps."""
_JOINING: Final = """
    cat concat concatenate hstack vstack repeat repeat_interleave index_select gather
    getitem roll flip
"""
JOINING: Final = frozenset(_JOINING.split())
"""Functions that may put samples and steps into another order, in new memory."""
SHARING: Final = frozenset(["numpy", "array", "dlpack"])
"""Functions that return the memory of a tensor as something else."""
EXPOSING: Final = SHARING | {"get"}
"""These, and attributes such as `x.data`, let a tensor change unnoticed."""
WRITING: Final = frozenset({"__setitem__", "copy_", "fill_", "zero_"})
"""Free functions that change a module's input in place."""
CONSTANT: Final = frozenset(["zeros", "ones", "full", "empty", "eye", "arange"])
"""Functions that make the same tensor in every inference, from no tensor."""
FOREIGN: Final = frozenset(
    ["from_numpy", "tensor", "as_tensor", "asarray", "frombuffer"]
)
"""Functions that make a tensor from data that PyTorch did not compute."""
