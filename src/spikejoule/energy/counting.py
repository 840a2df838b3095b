"""Counting the operations of an inference: integers by sample, term and place.

Every network is counted in one form (`OperationCounts`), so that all are priced alike.

**A spiking network** is counted node by node (`count_operations`). Of a chain of layers 0 (input)
to L - 1 (output) with n_l units, T steps, and S_l spikes that layer l emits for one sample:

    synaptic events          E_l: sum over the spikes of layer l of the synapses that the unit
                             reaches
    neuron updates           T n_l: active in the S_l steps in which a neuron spikes, else inactive
    leak multiplications     T n_l        (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3); none in
                             a layer whose neurons keep their whole potential
    bias additions           T n_l        none without biases
    threshold comparisons    T n_l
    resets, spikes routed    S_l
    event addresses          one a synaptic event
    weight reads             one word a synaptic event, and where synapses were removed the index of
                             its target beside it
    bias reads               one a bias addition, or addition of a sum that is kept
    state accesses           2 T n_l words: each potential is read and written once per step; and up
                             to 2 more for each synaptic event, if it is no register meanwhile
    spike reads, writes      S_l from the queue before a layer, S_l to the one behind it
    answer                   S_(L-1) additions to the counts of classes, and n_(L-1) - 1 comparisons
                             of them; for early exit, in every step 2 n_(L-1) - 2 comparisons that
                             find the two largest counts and compare their distance with the lead

and, where the images are known, what their encoding takes (`encoding.encoder`) and one
read of each pixel. On hardware that leaves idle neurons alone, T n_l is the number of lazy updates
(`Measurement.lazy_updates`), and the leak of the steps between them one multiplication.

An input of constant currents has no spikes, and in their place

    input MACs               the synapses of every source that gives something: once per inference,
                             or T times where hardware multiplies in every step (Rueckauer et al.
                             2017, doi:10.3389/fnins.2017.00682)

which read weights, and accumulate, like synaptic events. Where they are made once, their sums are
added in every step: an addition per neuron and step that holds the bias, if there is one, and is
counted as a bias addition if there is none. Each pixel is compared with zero, once, to find those
that give something.

Other nodes of a graph, with n units, and its counts of one sample (`evaluation.measurement`):

    convolution             as of a layer; the memory of weights is that of its kernels, and biases
                            belong to it
    values into a connection    M multiply-accumulates; E + M addresses, weights read, and twice as
                            many accesses of state at most
    neurons                 T multiplications for each state that leaks, an addition for each v_leak
                            that is not 0 and, between a synaptic current and the potential, for
                            each neuron; two accesses of each state
    pooling                 of a chain nothing: it renames spikes; of a graph
                            an addition for each amount and window; average pooling a
                            multiplication for each sum
    Threshold               T n comparisons; S spikes routed and written
    Delay                   what it gives was written, and is read once or by each that takes it
    a value that is no spike    is written by its node and read by each that multiplies it

and a spike is read once by each connection that it enters. What is done with an output of values is
not counted. Constant gains (r dt / tau and the like) are taken as parts of the weights.

Who sees a model run (`modules`) has counted more than that: kinds ``active`` (updates with a
spike), ``resets``, ``leaks``, ``biases``, ``comparisons`` and ``reads`` of an activity take the
place of what these formulas would make of its spikes, updates and steps.

A synaptic event belongs to a connection (``input_to_hidden``), the others to a layer. Input units
are no neurons: they have spikes, but neither updates nor state. Loihi's table of prices (Davies et
al. 2018) names an "active" and an "inactive" neuron update and does not define the words; here the
update of a step with a spike is the active one.

**A ReLU network** of layers 0 (input) to L - 1 (scores) with n_l units, W_l weights that are left
between layer l and the next, and M_l products of an activation and a weight that are both not zero:

                            dense               zero-skipping
    multiply-accumulates    W_l                 M_l
    weight reads            W_l                 M_l      and the index of its target beside it where
                                                         weights were removed
    addresses               n_l + n_l+1 units,  M_l      as of a spiking network's events: which
                            W_l weights                  weights are needed is not known before
    comparisons with zero   none                n_l      to find the activations that are
    activation reads        n_l, or W_l where   n_l
                            weights were removed
    sum reads and writes    none                2 n_l+1  each is set to its bias, and read when all
                                                         activations have come; n_l+1 without
                                                         biases, as it is 0 at first, as a potential
      and for the products  none                2 M_l    like a potential's for each event, if a sum
                                                         is no register

A dense network makes one sum after the other in a register, and reads an activation once for all of
them; where weights were removed, each that is left requests its own. A zero-skipping one takes one
activation after the other, as a spiking network takes its events, and adds to all of its sums.

For both, in every layer after the input: n_l activations written, and n_l bias additions and bias
reads, none without biases; a comparison (ReLU) for each hidden unit, and in integers a
requantisation; n_(L-1) - 1 comparisons of scores. Where activations have neither 8 bits nor 16, and
are integers, each pixel is read in its 8 bits, multiplied, rounded by an addition, and written in
the width in which the first layer reads it, as a spiking network's encoding is counted. In a
network of torch with convolutions (`pricing.conventional`), W_l and M_l are those under whose
windows an activation lies, and kernels and biases are stored once; ReLU and biases are counted
where it has some, and pooling takes an addition, or a comparison, for each activation and window,
reads the former and writes its results, which an average divides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.energy.terms import TERMS
from spikejoule.evaluation.measurement import Activity, Measurement
from spikejoule.network.network import (
    BY_UNIT,
    Connection,
    Convolution,
    Dense,
    Input,
    Network,
    Neurons,
    Node,
    Output,
    Pooling,
    Step,
    Waiting,
)
from spikejoule.network.quantisation import FLOAT_BITS

Method = Literal["dense", "zero_skipping"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

INFERENCE: Final = "inference"
IMAGE: Final = "image"
"""The place of what makes the pixels that a network reads."""

_PIXEL_BITS = 8


@dataclass(frozen=True)
class Column:
    """One term at one place: a layer's name, or a connection's such as ``input_to_hidden``.

    Attributes:
        term: what is counted, a row of `terms.TERMS`; ValueError for another.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that a word is read from or written to; 0 where the term is
            no word of a memory.
        parameters_bits: of a weight, an index or a bias: what the layer's parameters take together.
        phase: ``inference``, or one of training's.
    """

    term: str
    place: str
    bits: int = FLOAT_BITS
    memory_bits: int = 0
    parameters_bits: int = 0
    phase: str = INFERENCE

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"{self.term!r} has no row in the table of terms")


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples, or of one inference on average.

    Attributes:
        columns: C columns, a term at a place each.
        counts: int64 [N, C]; of a mean whose samples are not known one by one, float64 [1, C].
        time_window: T; 1 for a conventional network.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int = 1

    @property
    def n_images(self) -> int | None:
        """N; None of a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Operations of one inference on average, float64 [C]."""
        found: NDArray[np.float64] = self.counts.mean(axis=0)
        return found

    def of(self, *terms: str) -> NDArray[Any]:
        """Counts of some terms, [N, places of the terms]."""
        return self.counts[:, [column.term in terms for column in self.columns]]


def block(
    term: str,
    places: Sequence[str],
    counts: ArrayLike,
    bits: ArrayLike = FLOAT_BITS,
    words: ArrayLike = 0,
    parameters: ArrayLike = 0,
) -> OperationCounts:
    """A term at its places; `bits`, `words` and `parameters` of each place, or of all.

    Args:
        term: what is counted.
        places: P places.
        counts: [N, P], or [P] or a number of all samples.
        bits: width of what is read, written or computed.
        words: that the memory holds; 0 where the term is no word of a memory.
        parameters: bits of all parameters of the layer.
    """
    widths, held, stored = np.broadcast_arrays(bits, words, parameters, np.empty(len(places)))[:3]
    columns = tuple(
        Column(term, place, int(width), int(width) * int(n), int(n_bits))
        for place, width, n, n_bits in zip(places, widths, held, stored, strict=True)
    )
    return OperationCounts(columns, np.atleast_2d(counts))


def joined(
    parts: Iterable[OperationCounts], n_samples: int, time_window: int = 1
) -> OperationCounts:
    """Counts of N samples beside each other; those of one row are of each sample."""
    kept = [one for one in parts if one.columns]
    counts = [np.broadcast_to(one.counts, (n_samples, len(one.columns))) for one in kept]
    columns = tuple(column for one in kept for column in one.columns)
    return OperationCounts(columns, np.hstack(counts), time_window)


def address_bits(n_units: int) -> int:
    """Bits that tell n units apart, at least 1."""
    return max(1, (n_units - 1).bit_length())


def averaging(operations: OperationCounts, side: int, n_pixels: int) -> OperationCounts:
    """Operations with those that make the pixels a network reads, if they are means of squares.

    Of a square every pixel is read and added, and half of their number to round; dividing by a
    power of two is no operation. The mean is written to where the network reads it.

    Args:
        operations: of the network, on any side.
        side: of the squares, in pixels; 1 if pixels are read as they are.
        n_pixels: that the network reads.
    """
    if side == 1:
        return operations
    made = _made_pixels(IMAGE, side**2 * n_pixels, n_pixels, _PIXEL_BITS, "code_addition")
    return joined([*made, operations], len(operations.counts), operations.time_window)


def _made_pixels(
    place: str, n_read: int, n_written: int, bits: int, *computed: str
) -> Iterator[OperationCounts]:
    """What making pixels of others takes: each is read, goes through some terms, and is written."""
    yield block("pixel_read", [place], [n_read], _PIXEL_BITS, n_read)
    for term in computed:
        yield block(term, [place], [n_read])
    yield block("activation_write", [place], [n_written], bits, n_written)


_ORDER = {term: number for number, term in enumerate(TERMS)}


def count_operations(
    counted: Activity | Measurement, encoding: EncodingOperations | None = None
) -> OperationCounts:
    """The formulas of this module for a spiking network.

    Of each term, in the order of the table, the nodes in theirs.

    Args:
        counted: what N samples did, or the mean of them; of a `Measurement`, in its whole window,
            every neuron updated in every step (`Measurement.activity` has other ways).
        encoding: what encoding them took; None where that is not known.
    """
    activity = counted.activity() if isinstance(counted, Measurement) else counted
    blocks = [each for node in activity.network.nodes.values() for each in _of_node(activity, node)]
    blocks.sort(key=lambda one: _ORDER[one.columns[0].term])
    return joined([*_encoding(activity, encoding), *blocks], activity.n_rows, activity.time_window)


def _encoding(activity: Activity, encoding: EncodingOperations | None) -> Iterator[OperationCounts]:
    """What turning images into spikes takes, and finding the constant currents that are not 0."""
    node = activity.network.input
    if encoding is not None:
        yield _at(node, "pixel_read", node.n_out, _PIXEL_BITS, node.n_out)
        for term, found in (
            ("random_draw", encoding.random_draws),
            ("code_comparison", encoding.comparisons),
            ("code_multiplication", encoding.multiplications),
            ("code_addition", encoding.additions),
            ("code_logarithm", encoding.logarithms),
        ):
            yield _at(node, term, found)
    if activity.products is not None:
        yield _at(node, "zero_comparison", activity.samples_of_row * node.n_out)


def _at(node: Node, term: str, counts: NDArray[Any] | int, *sizes: ArrayLike) -> OperationCounts:
    """A term at a node, counts [N] or of all samples, with `block`'s bits, words and parameters."""
    return block(term, [node.name], np.atleast_1d(counts)[:, None], *sizes)


