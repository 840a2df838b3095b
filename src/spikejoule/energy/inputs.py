"""What an energy analysis starts from, and what it assumes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.text import NOT_RECORDED
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.events import STEP_MS, Products
from spikejoule.energy.break_even import OperatingPoint
from spikejoule.energy.contenders import (
    EARLY_EXIT,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Contender,
    network_name,
)
from spikejoule.energy.described import InputDescribed, NetworkDescribed
from spikejoule.energy.operations import MeanOperations, OperationCounts
from spikejoule.energy.training_counts import TrainingRecord
from spikejoule.evaluation.measurement import EnergyProxies
from spikejoule.model.quantisation import FLOAT_BITS, Quantisation

_MEMORY: Final = (
    "Memory: every synaptic event reads one 32-bit weight; every potential is read and written "
    "once per step, and at most twice more for each event."
)
_ENCODING: Final = (
    "Where the images are known, what the code takes is counted as its definition says it, for "
    "pixels that can fire, and each pixel is read once; the search for the answer is counted. "
)
_BASELINE: Final = (
    "Of a conventional network, everything is counted that is of the spiking one: biases, "
    "comparisons, addresses, words of memory, and what finding the zeros costs one that skips them."
)
_WIDTH: Final = (
    "A profile whose numbers are integers takes no part in a verdict on this network, which "
    "computed in float32; what it would cost there stands in the table of profiles alone. A "
    "conventional network of integers may stand against it under a profile of 32 bits."
)
INFERENCE_ASSUMPTIONS: Final = (
    "Counts are integers, taken from the spikes of each image; a price is a published figure for "
    "one operation. A term without a price is listed as such and is not zero.",
    "A synaptic event is one weight added to one membrane potential. Spikes of the output reach no "
    "synapse.",
    "A neuron is updated in every step, which includes its leak and its bias; the update is active "
    "if the neuron spikes in that step. Loihi's table names the two kinds without defining them. "
    "Comparisons with the threshold and resets are counted; most profiles have no price for them.",
    _MEMORY,
    _ENCODING + _BASELINE,
    _WIDTH,
    "Break-even: spikes of all layers grow in proportion to the spikes per input, neuron updates "
    "in proportion to the window; weights and accuracy are taken as they are.",
)


_CURRENTS: Final[dict[Products, str]] = {
    "once": "The image is a constant current: each pixel that is not black takes a "
    "multiply-accumulate for each of its synapses, once per inference, and the sums are added in "
    "every step, which is counted as the addition of a bias. ",
    "every_step": "The image is a constant current: each pixel that is not black takes a "
    "multiply-accumulate for each of its synapses, in every step. ",
}
_PRODUCTS: Final = (
    "Each product reads a weight as a synaptic event does; a profile without a price of a "
    "multiply-accumulate leaves it out. Each pixel is read, and compared with zero, once; the "
    "search for the answer is counted. "
)


_SENSOR: Final = (
    "The input are events of a sensor: nothing encodes them, and neither what the sensor takes nor "
    "what brings its events to steps is counted; the search for the answer is. Conventional "
    "networks read how often each unit spiked in the window, of which the counting is not counted, "
    "in their favour. "
)


def inference_assumptions(
    quantisation: Quantisation | None, products: Products | None = None, from_sensor: bool = False
) -> tuple[str, ...]:
    """What is counted and what is assumed of the inference of a network, a sentence each.

    Args:
        quantisation: its widths; None for floating point.
        products: how often it multiplies constant currents; None for an input of spikes.
        from_sensor: whether the input are events from birth.
    """
    if from_sensor:
        told = inference_assumptions(quantisation)
        return tuple(
            line.replace(_ENCODING, _SENSOR).replace("of each image", "of each sample")
            for line in told
        )
    if products is not None:
        reads = _CURRENTS[products] + _PRODUCTS
        return tuple(line.replace(_ENCODING, reads) for line in INFERENCE_ASSUMPTIONS)
    if quantisation is None:
        return INFERENCE_ASSUMPTIONS
    weights, states = quantisation.weight_bits, quantisation.state_bits
    of_integers = {
        _MEMORY: f"Memory: every synaptic event reads one weight of {weights} bits; every "
        f"potential, of {states} bits, is read and written once per step, and at most twice more "
        "for each event. Profiles of memory alone have the prices of words of 32 bits.",
        _WIDTH: "The network ran in integers, and its accuracy is theirs: weights of "
        f"{weights} bits, potentials of {states}. Under 45nm-int8 its additions and the "
        "conventional networks' multiply-accumulates are priced at 8 bits, although what a weight "
        f"is added to has {states}; 45nm-int8-accumulate-32 and 45nm-int32 price these additions "
        "at 32. Profiles of integers compare it with conventional networks of integers alone.",
    }
    return tuple(of_integers.get(sentence, sentence) for sentence in INFERENCE_ASSUMPTIONS)


@dataclass(frozen=True)
class RecordedAccuracy:
    """Test accuracy in percent as a checkpoint records it, with its interval where known.

    `validation_percent` is the accuracy on validation images by which its weights were chosen.
    """

    percent: float
    low_percent: float | None
    high_percent: float | None
    validation_percent: float | None = None


@dataclass(frozen=True, eq=False)
class AnalysisInputs:
    """What an analysis starts from.

    Attributes:
        title: of the data set.
        architecture: of the network.
        encoder: the code by which images became spikes.
        accuracy: on the test set; None where not recorded.
        spikes_per_inference: mean spikes by layer.
        proxies: dense operations, synaptic events, sparsity ratio.
        operations: of each image, or on average where images are not recorded.
        n_images: how many images the counts are of; None where not recorded.
        labels: class of each image, int64 [N]; None where not known.
        baselines: conventional networks on the same test set; the first N images are compared.
        training: None where the counts of training are not recorded.
        pruned_percent: share of the synapses that were removed.
        ways: all ways of running the network (`energy.contenders`); empty where images are not
            recorded.
        step_us: what a step takes on the hardware, for static power; None where it is not asked.
        value_macs_per_inference: multiply-accumulates of values that are no spikes, a mean; None
            where the network has none.
        graph_places: of a foreign graph, where operations happen, in its order.
        facts: what else there is to say of the network, label and value.
        assumed: what is counted and assumed, a sentence each; empty for `inference_assumptions`.
        subject: what the samples show.
    """

    title: str
    architecture: NetworkDescribed
    encoder: InputDescribed
    accuracy: RecordedAccuracy | None
    spikes_per_inference: dict[str, float]
    proxies: EnergyProxies
    operations: OperationCounts | MeanOperations
    n_images: int | None
    labels: NDArray[np.int64] | None = None
    baselines: tuple[BaselineCounts, ...] = ()
    training: TrainingRecord | None = None
    pruned_percent: float = 0.0
    ways: tuple[Contender, ...] = ()
    step_us: float | None = None
    subject: Subject = DIGITS
    value_macs_per_inference: float | None = None
    graph_places: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        return self.assumed or inference_assumptions(
            self.architecture.quantisation,
            self.encoder.input_products,
            self.encoder.takes == "events",
        )

    @property
    def places(self) -> tuple[str, ...]:
        """Layers and connections in the order of the network."""
        if self.graph_places:
            return self.graph_places
        names, connections = self.architecture.layer_names, self.architecture.connection_names
        pairs = zip(names, [*connections, ""], strict=True)
        return tuple(place for pair in pairs for place in pair if place)

    @property
    def time_window(self) -> int:
        """T, steps."""
        return self.encoder.time_window

    @property
    def contender(self) -> Contender:
        """The network over its whole window, every neuron updated in every step."""
        widths, accuracy = self.architecture.quantisation, self.accuracy
        known = None
        if accuracy is not None and accuracy.validation_percent is not None:
            known = Accuracies(accuracy.validation_percent, accuracy.percent)
        return Contender(
            side=SPIKING,
            network=network_name(self.architecture, self.encoder, self.pruned_percent),
            method=WHOLE_WINDOW,
            accuracies=known,
            weight_bits=FLOAT_BITS if widths is None else widths.weight_bits,
            integers=widths is not None,
            operations=self.operations,
        )

    @property
    def early(self) -> Contender | None:
        """The network that answers early, updated in every step; None where that is not known."""
        return next((way for way in self.ways if way.method == EARLY_EXIT), None)

    @property
    def n_compared(self) -> int:
        """Images that baselines are compared on: N, or all of them where means alone are known."""
        if isinstance(self.operations, OperationCounts):
            return len(self.operations.counts)
        return min((len(baseline.active) for baseline in self.baselines), default=0)

    @property
    def operating_point(self) -> OperatingPoint:
        """How the network was run."""
        return OperatingPoint(
            self.architecture.n_input,
            sum(self.architecture.synapses),
            self.time_window,
            self.encoder.rate_hz,
            self.spikes_per_inference[self.architecture.layer_names[0]],
        )

    @property
    def neuron_updates(self) -> tuple[int, float | None]:
        """Neuron updates per inference: one in every step, and those of event-driven hardware.

        With biases the two are the same; without, the second is None where images are not recorded.
        """
        operations, architecture = self.operations, self.architecture
        clocked = self.time_window * sum(architecture.layer_sizes[1:])
        if architecture.neuron.has_bias:
            return clocked, float(clocked)
        if isinstance(operations, MeanOperations) or operations.lazy_updates is None:
            return clocked, None
        return clocked, float(operations.lazy_updates.sum(axis=1).mean())

    @property
    def updates_in_words(self) -> str:
        """Both numbers of neuron updates, and why they are the same if they are."""
        clocked, lazy = self.neuron_updates
        if self.architecture.neuron.has_bias:
            lazily = "as many, since every neuron has a bias"
        else:
            lazily = NOT_RECORDED if lazy is None else f"{lazy:,.1f}"
        return f"{clocked:,}, on event-driven hardware {lazily}"

    @property
    def window_in_words(self) -> tuple[str, str]:
        """Label and value: the window, and the rate of the brightest pixel if the code has one."""
        encoder = self.encoder
        window, rate_hz = f"{self.time_window * encoder.step_ms:g} ms", encoder.rate_hz
        if encoder.step_ms != STEP_MS:
            window += f" in {self.time_window} steps"
        if rate_hz is None:
            return "window", window
        return "window, maximum rate", f"{window}, {rate_hz:g} Hz"
