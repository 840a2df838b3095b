"""The file of counted networks, from which the study compares many runs.

For variant k of K it holds:

    text        [K, 3]          side, network, method
    accuracies  float64 [K, 2]  validation and test, in percent; -1 if unknown
    widths      int64 [K, 2]    bits of a weight; 1 for integers
    sha256      [K]             checksum of its weights
    k.columns   [C, 2]          term and place of its C columns
    k.sizes     int64 [C, 3]    bits of a word, of its memory, of its layer's parameters
    k.widths    int64 [C, 2]    product of the widths of factors, and width of the sum
    k.constant  int64 [C]       counts that are equal for all images; -1 if they vary
    k.varying   uint32 [N, C']  the counts that vary, for N images
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
        "*.widths": Array("int64", ("*", 2), low=0),
        "*.constant": Array("int64", ("*",), low=_VARIES),
        "*.varying": Array("uint32", ("N", "*")),
    },
    optional={"sha256": Array("U", ("K",))},
)


def save_variants(path: FilePath, variants: Sequence[Variant]) -> None:
    """Write variants that were counted on the same N images.

    Raises:
        ValueError: a variant is known only as a mean, or has a count of 2**32 or more.
    """
    names = []
    percents = []
    widths = []
    for variant in variants:
        names.append((variant.side, variant.network, variant.method))
        known = (variant.validation_percent, variant.test_percent)
        percents.append((_UNKNOWN, _UNKNOWN) if variant.accuracies is None else known)
        is_integer = variant.weight_bits < FLOAT_BITS
        widths.append((variant.weight_bits, int(is_integer)))
    checksums = [variant.weights_sha256 for variant in variants]
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array(names, dtype=np.str_),
        "accuracies": np.array(percents, float),
        "widths": np.array(widths, np.int64),
        "sha256": np.array(checksums, dtype=np.str_),
    }
    for number, variant in enumerate(variants):
        arrays |= _arrays_of(variant, number)
    VARIANTS.write(path, arrays)


def _arrays_of(variant: Variant, number: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a variant's counts."""
    operations = variant.operations
    counts = operations.counts
    largest = np.iinfo(np.uint32).max
    if operations.n_images is None or counts.max(initial=0) > largest:
        raise ValueError(
            f"{variant.name} is known only as a mean, or has counts of 2**32 or more"
        )
    varies = (counts != counts[:1]).any(axis=0)
    places = [(column.term, column.place) for column in operations.columns]
    sizes = [
        (column.bits, column.memory_bits, column.parameters_bits)
        for column in operations.columns
    ]
    widths = [(column.product_bits, column.sum_bits) for column in operations.columns]
    return {
        f"{number}.columns": np.array(places, dtype=np.str_),
        f"{number}.sizes": np.array(sizes),
        f"{number}.widths": np.array(widths),
        f"{number}.constant": np.where(varies, _VARIES, counts[0]),
        f"{number}.varying": counts[:, varies].astype(np.uint32),
    }


def load_variants(path: FilePath) -> tuple[Variant, ...]:
    """Read a file of `save_variants`; ArtifactError if it is missing or damaged."""
    arrays = VARIANTS.read(path)
    try:
        return tuple(
            _variant_of(arrays, number) for number in range(len(arrays["text"]))
        )
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: the variants do not match each other: {error}."
        ) from error


def _variant_of(arrays: Mapping[str, NDArray[Any]], number: int) -> Variant:
    """Rebuild a variant; KeyError or ValueError if its arrays do not match."""
    side, network, method = arrays["text"][number].tolist()
    if side not in get_args(Side):
        raise ValueError(f"a network has the unknown side {side!r}")
    percents = arrays["accuracies"][number].tolist()
    return Variant(
        side=side,
        network=network,
        method=method,
        accuracies=None if _UNKNOWN in percents else Accuracies(*percents),
        weight_bits=int(arrays["widths"][number, 0]),
        operations=_operations_of(arrays, number),
        # Older files have no checksums.
        weights_sha256=arrays["sha256"][number].item() if "sha256" in arrays else "",
    )


def _operations_of(arrays: Mapping[str, NDArray[Any]], number: int) -> OperationCounts:
    constant = arrays[f"{number}.constant"]
    varying = arrays[f"{number}.varying"]
    counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
    counts[:, constant == _VARIES] = varying
    places = arrays[f"{number}.columns"].tolist()
    sizes = arrays[f"{number}.sizes"].tolist()
    if len(places) != len(constant):
        raise ValueError("a network has more or fewer columns than counts")
    # Older files have no widths of arithmetic.
    widths = arrays.get(f"{number}.widths", np.zeros((len(places), 2), int)).tolist()
    columns = []
    for (term, place), size, width in zip(places, sizes, widths, strict=True):
        bits, memory_bits, parameters_bits = size
        product_bits, sum_bits = width
        columns.append(
            Column(
                term,
                place,
                bits,
                memory_bits,
                parameters_bits,
                product_bits=product_bits,
                sum_bits=sum_bits,
            )
        )
    return OperationCounts(tuple(columns), counts, 1)
