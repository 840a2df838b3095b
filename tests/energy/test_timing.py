"""Time: an independent loop over random networks, and what a list with time needs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import Ledger, Variant
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import HardwareProfile, load_profiles
from tests.compare.test_verdict import counted_networks
from tests.energy.test_profiles import GOOD, written

CLOCKED = "  boundary: chip\n  time: {static_mw: 1, clock_mhz: 2, cycles: {%s: 3}}\n"


def timed_lists(tmp_path: Path) -> list[HardwareProfile]:
    """Real-time steps, a clock, and the longer of both with ranges everywhere."""
    both = (
        "  boundary: board\n"
        "  time:\n"
        "    static_mw: [0.5, 0.75, 2]\n"
        "    step_us: [10, 30]\n"
        "    clock_mhz: 1.5\n"
        "    idle_pj_per_cycle: 4\n"
        "    cycles: {synaptic_event: 2.5, neuron_update_active: 7}\n"
    )
    updates = (
        "    neuron_update_active: [3, 5]\n    neuron_update_inactive: [1, 1.5, 4]\n"
    )
    text = GOOD.replace("chip:", "both:", 1) + updates + both
    named = load_profiles(written(tmp_path, text))
    named |= {name: load_profiles()[name] for name in ("odin", "truenorth-2015")}
    return list(named.values())


def random_network(generator: np.random.Generator) -> Variant:
    """Counts of a few samples at random, half of them with early exit."""
    n_samples = int(generator.integers(1, 9))
    time_window = int(generator.integers(1, 50))
    terms = ("synaptic_event", "neuron_update_active", "neuron_update_inactive")
    columns = tuple(Column(term, place) for term in terms for place in ("a", "b"))
    counts = generator.integers(0, 2000, (n_samples, len(columns)))
    exits = generator.integers(1, time_window + 1, n_samples)
    operations = OperationCounts(
        columns, counts, time_window, exits if generator.random() < 0.5 else None
    )
    return Variant(
        side="spiking", method="whole window", weight_bits=4, operations=operations
    )


def by_loop(variant: Variant, profile: HardwareProfile, end: int) -> tuple[float, ...]:
    """Return latency in us, static, dynamic and total energy in pJ, and pJ s."""
    time = profile.time
    assert time is not None
    operations = variant.operations
    latencies, dynamics = [], []
    for sample, counts in enumerate(operations.counts):
        cycles = dynamic = 0.0
        for column, count in zip(operations.columns, counts, strict=True):
            cycles += time.cycles.get(column.term, 0) * count
            price = profile.prices.get(column.term)
            if price is not None:
                pj = (price.low_pj, price.value_pj, price.high_pj)[end]
                dynamic += count * (np.nan if pj is None else pj)
        steps = operations.time_window
        if operations.exit_steps is not None:
            steps = operations.exit_steps[sample]
        durations = []
        if time.step_us is not None:
            durations.append(steps * time.step_us[end])
        if time.clock_mhz is not None:
            durations.append(cycles / time.clock_mhz)
        latencies.append(np.nan if any(map(np.isnan, durations)) else max(durations))
        dynamics.append(dynamic)
    latency = sum(latencies) / len(latencies)
    dynamic = sum(dynamics) / len(dynamics)
    idle_mw = time.static_mw[end] + (time.clock_mhz or 0) * time.idle_pj_per_cycle / 1e3
    static = idle_mw * 1e-3 * latency * 1e-6 * 1e12
    total = static + dynamic
    return latency, static, dynamic, total, total * latency / 1e6


def test_static_dynamic_latency_and_product_agree_with_a_loop(tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    profiles = timed_lists(tmp_path)
    variants = [random_network(generator) for _ in range(20)]
    for variant in variants:
        ledger = Ledger.of([variant], profiles, BootstrapSettings(3))
        for profile in profiles:
            timed = ledger.timed(0, profile)
            assert timed is not None
            for end in range(3):
                found = [quantity[end] for quantity in timed]
                expected = by_loop(variant, profile, end)
                assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
            _, static, dynamic, total, _ = np.array(timed)
            assert total == pytest.approx(static + dynamic, nan_ok=True)


def test_early_exit_shortens_the_time() -> None:
    """The mean exit of steps 1, 2 and 3 is step 2 of 3."""
    profile = load_profiles()["truenorth-2015"]
    variants = [one for one in counted_networks() if one.network == "ours"]
    ledger = Ledger.of(variants, [profile], BootstrapSettings(3))
    latencies = set()
    for position, variant in enumerate(ledger.variants):
        timed = ledger.timed(position, profile)
        assert timed is not None
        latencies.add((variant.method, timed.latency_us.value))
    assert latencies == {("whole window", 3000.0), ("early exit", 2000.0)}


def test_means_of_counts_have_the_time_of_the_mean_sample() -> None:
    profile = load_profiles()["truenorth-2015"]
    operations = random_network(np.random.default_rng(1)).operations
    operations = replace(operations, exit_steps=np.arange(len(operations.counts)))
    assert profile.time is not None
    assert profile.time.latency_us(operations.as_mean) == pytest.approx(
        profile.time.latency_us(operations)
    )


def test_without_time_energies_are_dynamic_only() -> None:
    """So are training, and conventional networks on chips that run none."""
    profiles = load_profiles()
    variants = counted_networks()
    ledger = Ledger.of(variants, profiles.values(), BootstrapSettings(3))
    for position, variant in enumerate(ledger.variants):
        for profile in profiles.values():
            knows = profile.time is not None and variant.side == "spiking"
            assert (ledger.timed(position, profile) is not None) == knows


# What replaces the block `time`, and words of the reason.
FAULTS = [
    ("  boundary: chip\n  time: {static_mw: 1}\n", "it needs step_us, or clock_mhz"),
    ("  time: {static_mw: 1, step_us: 2}\n", "a list with time needs a boundary"),
    (
        "  boundary: garden\n",
        "'garden' is not allowed; allowed: cores, chip, board, board_and_host",
    ),
    (
        "  boundary: chip\n  time: {static_mw: [2, 1], step_us: 2}\n",
        "time.static_mw: it must be a number",
    ),
    (
        "  boundary: chip\n  time: {static_mw: .inf, step_us: 2}\n",
        "time.static_mw: it must be a number",
    ),
    (
        "  boundary: chip\n  time: {static_mw: 1, step_us: 2, clock_mhz: 1}\n",
        "clock_mhz and cycles need each other",
    ),
    (
        "  boundary: chip\n  time: {static_mw: 1, step_us: 1, idle_pj_per_cycle: 1}\n",
        "idle_pj_per_cycle needs clock_mhz",
    ),
    (CLOCKED % "mac", "time.cycles.mac needs a price of mac"),
]


@pytest.mark.parametrize(("block", "reason"), FAULTS)
def test_what_a_list_with_time_needs(tmp_path: Path, block: str, reason: str) -> None:
    path = written(tmp_path, GOOD + block)
    with pytest.raises(ParameterError, match=r"^[^\n]*price list chip") as error:
        load_profiles(path)
    assert reason in str(error.value)


def test_prices_that_include_static_power_cannot_have_time(tmp_path: Path) -> None:
    text = GOOD.replace("per_event", "all_in") + CLOCKED % "synaptic_event"
    with pytest.raises(ParameterError, match="scope all_in cannot have time"):
        load_profiles(written(tmp_path, text))
