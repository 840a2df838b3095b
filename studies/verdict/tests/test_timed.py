"""The verdict with time: energies of three scenarios by hand."""

import pytest

from studies.verdict.tests.test_counts import counted
from studies.verdict.timed import FAST, GATED, REAL_TIME, knows_steps, quantities

# ODIN: 8.43 pJ and two cycles at 75 MHz per event, 27.3 uW, 1.78 pJ per cycle.
IDLE_UW = 27.3 + 75 * 1.78
FAST_PJ = 8.43 + 2 / 75 * IDLE_UW


def test_energies_by_hand() -> None:
    """3,000 events in 4 steps against 1,000 products."""
    (spiking, *_) = counted("s", 98, 3000.0, **{"count:decision_comparison": 4 * 18.0})
    (conventional, *_) = counted("c", 98, 1000.0)
    energy = quantities()
    assert energy[FAST](spiking) == pytest.approx(3000 * FAST_PJ)
    assert energy[FAST](conventional) == pytest.approx(1000 * FAST_PJ)
    on_pj = IDLE_UW * 1e-6 * 10e-3 * 1e12
    assert energy[REAL_TIME](spiking) == pytest.approx(3000 * 8.43 + on_pj)
    assert energy[REAL_TIME](conventional) == pytest.approx(1000 * 8.43 + on_pj)
    assert energy[GATED](spiking) == pytest.approx(3000 * 8.43 + 0.4 * on_pj)
    assert energy[GATED](conventional) == pytest.approx(1000 * FAST_PJ)


def test_only_networks_with_known_steps_take_part() -> None:
    """A whole window has one comparison of all classes, whatever its steps."""
    (spiking, *_) = counted("s", 98, 3000.0)
    (conventional, *_) = counted("c", 98, 1000.0)
    assert knows_steps(conventional)
    early = spiking.model_copy(update={"method": "early exit, lazy updates"})
    whole = spiking.model_copy(update={"method": "whole window, lazy updates"})
    assert knows_steps(early)
    assert not knows_steps(whole)