def _of_node(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    if isinstance(node, Dense | Convolution):
        yield from _of_connection(activity, node)
    elif isinstance(node, Neurons):
        yield from _of_neurons(activity, node)
    elif isinstance(node, Step) or node.name in activity.counts.get("comparisons", {}):
        compared = activity.time_window * node.n_out
        yield _at(node, "threshold_comparison", _counted(activity, "comparisons", node, compared))
    for term in ("addition", "multiplication"):
        if node.name in activity.counts.get(f"{term}s", {}):
            yield _at(node, term, activity.of(f"{term}s", node.name))
    renames = isinstance(node, Pooling) and activity.network.model is not None
    if not isinstance(node, Output) and not renames:
        yield from _of_transfer(activity, node)
    if node == activity.network.output:
        yield from _of_answer(activity, node)


def _counted(activity: Activity, kind: str, node: Node, otherwise: Any) -> Any:
    """Counts of a kind that follow from others where nobody has made them."""
    return activity.counts.get(kind, {}).get(node.name, otherwise)


def _of_connection(activity: Activity, node: Connection) -> Iterator[OperationCounts]:
    """What arrives through weights, and a bias of its own."""
    events, macs = activity.of("events", node.name), activity.of("macs", node.name)
    reads, (weight_bits, state_bits) = events + macs, widths_of(activity.network)
    stored, index_bits, parameters = _stored(activity, node)
    if activity.products is not None or node.name in activity.counts["events"]:
        yield _at(node, "synaptic_event", events)
    if node.name in activity.counts["macs"]:
        yield _at(node, "mac" if activity.products is None else "input_mac", macs)
    yield _at(node, "address_event", reads)
    yield _at(node, "weight_read", reads, weight_bits, stored, parameters)
    if index_bits:
        yield _at(node, "index_read", reads, index_bits, stored, parameters)
    if node.bias is not None:
        added = _counted(activity, "biases", node, activity.time_window * node.n_out)
        yield _at(node, "bias_addition", added)
        yield _at(node, "bias_read", added, state_bits, node.bias.size, parameters)
    yield _at(node, "state_access_per_event", 2 * reads, state_bits, node.n_out)


def widths_of(network: Network) -> tuple[int, int]:
    """Bits of a weight and of a potential."""
    widths = network.quantisation
    return (FLOAT_BITS, FLOAT_BITS) if widths is None else (widths.weight_bits, widths.state_bits)


def _stored(activity: Activity, node: Connection) -> tuple[int, int, int]:
    """Weights of a connection that are stored, bits of the index beside each, and bits of all its
    parameters, those of the neurons behind it among them."""
    network, stored = activity.network, node.stored(activity.pruned)
    weight_bits, state_bits = widths_of(network)
    is_sparse = activity.pruned and isinstance(node, Dense)
    index_bits = address_bits(node.n_out) if is_sparse else 0
    biases = 0 if node.bias is None else node.bias.size
    if network.model is not None and node in network.forward_connections:
        _, biases = _added(activity, network.target_of(node))
    return stored, index_bits, stored * (weight_bits + index_bits) + biases * state_bits


def _added(activity: Activity, node: Node) -> tuple[int, int]:
    """Neurons of a population to which something constant is added in every update, and the words
    that hold it.

    It is a bias, of which a convolution has one a channel; the sum of products that are made once,
    one a neuron; of a graph, a v_leak that is not 0.
    """
    network = activity.network
    if network.model is None:
        assert isinstance(node, Neurons)
        return int(np.count_nonzero(node.parameters.get("v_leak", ()))), node.n_out
    number = network.layers.index(node)
    if activity.products == "once" and number == 1:
        return node.n_out, node.n_out
    words = network.forward_connections[number - 1].weight_shape[0]
    return (node.n_out, words) if network.has_bias else (0, 0)


def _of_neurons(activity: Activity, node: Neurons) -> Iterator[OperationCounts]:
    network, updates = activity.network, activity.of("updates", node.name)
    is_model, (_, bits) = network.model is not None, widths_of(network)
    active = _counted(activity, "active", node, activity.of("spikes", node.name))
    # A state for each time constant beside the potential's: a current, an adaptive threshold.
    further = sum(name.startswith("tau_") for name in node.parameters) - 1
    further = max(further, int(node.has_current), 0)
    if node.spikes:
        yield _at(node, "neuron_update_active", active)
    yield _at(node, "neuron_update_inactive", updates - active)
    if further:
        yield _at(node, "addition", further * updates)
    leaks = activity.counts.get("leaks", {}).get(node.name)
    if leaks is None:
        leaks = updates * activity.leaks_of(node) // node.n_out
    if is_model or leaks.any():
        yield _at(node, "leak_multiplication", leaks)
    added, words = _added(activity, node)
    if added or is_model:
        parameters = node.n_out * bits
        if is_model:
            before = network.forward_connections[network.layers.index(node) - 1]
            _, _, parameters = _stored(activity, before)
        additions = updates * added // node.n_out
        yield _at(node, "bias_addition", additions)
        yield _at(node, "bias_read", additions, bits, words or node.n_out, parameters)
    if node.spikes:
        yield _at(node, "threshold_comparison", updates)
        yield _at(node, "reset", _counted(activity, "resets", node, active))
    n_states = 1 + further
    yield _at(node, "state_access", 2 * updates * n_states, bits, node.n_out * n_states)


def _of_transfer(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    """What leaves a node: spikes or values, written once and read by each that takes them."""
    network, name, size = activity.network, node.name, node.n_out
    readers = sum(isinstance(one, BY_UNIT) for one in network.readers_of(name))
    if isinstance(node, Waiting):
        readers = max(readers, 1)
    gives_values = name not in network.spiking or name in activity.counts.get("values", {})
    given, bits = activity.of("values" if gives_values else "spikes", name), address_bits(size)
    read = _counted(activity, "reads", node, readers * given if readers else None)
    if not gives_values:
        yield _at(node, "spike_routed", given)
        if read is not None:
            yield _at(node, "spike_read", read, bits, size)
        if not isinstance(node, Input):
            yield _at(node, "spike_write", given, bits, size)
    elif read is not None:
        if not isinstance(node, Input):
            yield _at(node, "activation_write", given, FLOAT_BITS, size)
        yield _at(node, "activation_read", read, FLOAT_BITS, size)


def _of_answer(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    """Spikes that are added to the counts of classes, and finding the class with the most."""
    giver = activity.network.answer
    if giver is None:
        return
    comparisons = activity.samples_of_row * (node.n_out - 1)
    if activity.exit_steps is not None:
        comparisons = activity.exit_steps * (2 * node.n_out - 2)
    yield _at(node, "spike_counted", activity.of("spikes", giver))
    yield _at(node, "decision_comparison", comparisons)


def count_baseline(baseline: BaselineCounts, method: Method, n_samples: int) -> OperationCounts:
    """What inference on the first N images takes in a conventional network.

    Args:
        baseline: the network.
        method: whether it takes every product, or leaves out those with a zero.
        n_samples: N.

    Raises:
        ArtifactError: it was counted on fewer images.
    """
    n_counted = len(baseline.macs_nonzero)
    if n_counted < n_samples:
        raise ArtifactError(
            f"the baseline {baseline.name} was counted on {n_counted:,} test images, but the "
            f"network on {n_samples:,}: run the baseline stage again."
        )
    return joined(_of_baseline(baseline, method, n_samples), n_samples)


def _of_baseline(
    baseline: BaselineCounts, method: Method, n_samples: int
) -> Iterator[OperationCounts]:
    """The formulas of this module for a ReLU network."""
    architecture, connections = baseline.architecture, baseline.architecture.connections
    layers, names = architecture.layer_names, architecture.connection_names
    skips, integers = method == "zero_skipping", baseline.weight_bits < FLOAT_BITS
    bits, sum_bits = baseline.weight_bits, baseline.sum_bits
    synapses = np.array(baseline.synapses, dtype=np.int64)
    sources = np.array([one.n_in for one in connections], dtype=np.int64)
    targets = np.array([one.n_out for one in connections], dtype=np.int64)
    biased = biases = targets * architecture.has_bias
    stored, hidden = synapses, [*layers[1:-1]]
    if architecture.model is None:  # not a chain of fully connected layers
        stored = np.array([one.stored(baseline.pruned) for one in connections])
        biases = np.array([0 if one.bias is None else one.bias.size for one in connections])
        biased = np.where(biases > 0, targets, 0)
    index_bits = np.array([address_bits(int(n)) * baseline.pruned for n in targets])
    parameters = stored * (bits + index_bits) + biases * sum_bits
    # The last layer's are scores, as wide as what they are summed in.
    activation_bits = [*[baseline.activation_bits] * len(connections), sum_bits]
    products: NDArray[np.int64] = baseline.macs_nonzero[:n_samples] if skips else synapses
    if integers and baseline.activation_bits % _PIXEL_BITS:
        n_pixels, rounding = int(sources[0]), ("code_multiplication", "code_addition")
        width = baseline.activation_bits
        yield from _made_pixels(architecture.input.name, n_pixels, n_pixels, width, *rounding)
    yield block("mac", names, products, bits)
    yield block("bias_addition", layers[1:], biased)
    if architecture.model is None:
        yield from _between_layers(architecture, baseline.activation_bits)
    else:
        yield block("activation_comparison", hidden, targets[:-1])
    if integers:
        yield block("requantisation", hidden, targets[:-1])
    if skips:
        yield block("zero_comparison", layers[:-1], sources)
        yield block("address_event", names, products)
    else:
        yield block("address_unit", names, sources + targets)
        yield block("address_mac", names, products)
    yield block("weight_read", names, products, bits, stored, parameters)
    if baseline.pruned:
        yield block("index_read", names, products, index_bits, stored, parameters)
    yield block("bias_read", layers[1:], biased, sum_bits, np.maximum(biases, 1), parameters)
    gathered = synapses if baseline.pruned and not skips else sources
    yield block("activation_read", layers[:-1], gathered, activation_bits[:-1], sources)
    if skips:
        yield block("sum_access", layers[1:], targets + biased, sum_bits, targets)
        yield block("sum_access_per_mac", names, 2 * products, sum_bits, targets)
    yield block("activation_write", layers[1:], targets, activation_bits[1:], targets)
    yield block("decision_comparison", layers[-1:], targets[-1:] - 1)


def _between_layers(architecture: Network, bits: int) -> Iterator[OperationCounts]:
    """What a conventional network does without weights: ReLU where it has one, and pooling."""
    for one in architecture.of(Step):
        yield block("activation_comparison", [one.name], [one.n_out])
    for pool in architecture.of(Pooling):
        place, amounts = [pool.name], [int(pool.fan_out().sum())]
        if pool.average:
            yield block("addition", place, amounts)
            yield block("multiplication", place, [pool.n_out])
        else:
            yield block("activation_comparison", place, amounts)
        yield block("activation_read", place, [pool.n_in], bits, pool.n_in)
        yield block("activation_write", place, [pool.n_out], bits, pool.n_out)
