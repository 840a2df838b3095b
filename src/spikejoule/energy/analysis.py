"""The energy analysis: what it starts from and assumes, and what page, tables and metrics select.

Plain values, without input or output; energies are in pJ. Every energy of inference is an `Energy`:
the mean of an inference at the lower end of the prices, at their value, and at their upper end,
each with its spread over images and the bootstrap interval of the mean. All come from the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.text import NOT_RECORDED
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import STEP_MS, Products
from spikejoule.energy.comparison import (
    Comparison,
    OperatingPoint,
    Verdict,
    Winner,
    compare,
    verdicts_in,
    winner,
)
from spikejoule.energy.counting import METHODS, OperationCounts
from spikejoule.energy.estimates import (
    BootstrapSettings,
    CountStatistics,
    Energy,
    Estimate,
    count_statistics,
)
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Ledger,
    Variant,
    baseline_variants,
)
from spikejoule.energy.prices import HardwareProfile, coverage
from spikejoule.energy.training import (
    ProfileTraining,
    TrainingEnergy,
    TrainingRecord,
    training_energy,
)
from spikejoule.evaluation.measurement import EnergyProxies
from spikejoule.model.architecture import Architecture
from spikejoule.model.quantisation import FLOAT_BITS, Quantisation


@dataclass(frozen=True)
class GraphNeurons:
    """Not every neuron of a graph has a bias, as far as the analysis asks."""

    has_bias: bool = False


@dataclass(frozen=True, eq=False)
class GraphNetwork:
    """A graph as the analysis sees an `Architecture`: the input and nodes of neurons are layers."""

    layer_names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    connection_names: tuple[str, ...]
    synapses: tuple[int, ...]
    neuron: GraphNeurons = GraphNeurons()
    quantisation: None = None

    @property
    def n_input(self) -> int:
        """Units of the input."""
        return self.layer_sizes[0]


@dataclass(frozen=True)
class GraphInput:
    """Given events as the analysis sees an `Encoder`."""

    time_window: int
    step_ms: float
    name: str = "events"
    takes: str = "events"
    rate_hz: None = None
    input_products: None = None


def network_name(
    architecture: Architecture | GraphNetwork,
    encoder: Encoder | GraphInput,
    pruned_percent: float = 0.0,
) -> str:
    """A spiking network in a few words: ``spiking 784-400-10 (latency), 96 % pruned, 8 bits``."""
    sizes = "-".join(str(size) for size in architecture.layer_sizes)
    pruned = f", {pruned_percent:.3g} % pruned" if pruned_percent else ""
    widths = architecture.quantisation
    bits = "" if widths is None else f", {widths.weight_bits} bits"
    return f"spiking {sizes} ({encoder.name}){pruned}{bits}"


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
        return tuple(
            line.replace(_ENCODING, _SENSOR).replace("of each image", "of each sample")
            for line in inference_assumptions(quantisation)
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

    @property
    def both(self) -> Accuracies | None:
        """On validation and test images; None where the first is not recorded."""
        if self.validation_percent is None:
            return None
        return Accuracies(self.validation_percent, self.percent)


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
        variants: all ways of running the network (`energy.ledger`), the whole window first; empty
            where images are not recorded.
        step_us: what a step takes on the hardware, for static power; None where it is not asked.
        value_macs_per_inference: multiply-accumulates of values that are no spikes, a mean; None
            where the network has none.
        graph_places: of a foreign graph, where operations happen, in its order.
        facts: what else there is to say of the network, label and value.
        assumed: what is counted and assumed, a sentence each; empty for `inference_assumptions`.
        subject: what the samples show.
    """

    title: str
    architecture: Architecture | GraphNetwork
    encoder: Encoder | GraphInput
    accuracy: RecordedAccuracy | None
    spikes_per_inference: dict[str, float]
    proxies: EnergyProxies
    operations: OperationCounts
    n_images: int | None
    labels: NDArray[np.int64] | None = None
    baselines: tuple[BaselineCounts, ...] = ()
    training: TrainingRecord | None = None
    pruned_percent: float = 0.0
    variants: tuple[Variant, ...] = ()
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
    def variant(self) -> Variant:
        """The network over its whole window, every neuron updated in every step."""
        widths = self.architecture.quantisation
        return Variant(
            side=SPIKING,
            network=network_name(self.architecture, self.encoder, self.pruned_percent),
            method=WHOLE_WINDOW,
            accuracies=None if self.accuracy is None else self.accuracy.both,
            weight_bits=FLOAT_BITS if widths is None else widths.weight_bits,
            integers=widths is not None,
            operations=self.operations,
        )

    @property
    def n_compared(self) -> int:
        """Images that baselines are compared on: N, or all of them where means alone are known."""
        if self.operations.n_images is not None:
            return self.operations.n_images
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
        if operations.lazy_updates is None:
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


