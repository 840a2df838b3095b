"""Single values in words: ratios, accuracies, prices and windows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spikejoule.compare.break_even import spikes_at_break_even
from spikejoule.compare.comparison import Comparison
from spikejoule.compare.front import Side
from spikejoule.compare.outputs import DYNAMIC_ONLY
from spikejoule.energy.dataflow import Dataflow
from spikejoule.energy.ledger import EnergyRow, Variant
from spikejoule.energy.price_forms import AnyPrice, PriceByWidth
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.timing import Timed
from spikejoule.report.names import named
from spikejoule.report.units import (
    duration,
    energy_words,
    joule_seconds,
    joules,
    plain,
    range_words,
)

if TYPE_CHECKING:
    from spikejoule.compare.analysis import EnergyAnalysis
    from spikejoule.compare.inputs import AnalysisInputs

OUTCOMES: Final = {
    "snn": "spiking network wins",
    "ann": "conventional network wins",
    "undecided": "inconclusive",
}


def dataflow(way: Dataflow) -> str:
    """Write how a training runs: ``every product computed, gradients ...``."""
    zeros = "zeros skipped" if way.skips_zeros else "every product computed"
    extents = {
        "event": "gradients in memory for every event",
        "sample": "gradients summed within a sample",
        "batch": "gradients summed over a batch",
    }
    memory = ", biases in a memory of their own" if way.biases == "own" else ""
    return f"{zeros}, {extents[way.gradients]}{memory}"


def place(name: str) -> str:
    """Write a layer, or a connection as ``input → hidden``."""
    return name.replace("_to_", " → ")


def number(verdict: Comparison) -> str:
    """Write the ratio of a verdict without its interval; for a bound, that end."""
    low = verdict.ratio_low
    high = verdict.ratio_high
    ratio = verdict.ratio
    bound = verdict.ratio_bound
    if not bound:
        return f"{plain(low)} to {plain(high)}" if ratio is None else plain(ratio)
    if ratio is None:
        ratio = low if bound == "at least" else high
    return f"{bound} {plain(ratio)}"


def ratio(verdict: Comparison) -> str:
    """Write the ratio of a verdict with its interval, unless it is a bound or range."""
    if verdict.ratio is None or verdict.ratio_bound:
        return number(verdict)
    low = plain(verdict.ratio_low)
    high = plain(verdict.ratio_high)
    # Without images there is no interval, and both ends are the ratio itself.
    return number(verdict) if low == high else f"{number(verdict)} ({low} to {high})"


def tally(verdicts: Sequence[Comparison]) -> str:
    """Say how many price lists each side wins."""
    outcomes = [verdict.outcome for verdict in verdicts]
    if len(outcomes) == 1:
        return f"Only one price list applies to both: {OUTCOMES[outcomes[0]]}."
    wins = outcomes.count("snn")
    losses = outcomes.count("ann")
    undecided = outcomes.count("undecided")
    words = (
        f"The spiking network wins under {wins or 'none'} of the {len(outcomes)} price "
        f"lists that apply to both, the conventional network under "
        f"{losses or 'none'}"
    )
    if undecided:
        words += f"; {undecided} {'is' if undecided == 1 else 'are'} inconclusive"
    return f"{words}."


def under(profile: HardwareProfile) -> str:
    """Name a price list by its title."""
    return f"under “{profile.title}”"


def accuracy(known: Side | Variant) -> str:
    """Write validation and test accuracy; once if they are the same."""
    validation = known.validation_percent
    test = known.test_percent
    if test is None:
        return "accuracy not recorded"
    if validation == test:
        return f"{test:.2f} % correct"
    return f"{validation:.2f} % validation, {test:.2f} % test"


def baseline(verdict: Comparison) -> str:
    """Write the conventional network of a verdict with its accuracies."""
    side = verdict.conventional
    return f"{named(side)} ({accuracy(side)})"


def price(cost: AnyPrice) -> str:
    """Write the price of an operation."""
    if isinstance(cost, str):
        return "by memory size"
    if isinstance(cost, PriceByWidth):
        parts = {
            " per bit": cost.per_bit,
            " per bit squared": cost.per_bit_squared,
            " per bit of one factor and bit of the other": cost.per_product_bit[1],
            " per bit of the sum": cost.per_sum_bit[1],
        }
        return " and ".join(f"{joules(pj)}{unit}" for unit, pj in parts.items() if pj)
    span = f"{joules(cost.low_pj)} to {joules(cost.high_pj)}"
    if cost.value_pj is None:
        return span
    return joules(cost.value_pj) + ("" if cost.low_pj == cost.high_pj else f" ({span})")


def energy_of_row(row: EnergyRow) -> str:
    """Write the energy of a row of the ledger, or why it has none."""
    if row.energy is not None:
        return energy_words(row.energy)
    return "covered by another price" if row.status == "covered" else "no price"


def with_time(timed: Timed | None) -> str:
    """Write static, dynamic and total energy and latency; or that there is no time."""
    if timed is None:
        return DYNAMIC_ONLY
    static, dynamic, total = (
        range_words(energy_pj, joules)
        for energy_pj in (timed.static_pj, timed.dynamic_pj, timed.total_pj)
    )
    latency = range_words(timed.latency_us, duration)
    product = range_words(timed.energy_delay_pj_s, joule_seconds)
    return (
        f"static {static}, dynamic {dynamic}, total {total}; latency {latency}; "
        f"energy-delay product {product}"
    )


def break_even(verdict: Comparison, analysis: "EnergyAnalysis") -> str:
    """Write the spikes per input below which the spiking network wins."""
    limit = spikes_at_break_even(analysis, verdict)
    if limit is None:
        return ""
    if limit == 0:
        return "none"
    return (
        f"{plain(limit)} (this network has {plain(analysis.inputs.spikes_per_input)})"
    )


def window_label(inputs: "AnalysisInputs") -> str:
    """Return the label of `window`."""
    return "window" if inputs.rate_hz is None else "window, maximum rate"


def window(inputs: "AnalysisInputs") -> str:
    """Write how long an inference takes, and the rate of a rate encoding."""
    if inputs.step_ms is None:
        return f"{inputs.operations.time_window} steps"
    words = f"{inputs.operations.time_window * inputs.step_ms:g} ms"
    if inputs.step_ms != 1:
        words += f" in {inputs.operations.time_window} steps"
    return words if inputs.rate_hz is None else f"{words}, {inputs.rate_hz:g} Hz"


def updates(inputs: "AnalysisInputs") -> str:
    """Write neuron updates per inference, clocked and on event-driven hardware."""
    clocked, lazy = inputs.neuron_updates
    if lazy is None and inputs.counted_in:
        return f"{clocked:,}"
    words = "not recorded" if lazy is None else f"{lazy:,.1f}"
    if inputs.network.adds_bias:
        words = "the same, since every neuron has a bias"
    return f"{clocked:,}; on event-driven hardware {words}"
