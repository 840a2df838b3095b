"""The verdict with time in it: both sides on the constants of ODIN, a measured chip.

ODIN (`odin` in the packaged price lists) is the only digital chip of which leakage,
idle clock, energy and cycles of an event are known apart. Here both sides run on such a
chip, and a weight multiplied or added costs as much energy and time as a synaptic
event, which favours the conventional side. An image arrives every `WINDOW_STEPS` steps
of 1 ms. A side works as fast as the clock allows, or the spiking one in real time, one
step per 1 ms until it exits. Then either power stays on until the next image, or it is
switched off (power gating). Without power gating, pace does not matter.

While power is on, the clock runs, or it stops whenever nothing happens (clock gating).

Single networks take part, spiking ones with early exit: their steps are recorded, since
they make 2 n - 2 comparisons of n class counts in each step. Fronts and draws are those
of `counts`.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import SPIKING
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import load_profiles
from spikejoule.energy.timing import TimeModel, in_time
from spikejoule.evaluation.runs import EARLY_EXIT
from studies.verdict.counts import CountRatio, along, lazily_updated, narrow, operations
from studies.verdict.networks import FOLDER, RecordedNetwork
from studies.verdict.statistics import Quantity

TIMED: Final = FOLDER / "timed.csv"

WINDOW_STEPS: Final = 20
STEP_US: Final = 1000.0
_COMPARISONS_PER_STEP: Final = 2 * 10 - 2


class Scenario(NamedTuple):
    """How both sides work.

    Attributes:
        name: what the table calls it.
        steps: returns the steps of 1 ms for which power is on at least.
        clock_stops: whether the clock stops while nothing happens.
    """

    name: str
    steps: Callable[[RecordedNetwork], float]
    clock_stops: bool = False


def timed_ratios(
    networks: Sequence[RecordedNetwork], settings: BootstrapSettings
) -> list[CountRatio]:
    """Compare both sides' energies with time at every level."""
    taking_part = [one for one in narrow(lazily_updated(networks)) if knows_steps(one)]
    return along(taking_part, quantities(), operations, settings)


def knows_steps(network: RecordedNetwork) -> bool:
    """Whether a network's steps follow from its counts."""
    is_single = network.n_networks == 1
    return is_single and (network.side != SPIKING or EARLY_EXIT in network.method)


def steps_of(network: RecordedNetwork) -> float:
    """Steps of an inference; 0 for a conventional network."""
    if network.side != SPIKING:
        return 0.0
    return network.count("decision_comparison") / _COMPARISONS_PER_STEP


FAST: Final = Scenario("as fast as possible, then power off", steps=lambda _: 0.0)
ON: Final = Scenario("power and clock always on", steps=lambda _: WINDOW_STEPS)
ON_STOPPED: Final = Scenario(
    "power always on, clock stopped when idle",
    steps=lambda _: WINDOW_STEPS,
    clock_stops=True,
)
REAL_TIME: Final = Scenario(
    "spiking in real time, conventional as fast as possible, then power off",
    steps=steps_of,
)
REAL_TIME_STOPPED: Final = Scenario(
    "the same, clock stopped when idle", steps=steps_of, clock_stops=True
)
SCENARIOS: Final = (FAST, ON, ON_STOPPED, REAL_TIME, REAL_TIME_STOPPED)


def quantities() -> dict[str, Quantity]:
    """The energy per inference in pJ, static energy included, in each scenario."""
    return {scenario.name: _energy_in(scenario) for scenario in SCENARIOS}


def _energy_in(scenario: Scenario) -> Quantity:
    time, event_pj = _odin()
    time = time.model_copy(update={"step_us": (STEP_US,) * 3})
    if scenario.clock_stops:
        # Only the cycles of events then take idle energy: it is part of their price.
        event_pj += time.cycles["synaptic_event"] * time.idle_pj_per_cycle
        time = time.model_copy(update={"idle_pj_per_cycle": 0.0})
    return lambda network: total_pj(network, event_pj, time, scenario.steps(network))


def total_pj(
    network: RecordedNetwork, event_pj: float, time: TimeModel, steps: float
) -> float:
    """Return static and dynamic energy of an inference in pJ.

    Args:
        network: the network.
        event_pj: price of a weight added, or multiplied and added.
        time: the chip's time model.
        steps: steps of 1 ms for which the chip is switched on at least.
    """
    count = operations(network)
    counted = OperationCounts(
        (Column("synaptic_event", "all"),),
        np.array([[count]]),
        exit_steps=np.array([steps]),
    )
    dynamic_pj = np.full(3, event_pj * count)
    return in_time(counted, dynamic_pj, time).total_pj.value


def _odin() -> tuple[TimeModel, float]:
    """Return the chip's time model, and the price of an event in pJ."""
    profile = load_profiles()["odin"]
    assert profile.time is not None
    column = Column("synaptic_event", "all")
    return profile.time, profile.price_at(column)[1]
