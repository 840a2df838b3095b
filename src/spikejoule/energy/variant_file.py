"""The file of variants, from which a verdict over many runs is made.

For variant k of K it holds:

    text        [K, 3]          side, network, how it is run
    accuracies  float64 [K, 2]  validation and test, in percent; -1 for one that is not
                known
    widths      int64 [K, 2]    bits of a weight; 1 for integers
    sha256      [K]             checksum of its weights
    k.columns   [C, 2]          term and place of its C columns
    k.sizes     int64 [C, 3]    width, bits of its memory, bits of its layer's
                parameters
    k.constant  int64 [C]       counts that are those of every image; -1 where they vary
    k.varying   uint32 [N, C']  those that vary, of N images
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.core.store import FilePath
from spikejoule.energy.ledger import Accuracies, Side, Variant
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.network.quantisation import FLOAT_BITS

_UNKNOWN: Final = -1.0
_VARIES: Final = -1
VARIANTS = ArrayFile(
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
    optional={"sha256": Array("U", ("K",))},
)


def save_variants(path: FilePath, variants: Sequence[Variant]) -> None:
    """Write variants that were counted image by image, all on the same N images.

    Raises:
        ValueError: one is known as a mean alone, or has a count of 2**32 or more.
    """
    percents = np.array(
        [(each.validation_percent, each.test_percent) for each in variants], float
    )
    percents[[each.accuracies is None for each in variants]] = _UNKNOWN
    widths = [
        (each.weight_bits, int(each.weight_bits < FLOAT_BITS)) for each in variants
    ]
    names = [(each.side, each.network, each.method) for each in variants]
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array(names, dtype=np.str_),
        "accuracies": percents,
        "widths": np.array(widths, np.int64),
        "sha256": np.array([each.weights_sha256 for each in variants], dtype=np.str_),
    }
    for number, variant in enumerate(variants):
        columns = variant.operations.columns
        counts = variant.operations.counts
        if (
            variant.operations.n_images is None
            or counts.max(initial=0) > np.iinfo(np.uint32).max
        ):
            raise ValueError(
                f"{variant.name} is known as a mean alone, or has counts of 2**32 "
                "or more"
            )
        varies = (counts != counts[:1]).any(axis=0)
        places = [(column.term, column.place) for column in columns]
        sizes = [
            (column.bits, column.memory_bits, column.parameters_bits)
            for column in columns
        ]
        arrays[f"{number}.columns"] = np.array(places, dtype=np.str_)
        arrays[f"{number}.sizes"] = np.array(sizes)
        arrays[f"{number}.constant"] = np.where(varies, _VARIES, counts[0])
        arrays[f"{number}.varying"] = counts[:, varies].astype(np.uint32)
    VARIANTS.write(path, arrays)


def load_variants(path: FilePath) -> tuple[Variant, ...]:
    """Read a file of `save_variants`; ArtifactError if it is missing or damaged."""
    arrays = VARIANTS.read(path)
    try:
        return tuple(
            _variant_of(arrays, number) for number in range(len(arrays["text"]))
        )
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: variants do not fit each other: {error}."
        ) from error


def _variant_of(arrays: Mapping[str, NDArray[Any]], number: int) -> Variant:
    """A variant by its number; KeyError or ValueError if its arrays do not fit each
    other.
    """
    side, network, method = arrays["text"][number].tolist()
    if side not in get_args(Side):
        raise ValueError(f"a network of the side {side!r}")
    percents = arrays["accuracies"][number].tolist()
    return Variant(
        side=side,
        network=network,
        method=method,
        accuracies=None if _UNKNOWN in percents else Accuracies(*percents),
        weight_bits=int(arrays["widths"][number, 0]),
        operations=_operations_of(arrays, number),
        # Files from before checksums have none.
        weights_sha256=arrays["sha256"][number].item() if "sha256" in arrays else "",
    )


def _operations_of(arrays: Mapping[str, NDArray[Any]], number: int) -> OperationCounts:
    constant = arrays[f"{number}.constant"]
    varying = arrays[f"{number}.varying"]
    counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
    counts[:, constant == _VARIES] = varying
    places = arrays[f"{number}.columns"].tolist()
    sizes = arrays[f"{number}.sizes"].tolist()
    columns = [
        Column(term, place, bits, memory_bits, parameters_bits)
        for (term, place), (bits, memory_bits, parameters_bits), _ in zip(
            places, sizes, constant, strict=True
        )
    ]
    return OperationCounts(tuple(columns), counts, 1)
