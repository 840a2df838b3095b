"""The file of variants, from which a verdict over many runs is made.

For variant k of K it holds `text`
[K, 3] (side, network, how it is run), `accuracies` float64 [K, 2] in percent (validation, test; NaN
is not allowed, so one that is not known is -1), `widths` int64 [K, 2] (bits of a weight; 1 for
integers), `sha256` [K] (checksum of its weights), and of its C columns `k.columns` [C, 2] (term,
place), `k.sizes` int64 [C, 3] (width, bits of its memory, bits of its layer's parameters) and the
counts of N images: `k.constant` int64 [C], -1 where they vary, and those that do, `k.varying`
uint32 [N, C'].
"""

from collections.abc import Sequence
from dataclasses import replace
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
_OF_EACH: Final = ("columns", "sizes", "constant", "varying")
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
    percents = np.array([(one.validation_percent, one.test_percent) for one in variants], float)
    percents[[one.accuracies is None for one in variants]] = _UNKNOWN
    widths = [(one.weight_bits, int(one.weight_bits < FLOAT_BITS)) for one in variants]
    arrays: dict[str, NDArray[Any]] = {
        "text": np.array([(one.side, one.network, one.method) for one in variants], dtype=np.str_),
        "accuracies": percents,
        "widths": np.array(widths, np.int64),
        "sha256": np.array([one.weights_sha256 for one in variants], dtype=np.str_),
    }
    for number, one in enumerate(variants):
        columns, counts = one.operations.columns, one.operations.counts
        if one.operations.n_images is None or counts.max(initial=0) > np.iinfo(np.uint32).max:
            raise ValueError(f"{one.name} is known as a mean alone, or has counts of 2**32 or more")
        varies = (counts != counts[:1]).any(axis=0)
        stored = (
            np.array([(each.term, each.place) for each in columns], dtype=np.str_),
            np.array([(each.bits, each.memory_bits, each.parameters_bits) for each in columns]),
            np.where(varies, _VARIES, counts[0]),
            counts[:, varies].astype(np.uint32),
        )
        arrays |= {f"{number}.{name}": each for name, each in zip(_OF_EACH, stored, strict=True)}
    VARIANTS.write(path, arrays)


def load_variants(path: FilePath) -> tuple[Variant, ...]:
    """Read a file of `save_variants`; ArtifactError if it is missing or damaged."""
    arrays, found = VARIANTS.read(path), []
    digests = arrays["sha256"].tolist() if "sha256" in arrays else [""] * len(arrays["text"])
    try:
        for number, (side, network, method) in enumerate(arrays["text"].tolist()):
            if side not in get_args(Side):
                raise ValueError(f"a network of the side {side!r}")
            places, sizes, constant, varying = (arrays[f"{number}.{name}"] for name in _OF_EACH)
            counts = np.broadcast_to(constant, (len(varying), len(constant))).copy()
            counts[:, constant == _VARIES] = varying
            columns = [
                Column(*place, *widths)
                for place, widths, _ in zip(places.tolist(), sizes.tolist(), constant, strict=True)
            ]
            percents, bits = arrays["accuracies"][number].tolist(), arrays["widths"][number, 0]
            accuracies = None if _UNKNOWN in percents else Accuracies(*percents)
            operations = OperationCounts(tuple(columns), counts, 1)
            variant = Variant(side, network, method, accuracies, int(bits), operations)
            found.append(replace(variant, weights_sha256=digests[number]))
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: variants do not fit each other: {error}.") from error
    return tuple(found)
