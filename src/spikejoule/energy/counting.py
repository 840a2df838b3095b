"""Counting the operations of an inference: integers by sample, term and place.

Every network is counted in one form (`OperationCounts`), so that all are priced alike: a spiking
one here, a conventional one here, a graph of NIR in `energy.from_graph`.

**A spiking network** of layers 0 (input) to L - 1 (output) with n_l units, T steps, and S_l spikes
that layer l emits for one sample:

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
                             of them; to answer early, in every step 2 n_(L-1) - 2 comparisons that
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
    sum reads and writes    none                2 M_l    like a potential's for each event, if a sum
                                                         is no register

A dense network makes one sum after the other in a register, and reads an activation once for all of
them; where weights were removed, each that is left requests its own. A zero-skipping one takes one
activation after the other, as a spiking network takes its events, and adds to all of its sums.

For both, in every layer after the input: n_l bias additions and bias reads, n_l activations
written; a comparison (ReLU) for each hidden unit, and in integers a requantisation; n_(L-1) - 1
comparisons of scores.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.encoding.events import Products
from spikejoule.energy.terms import TERMS
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import synaptic_events_per_connection
from spikejoule.model.quantisation import FLOAT_BITS

if TYPE_CHECKING:  # PyTorch comes with it, and charts need none
    from spikejoule.baselines.counts import BaselineCounts

Method = Literal["dense", "zero_skipping"]
DENSE: Final = "dense"
ZERO_SKIPPING: Final = "zero_skipping"
METHODS: Final[tuple[Method, ...]] = (DENSE, ZERO_SKIPPING)

INFERENCE: Final = "inference"

_PIXEL_BITS = 8
_ACCUMULATOR_BITS = 32


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
        lazy_updates: neuron updates that event-driven hardware makes (`Measurement.lazy_updates`),
            of each layer after the input, int64 [N, L - 1]; None where they were not counted.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int
    lazy_updates: NDArray[np.int64] | None = None

    @property
    def n_images(self) -> int | None:
        """N; None of a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Operations of one inference on average, float64 [C]."""
        found: NDArray[np.float64] = self.counts.mean(axis=0)
        return found

    def of(self, term: str) -> NDArray[Any]:
        """Counts of a term, [N, places of the term]."""
        return self.counts[:, [column.term == term for column in self.columns]]


@dataclass(frozen=True, eq=False)
class Block:
    """A term at its places: P columns, and counts [N, P] (or [P], the same for all samples)."""

    columns: tuple[Column, ...]
    counts: NDArray[Any]


def block(
    term: str,
    places: Sequence[str],
    counts: ArrayLike,
    bits: ArrayLike = FLOAT_BITS,
    words: ArrayLike = 0,
    parameters: ArrayLike = 0,
) -> Block:
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
    return Block(
        tuple(
            Column(term, place, int(width), int(width) * int(n), int(n_bits))
            for place, width, n, n_bits in zip(places, widths, held, stored, strict=True)
        ),
        np.asarray(counts),
    )


def joined(blocks: Iterable[Block], n_samples: int) -> tuple[tuple[Column, ...], NDArray[Any]]:
    """The columns of some blocks, and their counts [N, C]."""
    kept = [one for one in blocks if one.columns]
    counts = [np.broadcast_to(one.counts, (n_samples, len(one.columns))) for one in kept]
    return tuple(column for one in kept for column in one.columns), np.hstack(counts)


def address_bits(n_units: int) -> int:
    """Bits that tell n units apart, at least 1."""
    return max(1, (n_units - 1).bit_length())


@dataclass(frozen=True, eq=False)
class InputMacs:
    """Multiply-accumulates of constant currents.

    Attributes:
        counts: of each sample or epoch, or means, [N].
        products: whether hardware makes them ``once`` per inference or in ``every_step``.
    """

    counts: NDArray[Any]
    products: Products


@dataclass(frozen=True, eq=False)
class SpikingCounts:
    """What the operations of N samples (or epochs, or of one mean) follow from.

    Attributes:
        spikes: of each layer, [N, L].
        events: synaptic events of each connection, [N, L - 1].
        updates: neuron updates of each layer after the input, [N, L - 1].
        synapses: that are left, of each connection; None for all.
        inputs: products of constant currents; None for an input of spikes.
        code: what encoding took; None where the images are not known.
        exit_steps: the steps [N] after which a network that may answer early did; None for one
            that does not.
        samples: of each row, [N]; None for one.
    """

    spikes: NDArray[Any]
    events: NDArray[Any]
    updates: NDArray[Any]
    synapses: tuple[int, ...] | None = None
    inputs: InputMacs | None = None
    code: EncodingOperations | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None


def count_operations(
    measured: Measurement, code: EncodingOperations | None = None
) -> OperationCounts:
    """What inference on the N samples of a measurement takes, from its counts of their spikes.

    Args:
        measured: the samples.
        code: what encoding them took; None where that is not known.
    """
    steps = np.full(measured.counts.n_samples, measured.time_window)
    return counted(measured, code, clocked_updates(measured.architecture, steps))


def counted(
    measured: Measurement,
    code: EncodingOperations | None,
    updates: NDArray[np.int64],
    exit_steps: NDArray[np.int64] | None = None,
) -> OperationCounts:
    """The same with the neuron updates [N, L - 1] that are to be counted, and of early answers."""
    currents, macs = measured.layers[0].currents, measured.input_macs
    if exit_steps is not None and currents is not None and currents.products == "every_step":
        macs = currents.sum_per_sample(measured.fan_outs[0]) * exit_steps
    columns, counts = count_spiking(
        measured.architecture,
        SpikingCounts(
            spikes=measured.counts.per_sample,
            events=measured.synaptic_events,
            updates=updates,
            synapses=measured.synapses if measured.pruned else None,
            inputs=None if currents is None or macs is None else InputMacs(macs, currents.products),
            code=code,
            exit_steps=exit_steps,
        ),
    )
    return OperationCounts(columns, counts, measured.time_window, measured.lazy_updates)


def mean_operations(
    spikes_per_inference: Mapping[str, float],
    architecture: Architecture,
    time_window: int,
    synaptic_events: Sequence[float] | None = None,
    inputs: InputMacs | None = None,
    synapses: tuple[int, ...] | None = None,
) -> OperationCounts:
    """Operations of one inference from the mean spikes of each layer.

    Args:
        spikes_per_inference: mean spikes by the layer's name, all L layers.
        architecture: layer sizes.
        time_window: T.
        synaptic_events: mean events of each connection; None for those of a fully connected
            network.
        inputs: mean products of constant currents, [1]; None for an input of spikes.
        synapses: that are left, of each connection; None for all.
    """
    spikes = np.array([[spikes_per_inference[name] for name in architecture.layer_names]])
    if synaptic_events is None:
        synaptic_events = synaptic_events_per_connection(dict(spikes_per_inference), architecture)
    counts = SpikingCounts(
        spikes=spikes,
        events=np.array([synaptic_events]),
        updates=clocked_updates(architecture, np.array([time_window])),
        synapses=synapses,
        inputs=inputs,
    )
    columns, means = count_spiking(architecture, counts)
    return OperationCounts(columns, means.astype(np.float64), time_window)


def clocked_updates(architecture: Architecture, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """One update a neuron and step of each layer after the input, int64 [N, L - 1].

    `steps` [N] are those of each sample, or of all samples of an epoch together.
    """
    return steps[:, None] * np.array(architecture.layer_sizes[1:], dtype=np.int64)


def leaks_by_layer(architecture: Architecture) -> NDArray[np.int64]:
    """1 for each layer after the input whose potentials leak, 0 for the others, int64 [L - 1]."""
    return np.array([neuron.leaks for neuron in architecture.neurons], dtype=np.int64)


def bias_additions(
    architecture: Architecture, updates: NDArray[Any], inputs: InputMacs | None
) -> NDArray[Any]:
    """Updates [N, L - 1] that add a bias, or the sums of products that are made once."""
    added = updates * architecture.neuron.has_bias
    if _keeps_sums(inputs):
        added[:, 0] = updates[:, 0]
    return added


def _keeps_sums(inputs: InputMacs | None) -> bool:
    return inputs is not None and inputs.products == "once"


def count_spiking(
    architecture: Architecture, counts: SpikingCounts
) -> tuple[tuple[Column, ...], NDArray[Any]]:
    """The formulas of this module for a spiking network: C columns, and counts [N, C].

    Args:
        architecture: for layer sizes, widths, and what an update of the neurons contains.
        counts: of N samples.
    """
    layers, connections = architecture.layer_names, architecture.connection_names
    neurons = layers[1:]
    sizes = np.array(architecture.layer_sizes)
    targets, addresses = sizes[1:], [address_bits(int(n)) for n in sizes]
    widths = architecture.quantisation
    weight_bits = FLOAT_BITS if widths is None else widths.weight_bits
    state_bits = FLOAT_BITS if widths is None else widths.state_bits
    spikes, events, updates, inputs = counts.spikes, counts.events, counts.updates, counts.inputs
    pruned, active = counts.synapses is not None, spikes[:, 1:]
    synapses = np.array(counts.synapses or architecture.synapses)
    index_bits = np.array([address_bits(int(n)) * pruned for n in targets])
    stored = bias_additions(architecture, np.ones((1, len(targets)), dtype=int), inputs)[0]
    parameters = synapses * (weight_bits + index_bits) + targets * state_bits * stored
    additions, reads, macs = bias_additions(architecture, updates, inputs), events, events[:, :0]
    if inputs is not None:
        macs = inputs.counts[:, None]
        reads = np.concatenate([events[:, :1] + macs, events[:, 1:]], axis=1)
    blocks = [
        *_encoding(architecture, counts),
        block("synaptic_event", connections, events),
        block("input_mac", connections[: macs.shape[1]], macs),
        block("neuron_update_active", neurons, active),
        block("neuron_update_inactive", neurons, updates - active),
        block("leak_multiplication", neurons, updates * leaks_by_layer(architecture)),
        block("bias_addition", neurons, additions),
        block("threshold_comparison", neurons, updates),
        block("reset", neurons, active),
        block("spike_routed", layers, spikes),
        block("address_event", connections, reads),
        block("weight_read", connections, reads, weight_bits, synapses, parameters),
        *[block("index_read", connections, reads, index_bits, synapses, parameters)] * pruned,
        block("bias_read", neurons, additions, state_bits, targets, parameters),
        block("state_access", neurons, 2 * updates, state_bits, targets),
        block("state_access_per_event", connections, 2 * reads, state_bits, targets),
        block("spike_read", layers[:-1], spikes[:, :-1], addresses[:-1], sizes[:-1]),
        block("spike_write", neurons, active, addresses[1:], targets),
        block("spike_counted", layers[-1:], spikes[:, -1:]),
        block("decision_comparison", layers[-1:], _comparisons(architecture, counts)),
    ]
    return joined(blocks, len(spikes))


def _samples(counts: SpikingCounts) -> NDArray[np.int64]:
    """Samples of each row, [N, 1], or [1, 1] if it is one."""
    return np.ones((1, 1), np.int64) if counts.samples is None else counts.samples[:, None]


def _encoding(architecture: Architecture, counts: SpikingCounts) -> Iterator[Block]:
    """What turning images into spikes takes, and finding the constant currents that are not 0."""
    code, n_pixels = counts.code, architecture.n_input
    if code is not None:
        yield block("pixel_read", ["input"], n_pixels, _PIXEL_BITS, n_pixels)
        for term, found in (
            ("random_draw", code.random_draws),
            ("code_comparison", code.comparisons),
            ("code_multiplication", code.multiplications),
            ("code_addition", code.additions),
            ("code_logarithm", code.logarithms),
        ):
            yield block(term, ["input"], found[:, None])
    if counts.inputs is not None:
        yield block("zero_comparison", ["input"], _samples(counts) * n_pixels)


def _comparisons(architecture: Architecture, counts: SpikingCounts) -> NDArray[np.int64]:
    """What finding the class with the most spikes takes, [N, 1]."""
    if counts.exit_steps is not None:
        return counts.exit_steps[:, None] * (2 * architecture.n_output - 2)
    return _samples(counts) * (architecture.n_output - 1)


def count_baseline(baseline: "BaselineCounts", method: Method, n_samples: int) -> OperationCounts:
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
    columns, counts = joined(_of_baseline(baseline, method, n_samples), n_samples)
    return OperationCounts(columns, counts, 1)


def _of_baseline(baseline: "BaselineCounts", method: Method, n_samples: int) -> Iterator[Block]:
    """The formulas of this module for a ReLU network."""
    first, *hidden, last = baseline.layer_sizes
    names = Architecture(first, tuple(hidden), last)
    layers, connections = names.layer_names, names.connection_names
    skips, integers = method == ZERO_SKIPPING, baseline.weight_bits < FLOAT_BITS
    bits, bias_bits = baseline.weight_bits, _ACCUMULATOR_BITS if integers else FLOAT_BITS
    sizes = np.array(baseline.layer_sizes, dtype=np.int64)
    synapses = np.array(baseline.synapses, dtype=np.int64)
    sources, targets = sizes[:-1], sizes[1:]
    index_bits = np.array([address_bits(int(n)) * baseline.pruned for n in targets])
    parameters = synapses * (bits + index_bits) + targets * bias_bits
    # The last layer's are scores, as wide as what they are summed in.
    activation_bits = [*[baseline.activation_bits] * (len(sizes) - 1), _ACCUMULATOR_BITS]
    products: NDArray[np.int64] = baseline.macs_nonzero[:n_samples] if skips else synapses
    yield block("mac", connections, products, bits)
    yield block("bias_addition", layers[1:], targets)
    yield block("activation_comparison", layers[1:-1], targets[:-1])
    if integers:
        yield block("requantisation", layers[1:-1], targets[:-1])
    if skips:
        yield block("zero_comparison", layers[:-1], sources)
        yield block("address_event", connections, products)
    else:
        yield block("address_unit", connections, sources + targets)
        yield block("address_mac", connections, products)
    yield block("weight_read", connections, products, bits, synapses, parameters)
    if baseline.pruned:
        yield block("index_read", connections, products, index_bits, synapses, parameters)
    yield block("bias_read", layers[1:], targets, bias_bits, targets, parameters)
    gathered = synapses if baseline.pruned and not skips else sources
    yield block("activation_read", layers[:-1], gathered, activation_bits[:-1], sources)
    if skips:
        yield block("sum_access_per_mac", connections, 2 * products, _ACCUMULATOR_BITS, targets)
    yield block("activation_write", layers[1:], targets, activation_bits[1:], targets)
    yield block("decision_comparison", layers[-1:], targets[-1:] - 1)
