"""One schema of arrays for the writer and the reader: type, shape, range, relations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.array_files import Array, ArrayFile
from spikejoule.core.errors import ArtifactError
from spikejoule.core.files import write_npz

FILE = ArrayFile(
    "spikejoule/test/1",
    {
        "counts": Array("int64", ("N", "L"), low=0, high=9),
        "names": Array("U", ("L",)),
        "weights": Array("f", (2, "*")),
        "per_*": Array("u", ("N",)),
    },
    lambda arrays: "" if arrays["counts"].sum() == arrays["per_sample"].sum() else "sums differ",
)


def good() -> dict[str, np.ndarray]:
    return {
        "counts": np.array([[1, 2], [3, 0], [0, 4]]),
        "names": np.array(["input", "output"]),
        "weights": np.ones((2, 5), dtype=np.float32),
        "per_sample": np.array([3, 3, 4], dtype=np.uint16),
    }


def test_round_trip(tmp_path: Path) -> None:
    FILE.write(tmp_path / "a.npz", good())
    found = FILE.read(tmp_path / "a.npz")
    assert found.keys() == good().keys()
    for name, array in good().items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("names"), "'names' is missing"),
        (lambda a: a.update(more=np.zeros(1)), "'more' is unknown"),
        (lambda a: a.update(counts=a["counts"].astype(np.int32)), "must have the type 'int64'"),
        (lambda a: a.update(weights=a["weights"].astype(np.int8)), "must have the type 'f'"),
        (lambda a: a.update(names=a["names"].reshape(1, 2)), r"1 dimension\(s\)"),
        (lambda a: a.update(counts=a["counts"] - 1), "holds -1, but must be at least 0"),
        (lambda a: a.update(counts=a["counts"] * 9), "holds 36, but must be at most 9"),
        (lambda a: a.update(weights=a["weights"] * np.nan), "not finite"),
        (lambda a: a.update(weights=a["weights"][:1]), "2 is needed where it has 1"),
        (lambda a: a.update(names=a["names"][:1]), "'counts' has L = 2"),
        (lambda a: a.update(per_more=a["per_sample"][:2]), "'counts' has N = 3"),
        (lambda a: a.update(per_sample=a["per_sample"][::-1] * 2), "sums differ"),
    ],
)
def test_what_breaks_the_schema_is_neither_written_nor_read(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    arrays = good()
    change(arrays)
    with pytest.raises(ValueError, match=words):
        FILE.write(tmp_path / "a.npz", arrays)
    assert list(tmp_path.iterdir()) == []
    write_npz(tmp_path / "a.npz", FILE.schema, arrays)
    with pytest.raises(ArtifactError, match=words) as error:
        FILE.read(tmp_path / "a.npz")
    assert str(error.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(error.value)
