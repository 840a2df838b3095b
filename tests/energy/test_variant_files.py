"""The file of counted networks: what is written is read, and what is damaged is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy import BootstrapSettings, load_profiles, mean_operations
from spikejoule.energy.comparison import verdicts
from spikejoule.energy.ledger import (
    VARIANTS,
    Accuracies,
    EarlyAnswers,
    Variant,
    baseline_variants,
    load_variants,
    save_variants,
    spiking_variants,
)
from spikejoule.evaluation.measurement import Measurement
from tests.energy.by_hand import baseline
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE


def variants() -> tuple[Variant, ...]:
    """A spiking network, whole and early, with its code, and two conventional ones, on 3 images."""
    layers = tuple(
        EventList.from_dense(
            np.array([dense, np.roll(dense, 1, axis=0), np.zeros((3, units), int)])
        )
        for dense, units in ((INPUT, 3), (HIDDEN, 2), (OUTPUT, 2))
    )
    measured = Measurement(STATE, ARCHITECTURE, layers, pruned=True)
    images = np.array([[255, 0, 9], [0, 0, 0], [1, 2, 3]], dtype=np.uint8)
    code = Poisson(time_window=3, max_rate=80.0).operations(images)
    early = EarlyAnswers(np.array([1, 2, 3]), Accuracies(97.5, 97.0))
    return (
        *spiking_variants("ours, 8 bits", measured, code, Accuracies(98.0, 97.9), (early, code)),
        *spiking_variants("unknown", measured, None, None),
        *baseline_variants(
            (baseline(10, [1, 2, 3]), baseline(7, [3, 3, 3], "8 bits", weight_bits=8)), 3
        ),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = variants()
    save_variants(tmp_path / "c.npz", written)
    read = load_variants(tmp_path / "c.npz")
    assert len(read) == len(written) == 7
    for one, other in zip(read, written, strict=True):
        assert vars(one) | {"operations": None} == vars(other) | {"operations": None}
        assert one.operations.columns == other.operations.columns
        assert one.operations.counts.dtype == np.int64
        np.testing.assert_array_equal(one.operations.counts, other.operations.counts)
    profiles, settings = load_profiles(), BootstrapSettings(100)
    levels = (97.0, 98.0)
    assert [(one.outcome, one.ratio) for one in verdicts(read, profiles, levels, settings)] == [
        (one.outcome, one.ratio) for one in verdicts(written, profiles, levels, settings)
    ]


def test_means_are_refused(tmp_path: Path) -> None:
    means = mean_operations({"input": 5.0, "hidden": 3.0, "output": 2.0}, ARCHITECTURE, 3)
    one = Variant("spiking", "n", "way", None, 32, False, means)
    with pytest.raises(ValueError, match="n, way is known as a mean alone"):
        save_variants(tmp_path / "c.npz", [one])


def test_counts_that_the_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    one = variants()[0]
    one.operations.counts[0, 0] = 2**32
    with pytest.raises(ValueError, match="more than the file can hold"):
        save_variants(tmp_path / "c.npz", [one])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("text", lambda text: np.where(text == "spiking", "wet", text), "a side is spiking or"),
        ("accuracies", lambda values: values + 3, "at most 100"),
        ("widths", lambda values: values + 1, "1 for integers, else 0"),
        ("0.columns", lambda values: np.char.add(values, "s"), "is no term"),
        ("0.columns", None, r"lacks 0\.columns"),
        ("1.varying", lambda values: values[:, 1:], "the columns of 1 do not fit"),
        ("7.varying", np.array([[1], [2], [3]], np.uint32), "unknown"),
    ],
)  # fmt: skip
def test_damage(tmp_path: Path, name: str, change: Any, words: str) -> None:
    path = tmp_path / "c.npz"
    save_variants(path, variants())
    arrays = dict(VARIANTS.read(path))
    if callable(change):
        arrays[name] = change(arrays[name])
    elif change is None:
        del arrays[name]
    else:
        arrays[name] = change
    write_npz(path, VARIANTS.schema, arrays)
    with pytest.raises(ArtifactError, match=words):
        load_variants(path)