@dataclass(frozen=True)
class CountSummary:
    """Operations per inference of one term at one place, priced or not."""

    term: str
    place: str
    count: Estimate


@dataclass(frozen=True)
class TermEnergy:
    """Energy per inference of one term at one place under one profile."""

    term: str
    place: str
    energy: Energy


@dataclass(frozen=True)
class ClassEnergy:
    """Energy per inference of the images of one class."""

    label: int
    n_images: int
    energy: Energy


@dataclass(frozen=True)
class ProfileInference:
    """Inference under one profile.

    Attributes:
        profile: the prices, with their source.
        total: energy of an inference.
        by_class: of each class, ascending; empty without labels.
        by_term: of each term at each place that has a price.
        unpriced: terms without a price, not in the total.
        covered: terms whose cost lies within another price.
        contains: in words, what the total holds.
        comparisons: with the conventional networks of equal size, in every way of running them;
            empty if the profile does not compare, or its numbers are not the network's.
        wins: ``snn`` if it needs less than each of these, ``ann`` if one of them needs less, else
            ``undecided``; None without comparisons.
    """

    profile: HardwareProfile
    total: Energy
    by_class: tuple[ClassEnergy, ...]
    by_term: tuple[TermEnergy, ...]
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    contains: str
    comparisons: tuple[Comparison, ...]
    wins: Winner | None


