"""The verdict with time: energies of all scenarios by hand."""

import pytest

from studies.verdict.tests.test_counts import counted
from studies.verdict.timed import (
    FAST,
    ON,
    ON_STOPPED,
    REAL_TIME,
    REAL_TIME_STOPPED,
    Scenario,
    knows_steps,
    quantities,
)

# ODIN: 8.43 pJ and two cycles at 75 MHz per event, 27.3 uW, 1.78 pJ per cycle.
LEAKAGE_UW = 27.3
IDLE_UW = LEAKAGE_UW + 75 * 1.78
FAST_PJ = 8.43 + 2 / 75 * IDLE_UW
STOPPED_PJ = 8.43 + 2 * 1.78
PJ_PER_UW_MS = 1e3


@pytest.mark.parametrize(
    ("scenario", "spiking_pj", "conventional_pj"),
    [
        (FAST, 3000 * FAST_PJ, 1000 * FAST_PJ),
        (
            ON,
            3000 * 8.43 + 20 * IDLE_UW * PJ_PER_UW_MS,
            1000 * 8.43 + 20 * IDLE_UW * PJ_PER_UW_MS,
        ),
        (
            ON_STOPPED,
            3000 * STOPPED_PJ + 20 * LEAKAGE_UW * PJ_PER_UW_MS,
            1000 * STOPPED_PJ + 20 * LEAKAGE_UW * PJ_PER_UW_MS,
        ),
        (REAL_TIME, 3000 * 8.43 + 4 * IDLE_UW * PJ_PER_UW_MS, 1000 * FAST_PJ),
        (
            REAL_TIME_STOPPED,
            3000 * STOPPED_PJ + 4 * LEAKAGE_UW * PJ_PER_UW_MS,
            1000 * FAST_PJ,
        ),
    ],
)
def test_energies_by_hand(
    scenario: Scenario, spiking_pj: float, conventional_pj: float
) -> None:
    """3,000 events in 4 steps against 1,000 products, an image every 20 ms."""
    (spiking, *_) = counted("s", 98, 3000.0, **{"count:decision_comparison": 4 * 18.0})
    (conventional, *_) = counted("c", 98, 1000.0)
    energy = quantities()[scenario.name]
    assert energy(spiking) == pytest.approx(spiking_pj)
    assert energy(conventional) == pytest.approx(conventional_pj)


def test_only_networks_with_known_steps_take_part() -> None:
    """A whole window has one comparison of all classes, whatever its steps."""
    (spiking, *_) = counted("s", 98, 3000.0)
    (conventional, *_) = counted("c", 98, 1000.0)
    assert knows_steps(conventional)
    early = spiking.model_copy(update={"method": "early exit, lazy updates"})
    whole = spiking.model_copy(update={"method": "whole window, lazy updates"})
    assert knows_steps(early)
    assert not knows_steps(whole)
