"""Sentences of the report: filled templates, and single values in words.

Page, card, terminal and JSON share them. Every non-empty line of a template in the
folder `sentences` is one sentence. The functions of this module are filters in
templates, under their own names.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from spikejoule.compare.comparison import RunVerdict
from spikejoule.compare.notes import sentence
from spikejoule.energy.dataflow import Dataflow
from spikejoule.energy.estimates import energy_words, interval_words, joules, plain
from spikejoule.energy.ledger import Accuracies
from spikejoule.energy.prices import (
    EVIDENCE,
    NUMBERS,
    SCOPES,
    AnyPrice,
    HardwareProfile,
    PriceByWidth,
)
from spikejoule.energy.terms import in_words
from spikejoule.network.graph import Graph
from spikejoule.network.nodes import Convolution, Dense, Pooling

if TYPE_CHECKING:
    from jinja2 import Environment

    from spikejoule.compare.analysis import AnalysisInputs


OUTCOMES: Final = {
    "snn": "spiking network wins",
    "ann": "conventional network wins",
    "undecided": "inconclusive",
}

_MOST_SIZES = 5
_MOST_LAYERS_NAMED = 8
_FIRST_LAYERS_NAMED = 3
_LAST_LAYERS_NAMED = 2


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


def architecture(network: Graph) -> str:
    """Return the sizes of a network, ``784-400-10``, or its `layers` if it is deep."""
    is_deep = network.sizes.count("-") >= _MOST_SIZES
    return layers(network) if is_deep else network.sizes


def layers(network: Graph) -> str:
    """List the layers of a network: ``28 x 28 - conv 16 x 3x3 - pool 2 - 10``.

    Equal layers in a row are folded (``784 - 3 x 400 - 10``), and the middle of a very
    deep network is left out.
    """
    sides = [size for size in network.input.out_shape if size > 1] or [1]
    named = [" x ".join(str(side) for side in sides)]
    for layer, equal_layers in groupby(_layer_names(network)):
        times = len(list(equal_layers))
        named.append(layer if times == 1 else f"{times} x {layer}")
    if len(named) > _MOST_LAYERS_NAMED:
        first = named[:_FIRST_LAYERS_NAMED]
        last = named[-_LAST_LAYERS_NAMED:]
        n_omitted = len(named) - len(first) - len(last)
        named = [*first, f"({n_omitted} more)", *last]
    return " - ".join(named)


def _layer_names(network: Graph) -> Iterator[str]:
    """Name every connection and pooling, in order.

    A connection into neurons that another one already reaches, such as a recurrent one
    or a residual shortcut, adds no layer.
    """
    reached: set[str] = set()
    for node in network.nodes.values():
        if isinstance(node, Pooling):
            # Pooling that was counted as it ran has windows of unknown size.
            side = max(node.windows.kernel)
            yield "pool" if side == 1 else f"pool {side}"
        if not isinstance(node, Convolution | Dense):
            continue
        readers = {reader.name for reader in network.readers_of(node.name)}
        if readers and readers <= reached:
            continue
        reached |= readers
        # A matrix that is a part of another one is a convolution without a kernel.
        if isinstance(node, Dense) or len(node.weight_shape) == 2:
            yield str(node.n_out)
        else:
            kernel = "x".join(str(size) for size in node.weight_shape[2:])
            stride = max(node.windows.stride)
            strided = f" stride {stride}" if stride > 1 else ""
            yield f"conv {node.out_shape[0]} x {kernel}{strided}"


def number(verdict: RunVerdict) -> str:
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


def ratio(verdict: RunVerdict) -> str:
    """Write the ratio of a verdict with its interval, unless it is a bound or range."""
    if verdict.ratio is None or verdict.ratio_bound:
        return number(verdict)
    low = plain(verdict.ratio_low)
    high = plain(verdict.ratio_high)
    # Without images there is no interval, and both ends are the ratio itself.
    return number(verdict) if low == high else f"{number(verdict)} ({low} to {high})"


def tally(verdicts: Sequence[RunVerdict]) -> str:
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


def _percents(validation: float | None, test: float | None) -> str:
    if validation == test:
        return f"{test:.2f} % correct"
    return f"{validation:.2f} % validation, {test:.2f} % test"


def accuracy(known: Accuracies | None) -> str:
    """Write validation and test accuracy; once if they are the same."""
    if known is None:
        return "accuracy not recorded"
    return _percents(known.validation_percent, known.test_percent)


def baseline(verdict: RunVerdict) -> str:
    """Write the conventional network of a verdict with its accuracies."""
    percents = _percents(
        verdict.conventional_validation_percent, verdict.conventional_test_percent
    )
    return f"{verdict.conventional} ({percents})"


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
    if inputs.network.has_bias:
        words = "the same, since every neuron has a bias"
    return f"{clocked:,}; on event-driven hardware {words}"


@cache
def templates() -> "Environment":
    """Return the template engine; sentences are plain text, so nothing is escaped."""
    # Imported here: a served model has no jinja2 and prints no sentences.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701
        loader=PackageLoader("spikejoule.report", "sentences"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        accuracy,
        baseline,
        dataflow,
        layers,
        number,
        place,
        price,
        ratio,
        sentence,
        tally,
        under,
        updates,
        window,
        window_label,
    )
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters |= {
        "joules": joules,
        "plain": plain,
        "energy": energy_words,
        "term": in_words,
        "terms": lambda names: in_words(*names),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "interval": interval_words,
    }
    environment.globals |= {
        "EVIDENCE": EVIDENCE,
        "NUMBERS": NUMBERS,
        "OUTCOMES": OUTCOMES,
        "SCOPES": SCOPES,
    }
    return environment


def sentences(template: str, **values: Any) -> tuple[str, ...]:
    """Fill a template and return its sentences, one per non-empty line."""
    lines = templates().get_template(f"{template}.j2").render(values).splitlines()
    return tuple(line.strip() for line in lines if line.strip())