@dataclass(frozen=True, eq=False)
class EnergyAnalysis:
    """Everything that the energy report shows.

    Attributes:
        inputs: what was counted, and of what.
        bootstrap: how intervals were drawn.
        counts: operations per inference of every term at every place.
        chosen: id of the profile of the headline.
        inference: one entry a profile, in the order of the price file.
        training: None where the counts of training are not recorded.
        ledger: the long table: the network over its whole window, its other variants, and the
            conventional networks.
        baselines: the conventional networks, in every way of running them.
        verdict_profile: id of the profile of the verdict.
        verdicts: the network against the cheapest conventional one of at least its accuracy, under
            every profile that compares; empty without baselines, or if its accuracy is not known.
        early_verdicts: the same for the network that answers early.
        equal_accuracy: the comparison of the verdict's profile; None where it has none.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    counts: tuple[CountSummary, ...]
    chosen: str
    inference: tuple[ProfileInference, ...]
    training: TrainingEnergy | None
    ledger: Ledger
    baselines: tuple[Variant, ...]
    verdict_profile: str
    verdicts: tuple[Verdict, ...] = ()
    early_verdicts: tuple[Verdict, ...] = ()
    equal_accuracy: Comparison | None = None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed of inference, a sentence each."""
        return self.inputs.assumptions

    @property
    def has_intervals(self) -> bool:
        """Whether counts are known image by image, of more than one; if not, there are means."""
        return (self.inputs.operations.n_images or 0) > 1

    @property
    def chosen_inference(self) -> ProfileInference:
        """Inference under the chosen profile."""
        return next(entry for entry in self.inference if entry.profile.id == self.chosen)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of its profile; None where there is none."""
        return _under_profile(self.verdicts, self.verdict_profile)

    @property
    def early_verdict(self) -> Verdict | None:
        """The same for the network that answers early."""
        return _under_profile(self.early_verdicts, self.verdict_profile)

    @property
    def chosen_training(self) -> ProfileTraining | None:
        """Training under the chosen profile."""
        if self.training is None:
            return None
        return next(entry for entry in self.training.profiles if entry.profile.id == self.chosen)


def analyse(
    inputs: AnalysisInputs,
    profiles: Mapping[str, HardwareProfile],
    chosen: HardwareProfile,
    verdict: HardwareProfile,
    bootstrap: BootstrapSettings,
) -> EnergyAnalysis:
    """Price what was counted under every profile, and compare.

    Args:
        inputs: counts, and what they are of.
        profiles: by id, from `load_profiles`.
        chosen: the profile of the network's own energies, one of them.
        verdict: the profile of the verdict, one of them.
        bootstrap: how to draw intervals.

    Raises:
        ArtifactError: a baseline was counted on fewer images than the network.
    """
    spiking = (inputs.variant, *inputs.variants[1:])
    baselines = baseline_variants(inputs.baselines, inputs.n_compared)
    ledger = Ledger.of((*spiking, *baselines), profiles, bootstrap)
    conventional = range(len(spiking), len(ledger.variants))
    is_equal = [one.equal_size for one in inputs.baselines for _ in METHODS]
    equal_sizes = [one for one, equal in zip(conventional, is_equal, strict=True) if equal]
    by_class = _class_statistics(inputs, bootstrap)
    inference = tuple(
        _under(place, ledger, by_class, equal_sizes, inputs.operating_point)
        for place in range(len(ledger.profiles))
    )
    training = None
    if inputs.training is not None:
        assert isinstance(inputs.architecture, Architecture)
        priced = [(entry.profile, entry.total, entry.comparisons) for entry in inference]
        training = training_energy(inputs.training, inputs.architecture, priced)
    found: tuple[Verdict, ...] = ()
    early_found: tuple[Verdict, ...] = ()
    early = next((one for one in spiking if one.method == EARLY_EXIT), None)
    if inputs.variant.accuracies is not None:
        level = inputs.variant.accuracies.validation_percent
        found = verdicts_in(ledger, [0, *conventional], [level])
    if early is not None and early.accuracies is not None:
        level = early.accuracies.validation_percent
        early_found = verdicts_in(ledger, [spiking.index(early), *conventional], [level])
    equal_accuracy = None
    judged = _under_profile(found, verdict.id)
    if judged is not None and judged.conventional is not None:
        against = ledger.variants.index(judged.conventional.variant)
        place = ledger.place_of(verdict)
        compared = compare(ledger, 0, [against], place, inputs.operating_point)
        equal_accuracy = compared[0] if compared else None
    return EnergyAnalysis(
        inputs=inputs,
        bootstrap=bootstrap,
        counts=tuple(
            CountSummary(column.term, column.place, count)
            for column, count in zip(ledger.columns_of(0), ledger.counts(0), strict=True)
        ),
        chosen=chosen.id,
        inference=inference,
        training=training,
        ledger=ledger,
        baselines=baselines,
        verdict_profile=verdict.id,
        verdicts=found,
        early_verdicts=early_found,
        equal_accuracy=equal_accuracy,
    )


def _under_profile(found: Sequence[Verdict], profile_id: str) -> Verdict | None:
    return next((one for one in found if one.profile.id == profile_id), None)


def _class_statistics(
    inputs: AnalysisInputs, bootstrap: BootstrapSettings
) -> dict[int, tuple[int, CountStatistics]]:
    """Images and statistics of each class; nothing without labels."""
    operations, labels = inputs.operations, inputs.labels
    if labels is None or operations.n_images is None:
        return {}
    chosen = {int(label): labels == label for label in np.unique(labels)}
    return {
        label: (int(rows.sum()), count_statistics([operations.counts[rows]], bootstrap)[0])
        for label, rows in chosen.items()
    }


def _under(
    place: int,
    ledger: Ledger,
    by_class: Mapping[int, tuple[int, CountStatistics]],
    equal_sizes: Sequence[int],
    operation: OperatingPoint,
) -> ProfileInference:
    """The network's inference under the profile of a number."""
    profile, columns = ledger.profiles[place], ledger.columns_of(0)
    held, weights = coverage(columns, profile), ledger.prices(0, place).weights
    comparisons = compare(ledger, 0, equal_sizes, place, operation)
    return ProfileInference(
        profile=profile,
        total=ledger.total(0, place),
        by_class=tuple(
            ClassEnergy(label, n_images, statistics.energy(weights))
            for label, (n_images, statistics) in by_class.items()
        ),
        by_term=tuple(
            TermEnergy(column.term, column.place, energy)
            for column, energy in zip(columns, ledger.row_energies(0, place), strict=True)
            if energy is not None
        ),
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
        comparisons=comparisons,
        wins=winner(comparisons),
    )
