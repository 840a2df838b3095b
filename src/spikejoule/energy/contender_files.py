"""The file of the networks of one run, counted: what a verdict over many runs reads.

For contender k of K: `text` [K, 3] (side, network, how it is run), `accuracies` float64 [K, 2] in
percent (validation, test; NaN is not allowed, so one that is not known is -1), `widths` int64
[K, 2] (bits of a weight; 1 for integers), and of its C columns `k.columns` [C, 2] (term, place),
`k.sizes` int64 [C, 3] (width, bits of its memory, bits of its layer's parameters) and the counts of
N images: `k.constant` int64 [C], -1 where they vary, and those that do, `k.varying` uint32 [N, C'].
"""

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.energy.contenders import CONVENTIONAL, SPIKING, Accuracies, Contender
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.terms import DESCRIPTIONS

_UNKNOWN: Final = -1.0
_VARIES: Final = -1
_OF_EACH: Final = ("columns", "sizes", "constant", "varying")


def _problem(arrays: Arrays) -> str:
    for number in range(len(arrays["text"])):
        needed = [f"{number}.{name}" for name in _OF_EACH]
        missing = [name for name in needed if name not in arrays]
        if missing:
            return f"it lacks {missing[0]}"
        columns, sizes, constant, varying = (arrays[name] for name in needed)
        n_varying = int((constant == _VARIES).sum())
        if not len(columns) == len(sizes) == len(constant) or varying.shape[1] != n_varying:
            return f"the columns of {number} do not fit each other"
        unknown = [term for term in columns[:, 0] if str(term) not in DESCRIPTIONS]
        if unknown:
            return f"{unknown[0]!r} is no term"
    known = {f"{number}.{name}" for number in range(len(arrays["text"])) for name in _OF_EACH}
    surplus = sorted(set(arrays) - known - {"text", "accuracies", "widths"})
    if surplus:
        return f"the array {surplus[0]!r} is unknown"
    if (arrays["widths"][:, 1] > 1).any():
        return "the second of widths is 1 for integers, else 0"
    sides = set(arrays["text"][:, 0].tolist())
    if not sides <= {SPIKING, CONVENTIONAL}:
        return f"a side is {SPIKING} or {CONVENTIONAL}, not {sorted(sides)[0]}"
    return ""


CONTENDERS = ArrayFile(
    "spikejoule/contenders/1",
    {
        "text": Array("U", ("K", 3)),
        "accuracies": Array("float64", ("K", 2), low=-1, high=100),
        "widths": Array("int64", ("K", 2), low=0, high=64),
        "*.columns": Array("U", ("*", 2)),
        "*.sizes": Array("int64", ("*", 3), low=0),
        "*.constant": Array("int64", ("*",), low=_VARIES),
        "*.varying": Array("uint32", ("N", "*")),
    },
    _problem,
)


def save_contenders(path: str | os.PathLike[str], contenders: Sequence[Contender]) -> None:
    """Write contenders that were counted image by image, all on the same N images.

    Raises:
        ValueError: one is known as a mean alone, or has a count of 2**32 or more.
    """
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array(
            [(one.side, one.network, one.method) for one in contenders], dtype=np.str_
        ),
        "accuracies": np.array([_accuracies(one) for one in contenders]),
        "widths": np.array(
            [(one.weight_bits, int(one.integers)) for one in contenders], dtype=np.int64
        ),
    }
    for number, one in enumerate(contenders):
        operations = one.operations
        if not isinstance(operations, OperationCounts):
            raise ValueError(f"{one.name} is known as a mean alone")
        counts = operations.counts
        varies = (counts != counts[:1]).any(axis=0)
        if counts.max(initial=0) > np.iinfo(np.uint32).max:
            raise ValueError(f"{one.name} has counts of more than the file can hold")
        arrays[f"{number}.columns"] = np.array(
            [(column.term, column.place) for column in operations.columns], dtype=np.str_
        )
        arrays[f"{number}.sizes"] = np.array(
            [(one.bits, one.memory_bits, one.parameters_bits) for one in operations.columns],
            dtype=np.int64,
        )
        arrays[f"{number}.constant"] = np.where(varies, _VARIES, counts[0]).astype(np.int64)
        arrays[f"{number}.varying"] = counts[:, varies].astype(np.uint32)
    CONTENDERS.write(path, arrays)


def load_contenders(path: str | os.PathLike[str]) -> tuple[Contender, ...]:
    """Read a file of `save_contenders`; ArtifactError if it is missing or damaged."""
    arrays = CONTENDERS.read(path)
    return tuple(_contender(arrays, number) for number in range(len(arrays["text"])))


def _accuracies(contender: Contender) -> tuple[float, float]:
    known = contender.accuracies
    return (_UNKNOWN, _UNKNOWN) if known is None else (known.validation_percent, known.test_percent)


def _contender(arrays: Arrays, number: int) -> Contender:
    side, network, method = (str(text) for text in arrays["text"][number])
    validation, test = (float(percent) for percent in arrays["accuracies"][number])
    weight_bits, integers = (int(width) for width in arrays["widths"][number])
    constant, varying = arrays[f"{number}.constant"], arrays[f"{number}.varying"]
    counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
    counts[:, constant == _VARIES] = varying
    places = zip(arrays[f"{number}.columns"], arrays[f"{number}.sizes"], strict=True)
    columns = tuple(
        Column(str(term), str(place), *(int(size) for size in sizes))
        for (term, place), sizes in places
    )
    return Contender(
        side=SPIKING if side == SPIKING else CONVENTIONAL,
        network=network,
        method=method,
        accuracies=None if validation == _UNKNOWN else Accuracies(validation, test),
        weight_bits=weight_bits,
        integers=bool(integers),
        operations=OperationCounts(columns, counts, 1),
    )
