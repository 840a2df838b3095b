"""Held-out points, bounds and refusals; published tables and page follow from data."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikejoule.core.errors import ArtifactError
from studies.silicon.__main__ import TABLE, write_tables
from studies.silicon.page import PAGE, written
from studies.silicon.predictions import Prediction, predictions, price_lists
from studies.silicon.references import CHIPS, FOLDER, chips
from studies.silicon.systems import (
    SYSTEMS,
    SystemRow,
    under_systems,
)


@pytest.fixture(scope="module")
def rows() -> list[Prediction]:
    return predictions(chips(), price_lists())


@pytest.fixture(scope="module")
def systems() -> list[SystemRow]:
    return under_systems(chips())


def found(rows: list[Prediction], chip: str, point: str) -> Prediction:
    return next(row for row in rows if (row.chip.name, row.point.name) == (chip, point))


# Chip, point, and its energy in nJ by the formula of its source.
HELD_OUT = [
    ("ODIN", "1.3 MHz", 27.3 + 1.78 * 1.3 + 8.43 * 0.65),
    ("TrueNorth", "20.07 Hz", 64_430 + 2.297e-3 * 2**20 * 128 * 20.07e-3),
    (
        "Loihi",
        "nearest neighbours, cores",
        1e-3 * 76_800 * ((667 + 750) / 2 * 23.6 + 60 * 52),
    ),
]


@pytest.mark.parametrize(("chip", "point", "nj"), HELD_OUT)
def test_held_out_points_are_within_a_quarter(
    rows: list[Prediction], chip: str, point: str, nj: float
) -> None:
    row = found(rows, chip, point)
    assert row.predicted_nj is not None
    assert row.ratio is not None
    assert row.predicted_nj.value == pytest.approx(nj, rel=1e-6)
    assert abs(row.ratio.value - 1) < 0.25


def test_lists_name_the_points_that_they_were_fitted_to() -> None:
    for profile, rate in (("truenorth-2015", "11.58 and 95.93"), ("odin", "75 MHz")):
        time = price_lists()[profile].time
        assert time is not None
        assert time.fitted_to is not None
        assert rate in time.fitted_to


def test_one_price_comes_from_the_other_networks(rows: list[Prediction]) -> None:
    """Products by hand: 9 x 64 and 64 x 64 per pixel of 25 x 5, 4 times.

    The autoencoder multiplies 640 x 128 twice, 128 x 128 six times, 128 x 8 twice.
    """
    keywords = 125 * (10 * 4 * 64 + 4 * (9 * 64 + 64 * 64)) + 64 * 12
    anomalies = 2 * 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8
    others = [27_711 / 12_501_632, 40_801 / 7_489_664, 5_252 / anomalies]
    row = found(rows, "GAP9", "keyword spotting")
    assert row.point.counts == {"mac": (keywords, keywords)}
    assert row.predicted_nj is not None
    expected = [min(others), np.prod(others) ** (1 / 3), max(others)]
    assert row.predicted_nj == pytest.approx(keywords * np.array(expected))
    assert row.static_share is None


def test_another_voltage_takes_the_price_of_the_same_network(
    rows: list[Prediction],
) -> None:
    row = found(rows, "GAP9", "image classification at 0.8 V")
    assert row.predicted_nj == pytest.approx((27_711,) * 3)
    without = found(rows, "GAP9", "image classification")
    assert row.point not in without.chip.pricing(without.point)


# Chip, point, and energies in nJ: given; beyond that measured, predicted, rounding.
BEYOND = [
    ("ODIN", "1.3 MHz", (27.3, 35 - 27.3, 1.78 * 1.3 + 8.43 * 0.65, 0.5)),
    (
        "TrueNorth",
        "20.07 Hz",
        (68_000, 3_000, 64_430 + 2.297e-3 * 2**20 * 128 * 20.07e-3 - 68_000, 1_000),
    ),
]


@pytest.mark.parametrize(("chip", "point", "energies_nj"), BEYOND)
def test_what_a_total_tests_is_beyond_what_was_given(
    rows: list[Prediction], chip: str, point: str, energies_nj: tuple[float, ...]
) -> None:
    assert found(rows, chip, point).beyond == pytest.approx(energies_nj, rel=1e-4)


def test_what_was_fitted_or_is_a_bound_tests_nothing(rows: list[Prediction]) -> None:
    tested = {row.point.name for row in rows if row.beyond}
    assert tested == {"1.3 MHz", "20.07 Hz"}


def test_a_dense_network_by_hand(systems: list[SystemRow]) -> None:
    """8-bit products, and weights beside 32-bit biases in one memory per layer."""
    row = next(
        row
        for row in systems
        if (row.chip.name, row.profile) == ("GAP9", "45nm-by-width-memory")
    )
    units = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
    product = 8 * 8 * 0.003125 + 32 * 0.003125 + 0.1
    energy_pj = 0.0
    for before, after in pairwise(units):
        n_bytes = before * after + 4 * after
        per_byte = np.interp(n_bytes, [0, 8192, 32768, 2**20], [0, 1.25, 2.5, 12.5])
        energy_pj += before * after * product + n_bytes * per_byte
    # Activations add less than 1 %.
    assert row.predicted_nj == pytest.approx(energy_pj / 1e3, rel=0.01)


def test_the_picture_holds_at_least_eight_chips(rows: list[Prediction]) -> None:
    held_out = [row for row in rows if row.ratio and row.point.role == "predicted"]
    assert len({row.chip.name for row in held_out}) >= 8


def test_every_mark_has_a_reason(rows: list[Prediction]) -> None:
    assert all(row.point.reason for row in rows)


def test_chips_with_missing_data_have_a_reason_and_no_ratio(
    rows: list[Prediction],
) -> None:
    others = [row for row in rows if row.point.role in ("lower bound", "refused")]
    assert others
    for row in others:
        assert row.point.reason
        assert row.ratio is None
        assert (row.predicted_nj is None) == (row.point.role == "refused")


def test_lower_bounds_are_below_the_measurement(rows: list[Prediction]) -> None:
    bounds = [row for row in rows if row.point.role == "lower bound"]
    assert bounds
    for row in bounds:
        assert row.predicted_nj is not None
        assert row.predicted_nj.low <= row.measured_nj


def test_ubrain_is_compared_without_leakage(rows: list[Prediction]) -> None:
    """308 nJ, of which 30 or 72 % is leakage."""
    row = found(rows, "uBrain", "MNIST, 256-64-10")
    assert row.point.measures == "dynamic"
    assert row.point.measured_nj == pytest.approx((308 * 0.28, 308 * 0.7))
    assert row.static_share is None


def test_networks_without_a_clock_add_and_compare_at_every_event(
    systems: list[SystemRow],
) -> None:
    """Events by hand: 6,400 x 64 and 5,100 x 10, with 7-bit sums of 45 nm.

    A weight of 4 bits is read from 8 KB or 320 bytes, a potential of 7 bits read and
    written, and an address added.
    """
    per_kb = 1.25 / 8192
    hidden = 4 / 8 * 1.25 + 2 * 7 / 8 * 56 * per_kb
    output = 4 / 8 * 320 * per_kb + 2 * 7 / 8 * 8.75 * per_kb
    arithmetic = 0.1 + 2 * 7 * 0.003125
    events_pj = 409_600 * (hidden + arithmetic) + 51_000 * (output + arithmetic)
    row = next(row for row in systems if row.profile == "45nm-by-width-memory")
    assert row.chip.name == "uBrain"
    # Reading and writing 16,600 spikes and finding the answer add less than 1 %.
    assert row.predicted_nj == pytest.approx(events_pj / 1e3, rel=0.01)


def test_the_tables(
    rows: list[Prediction], systems: list[SystemRow], tmp_path: Path
) -> None:
    write_tables(rows, systems, tmp_path)
    for file in (TABLE, SYSTEMS):
        computed = pd.read_csv(tmp_path / file.name)
        pd.testing.assert_frame_equal(computed, pd.read_csv(file), rtol=1e-5)


def test_the_page(rows: list[Prediction], systems: list[SystemRow]) -> None:
    assert written(rows, systems) == PAGE.read_text(encoding="utf-8")


def test_the_picture_is_beside_the_page() -> None:
    assert (FOLDER / "silicon.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("role: fitted", "role: refused", "needs a profile"),
        ("    reason: ", "    nothing: ", "nothing is unknown"),
        ("counts:", "network:", "network"),
    ],
)
def test_an_invalid_file_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = (CHIPS / "odin.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "chip.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ArtifactError, match=rf"chip\.yaml: .*{reason}"):
        chips(tmp_path)


def test_one_price_from_nothing_is_refused(tmp_path: Path) -> None:
    text = (CHIPS / "gap9.yaml").read_text(encoding="utf-8")
    (tmp_path / "chip.yaml").write_text(
        text.replace("priced_by: image", "priced_by: no image"), encoding="utf-8"
    )
    with pytest.raises(ArtifactError, match=r"no other point .* at 0\.8 V"):
        chips(tmp_path)
