"""The energy analysis of a network: its inputs, and everything derived from them.

Energies are in pJ. Counts times prices are in `ledger`, the comparison with
conventional networks in `comparison` and `front`, training in `training`, files in
`outputs`, sentences in `words`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.break_even import break_even
from spikejoule.compare.comparison import (
    RunVerdict,
    front_verdicts,
    own_points,
    pair_verdicts,
)
from spikejoule.compare.exchange import ExchangeRate, Work, exchange_rate
from spikejoule.compare.front import FrontPoint, cheapest_reaching, read_front
from spikejoule.compare.notes import Note, NoteKind
from spikejoule.compare.published import PublishedNetwork, front_points
from spikejoule.compare.training import TrainingEnergy, training_ledger
from spikejoule.counts.proxies import EnergyProxies
from spikejoule.counts.records import SpikingGraph
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import STEP_MS
from spikejoule.energy.dataflow import DATAFLOWS
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    LAZILY,
    WHOLE_WINDOW,
    Accuracies,
    EnergyRow,
    Ledger,
    Variant,
    baseline_variants,
    may_judge,
    total_row,
)
from spikejoule.energy.operations import INFERENCE, OperationCounts
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.terms import UPDATES
from spikejoule.energy.training.record import TRAINING, TrainingRecord
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.report.contents import TotalContents, contents_of
from spikejoule.report.words import architecture, sentences

SNN: Final = "snn"
"""Name of the analysed network in the table, over its whole window. Other ways of
running it follow after a comma."""


def network_name(network: SpikingGraph, encoding: str, is_pruned: bool = False) -> str:
    """Name a spiking network.

    For example ``spiking 784-400-10 (latency), 96 % pruned, 8 bits``. With `is_pruned`,
    weights that are zero count as removed.
    """
    name = f"spiking {architecture(network)} ({encoding})"
    if is_pruned:
        weights = [connection.weight for connection in network.connections]
        kept = sum(map(np.count_nonzero, weights))
        removed_percent = 100 * (1 - kept / sum(weight.size for weight in weights))
        if removed_percent:
            name += f", {removed_percent:.3g} % pruned"
    if network.weight_bits != FLOAT_BITS:
        name += f", {network.weight_bits} bits"
    return name


@dataclass(frozen=True)
class OtherCount:
    """A count of another tool, and what is counted here in its place.

    Attributes:
        tool, quantity: the tool, and its own name of the quantity.
        count: mean per inference.
        here, count_here: name and mean of the count here.
    """

    tool: str
    quantity: str
    count: float
    here: str
    count_here: float


@dataclass(frozen=True, eq=False)
class AnalysisInputs:
    """What an energy analysis starts from.

    Attributes:
        title: name of the data.
        network: the spiking network.
        variants: the ways of running it; first the whole window with clocked updates.
            Counts are per image, or means if images are not recorded.
        proxies: dense operations, synaptic events, sparsity ratio.
        n_images: number of images counted; None if not recorded.
        step_ms: duration of a time step; None for a PyTorch model's, which has none.
        encoder: how samples became spikes; None if the spikes were given.
        labels: class of each image, int64 [N]; None if unknown.
        baselines: conventional networks on the same test set, compared on its first N
            images.
        training: None if the counts of training are not recorded.
        value_macs_per_inference: mean multiply-accumulates of values that are not
            spikes; None if there are none.
        notes: further notes on the network.
        subject: what the samples show.
        counted_in: a NIR ``graph`` or the ``modules`` of a model; empty for a network
            of this project.
        level_percent: accuracy of the verdict; None for the network's own validation
            accuracy.
        published: published conventional networks for the same data, which replace
            `baselines` in the verdict.
        not_counted: names of parts that ran and were not counted; they rule out a
            verdict.
        other_counts: what other tools count in the same run.
    """

    title: str
    network: SpikingGraph
    variants: tuple[Variant, ...]
    proxies: EnergyProxies
    n_images: int | None
    step_ms: float | None = STEP_MS
    encoder: Encoder | None = None
    labels: NDArray[np.int64] | None = None
    baselines: tuple[CountedBaseline, ...] = ()
    training: TrainingRecord | None = None
    subject: Subject = DIGITS
    value_macs_per_inference: float | None = None
    notes: tuple[Note, ...] = ()
    counted_in: str = ""
    level_percent: float | None = None
    published: tuple[PublishedNetwork, ...] = ()
    not_counted: tuple[str, ...] = ()
    other_counts: tuple[OtherCount, ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and assumed, one sentence each."""
        return sentences(
            self.counted_in or "inference",
            network=self.network,
            products=None if self.encoder is None else self.encoder.input_products,
            from_sensor=not self.reads_images,
        )

    @property
    def reads_images(self) -> bool:
        """Whether the samples are images, not events."""
        return self.encoder is not None and self.encoder.takes == "images"

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of the brightest pixel; None for an encoding without a rate."""
        return None if self.encoder is None else self.encoder.rate_hz

    @property
    def remarks(self) -> tuple[Note, ...]:
        """All notes, including what was not counted."""
        if not self.not_counted:
            return self.notes
        return *self.notes, Note(NoteKind.NOT_COUNTED, ", ".join(self.not_counted))

    @property
    def cautions(self) -> tuple[Note, ...]:
        """The notes that a reader must know before the energies."""
        return tuple(note for note in self.remarks if note.is_caution)

    @property
    def variant(self) -> Variant:
        """The network over its whole window, with clocked updates."""
        return self.variants[0]

    @property
    def operations(self) -> OperationCounts:
        """The operations of `variant`."""
        return self.variant.operations

    @property
    def accuracy(self) -> Accuracies | None:
        """The accuracies of `variant`; None if not recorded."""
        return self.variant.accuracies

    @property
    def guessing_percent(self) -> float:
        """The accuracy of always naming the most frequent class."""
        uniform = 100 / self.network.n_output
        if self.labels is None:
            return uniform
        most_frequent = np.unique(self.labels, return_counts=True)[1].max()
        return max(uniform, 100 * float(most_frequent) / len(self.labels))

    @property
    def compared_at_percent(self) -> float | None:
        """The accuracy at which the network is compared; None if unknown."""
        if self.level_percent is None:
            return self.variant.validation_percent
        return self.level_percent

    @property
    def is_guessing(self) -> bool:
        """Whether that accuracy is no better than guessing."""
        level = self.compared_at_percent
        return level is not None and level <= self.guessing_percent

    @property
    def no_verdict(self) -> str:
        """What rules out a verdict, in words; empty if nothing does."""
        level_percent = self.compared_at_percent
        if self.not_counted:
            return f"not everything was counted ({', '.join(self.not_counted)})"
        if not self.baselines and not self.published:
            return "there is no conventional network to compare with"
        if level_percent is None:
            return (
                "the network's validation accuracy is not recorded, so no conventional "
                "network of equal accuracy can be chosen"
            )
        if self.is_guessing:
            return (
                f"an accuracy of {level_percent:.2f} % is no better than guessing "
                f"({self.guessing_percent:.2f} %)"
            )
        return ""

    @property
    def is_of_equal_size(self) -> bool:
        """Whether the networks of `model.hidden` have the layers of this network."""
        sizes = self.network.comparable_sizes
        return all(
            baseline.network.layer_sizes[1:] == sizes
            for baseline in self.baselines
            if baseline.equal_size
        )

    @property
    def spikes_per_input(self) -> float:
        """Mean spikes of an input unit over the window."""
        input_name = self.network.input.name
        leaves_input = [
            column.term == "spike_routed" and column.place == input_name
            for column in self.operations.columns
        ]
        spikes = float(self.operations.means[leaves_input].sum())
        return spikes / self.network.n_input

    @property
    def neuron_updates(self) -> tuple[int, float | None]:
        """Neuron updates per inference, clocked and lazy.

        Lazy updates are None if images are not recorded, unless biases make both equal.
        """
        n_neurons = sum(layer.n_out for layer in self.network.layers[1:])
        clocked = self.operations.time_window * n_neurons
        for variant in self.variants:
            if variant.method == WHOLE_WINDOW + LAZILY:
                lazy = variant.operations.of(*UPDATES).sum(axis=1).mean()
                return clocked, float(lazy)
        is_counted = self.operations.n_images is not None and not self.counted_in
        if is_counted or self.network.has_bias:
            return clocked, float(clocked)
        return clocked, None


@dataclass(frozen=True, eq=False)
class EnergyAnalysis:
    """Everything that the energy report shows.

    Attributes:
        inputs: the counted network.
        bootstrap: how intervals were drawn.
        chosen: the price list of the headline.
        arithmetic: an arithmetic-only price list, for a second figure; None without
            one.
        ledger: the variants of the network, and conventional networks.
        comparisons: the network against conventional networks of equal size; none under
            price lists that do not compare networks or do not fit its numbers.
        verdicts: the network against the conventional front at its accuracy, under
            every price list that compares networks; empty if
            `AnalysisInputs.no_verdict` says why.
        early_verdicts: the same with early exit.
        training: the energy of training; None if its counts are not recorded.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    chosen: HardwareProfile
    arithmetic: HardwareProfile | None
    ledger: Ledger
    comparisons: tuple[RunVerdict, ...]
    verdicts: tuple[RunVerdict, ...] = ()
    early_verdicts: tuple[RunVerdict, ...] = ()
    training: TrainingEnergy | None = None

    # Energies: selections from the table.

    @cached_property
    def table(self) -> tuple[EnergyRow, ...]:
        """Rows under every price list.

        They hold the network in every way of running it, conventional networks of equal
        size, and training, each with its totals.
        """
        return tuple(_table(self.inputs, self.ledger, self.comparisons, self.training))

    def records(
        self,
        *,
        profile: str = "",
        network: str = SNN,
        phase: str = INFERENCE,
        status: str = "",
    ) -> list[EnergyRow]:
        """Select rows of the table, without totals.

        Args:
            profile: id of a price list; empty for the headline's.
            network: name in the table.
            phase: ``inference``, or a phase of training.
            status: ``priced``, ``covered`` or ``unpriced``; empty for all.
        """
        return [
            row
            for row in self.table
            if row.profile == (profile or self.chosen.id)
            and row.network == network
            and row.phase == phase
            and not row.is_total
            and status in ("", row.status)
        ]

    def total(self, profile: str = "") -> Energy:
        """Return the energy of an inference; 0 if nothing is priced."""
        return self.ledger.total(0, profile or self.chosen.id)

    @property
    def early(self) -> Energy | None:
        """The energy of an inference with early exit; None without early exit."""
        for number, variant in enumerate(self.inputs.variants):
            if variant.method == EARLY_EXIT:
                return self.ledger.total(number, self.chosen.id)
        return None

    @property
    def classes(self) -> list[EnergyRow]:
        """The totals over the images of each class."""
        own = self.chosen.id
        return [
            row for row in self.table if row.label is not None and row.profile == own
        ]

    def n_images_of(self, label: int) -> int:
        """Return the number of images of a class."""
        labels = self.inputs.labels
        return 0 if labels is None else int((labels == label).sum())

    def contents(
        self, *phases: str, profile: HardwareProfile | None = None
    ) -> TotalContents:
        """List which terms a total includes under a price list, and which not.

        The default is an inference under the headline's price list.
        """
        prices = profile or self.chosen
        terms: dict[str, str] = {}
        for phase in phases or (INFERENCE,):
            rows = self.records(phase=phase, profile=prices.id)
            terms |= {row.term: row.phase for row in rows}
        return contents_of(terms, prices)

    @property
    def holds(self) -> str:
        """`contents` of an inference under the headline's price list, in words."""
        contents = self.contents()
        return " ".join(sentences("contains", contents=contents, profile=self.chosen))

    @property
    def shown(self) -> tuple[HardwareProfile, ...]:
        """The headline's price list, and that of the second figure if it differs."""
        if self.arithmetic is None or self.arithmetic.id == self.chosen.id:
            return (self.chosen,)
        return self.chosen, self.arithmetic

    @property
    def has_intervals(self) -> bool:
        """Whether there are counts of more than one image."""
        return (self.inputs.operations.n_images or 0) > 1

    # Comparison.

    @property
    def verdict(self) -> RunVerdict | None:
        """The verdict of the headline; None without one."""
        return _under(self.chosen, self.verdicts)

    @property
    def early_verdict(self) -> RunVerdict | None:
        """The headline's verdict with early exit; None without one."""
        return _under(self.chosen, self.early_verdicts)

    @property
    def n_won(self) -> int:
        """Number of price lists under which the network wins."""
        return sum(verdict.outcome == "snn" for verdict in self.verdicts)

    @property
    def of_chosen(self) -> tuple[RunVerdict, ...]:
        """The comparisons at equal size under the headline's price list."""
        return tuple(
            pair for pair in self.comparisons if pair.profile == self.chosen.id
        )

    @property
    def compares_with_published(self) -> bool:
        """Whether the headline's ratio is to published networks."""
        return bool(front_points(self.inputs.published, self.chosen))

    @property
    def conventional_points(self) -> list[FrontPoint]:
        """The conventional networks of the headline's verdict.

        These are published ones for the same data, or else those of the run.
        """
        published = front_points(self.inputs.published, self.chosen)
        return published or own_points(self.ledger, self.chosen)

    @property
    def n_conventional(self) -> int:
        """Number of these networks, each of which is run in two ways."""
        return len(
            {point.name.rpartition(", ")[0] for point in self.conventional_points}
        )

    @property
    def closest_baseline(self) -> str:
        """The run's own cheapest conventional network with the verdict's accuracy.

        Empty without a verdict or such a network.
        """
        if self.verdict is None:
            return ""
        points = own_points(self.ledger, self.chosen)
        reading = cheapest_reaching(points, self.verdict.level_percent)
        return "" if reading is None else reading.above.name

    def break_even(self, verdict: RunVerdict | None) -> float | None:
        """Return the spikes per input below which the network wins a comparison.

        None without a verdict, input spikes, or prices that are single values, and for
        early exit and lazy updates.
        """
        inputs = self.inputs
        if (
            verdict is None
            or verdict.spiking != inputs.variant.name
            or not verdict.conventional
        ):
            return None
        return break_even(
            self.ledger.variants[0].operations,
            self.ledger.weights(0, verdict.profile)[1],
            verdict.conventional_pj,
            inputs.spikes_per_input,
        )

    @property
    def skipping_of_equal_size(self) -> Variant | None:
        """The first conventional network of equal size, without products of zeros."""
        names = {pair.conventional for pair in self.comparisons}
        for variant in self.ledger.variants:
            if variant.name in names and variant.method == "zero-skipping":
                return variant
        return None

    @property
    def exchange_rate(self) -> ExchangeRate | None:
        """The prices at which the network needs as much energy as that one."""
        conventional = self.skipping_of_equal_size
        if conventional is None:
            return None
        spiking = self.ledger.variants[0]
        works = [
            Work.of(variant.operations.mean_of) for variant in (spiking, conventional)
        ]
        return exchange_rate(*works)

    # Statements.

    def says(self, template: str) -> tuple[str, ...]:
        """Return the sentences of a template about this analysis."""
        return sentences(template, analysis=self)

    @property
    def answer(self) -> tuple[str, ...]:
        """The verdict, the network's energy and what it includes, in sentences."""
        return self.says("answer")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and assumed for inference and training, in sentences."""
        training = self.inputs.training
        return self.inputs.assumptions + (
            () if training is None else training.assumptions
        )

    @property
    def without_verdict(self) -> str:
        """Why the headline has no verdict; empty if it has one."""
        if self.verdict is not None:
            return ""
        reason = self.inputs.no_verdict
        if not reason:
            title = f"“{self.chosen.title}”"
            reason = f"{title} does not compare networks of this kind"
            if may_judge(self.chosen, self.inputs.variant):
                reason = f"no conventional network is priced under {title}"
        return f"No verdict: {reason}."


def _under(
    profile: HardwareProfile, verdicts: Sequence[RunVerdict]
) -> RunVerdict | None:
    for verdict in verdicts:
        if verdict.profile == profile.id:
            return verdict
    return None


def analyse(
    inputs: AnalysisInputs,
    profiles: Mapping[str, HardwareProfile],
    chosen: HardwareProfile,
    arithmetic: HardwareProfile | None,
    bootstrap: BootstrapSettings,
) -> EnergyAnalysis:
    """Price the counts under every price list, and compare.

    Args:
        inputs: the counted network.
        profiles: price lists by id, from `load_profiles`.
        chosen: the price list of the headline, one of them.
        arithmetic: an arithmetic-only price list, one of them; None for no second
            figure.
        bootstrap: how to draw intervals.

    Raises:
        ArtifactError: a baseline was counted on fewer images than the network.
    """
    variants = [*inputs.variants, *_baselines_of(inputs)]
    ledger = Ledger.of(variants, profiles.values(), bootstrap)

    training = None
    if inputs.training is not None:
        trainings = training_ledger(
            inputs.variant,
            inputs.training,
            inputs.baselines,
            [*profiles.values()],
            bootstrap,
        )
        inference = ledger.total(0, chosen.id)
        training = TrainingEnergy(trainings, chosen, inputs.training, inference)
    return EnergyAnalysis(
        inputs=inputs,
        bootstrap=bootstrap,
        chosen=chosen,
        arithmetic=arithmetic,
        ledger=ledger,
        comparisons=_equal_size_verdicts(inputs, ledger),
        verdicts=_verdicts(inputs, ledger, WHOLE_WINDOW),
        early_verdicts=_verdicts(inputs, ledger, EARLY_EXIT),
        training=training,
    )


def _baselines_of(inputs: AnalysisInputs) -> tuple[Variant, ...]:
    """Count the run's conventional networks on the images of the network."""
    n_images = inputs.operations.n_images
    if n_images is None:
        # Only means are known of the network: use all images of the baselines.
        lengths = [baseline.activity.n_rows for baseline in inputs.baselines]
        n_images = min(lengths, default=0)
    return baseline_variants(inputs.baselines, n_images)


def _equal_size_verdicts(
    inputs: AnalysisInputs, ledger: Ledger
) -> tuple[RunVerdict, ...]:
    """Compare with networks of equal size by price list; not if the network guesses."""
    if inputs.not_counted or inputs.is_guessing:
        return ()
    # They follow the network's own variants, in two ways each.
    is_equal = [baseline.equal_size for baseline in inputs.baselines for _ in DATAFLOWS]
    numbers = np.flatnonzero(is_equal) + len(inputs.variants)
    return tuple(pair_verdicts(ledger, 0, numbers.tolist()))


def _verdicts(
    inputs: AnalysisInputs, ledger: Ledger, method: str
) -> tuple[RunVerdict, ...]:
    """Compare one way of running the network with the conventional front."""
    methods = [variant.method for variant in inputs.variants]
    if inputs.no_verdict or method not in methods:
        return ()
    number = methods.index(method)
    level_percent = inputs.level_percent or inputs.variants[number].validation_percent
    if level_percent is None:
        return ()
    published = {
        profile.id: front_points(inputs.published, profile)
        for profile in ledger.profiles
    }
    # With a given level, the user named the networks: no interpolation between them.
    read = read_front if inputs.level_percent is None else cheapest_reaching
    return tuple(front_verdicts(ledger, number, level_percent, published, read))


def _table(
    inputs: AnalysisInputs,
    ledger: Ledger,
    comparisons: Sequence[RunVerdict],
    training: TrainingEnergy | None,
) -> Iterator[EnergyRow]:
    """Yield the rows of inference under every price list, then those of training."""
    by_class = _by_class(inputs, ledger)
    names = [variant.name for variant in ledger.variants]
    for profile in ledger.profiles:
        # The analysed network has a spread in each row, others only in their totals.
        yield from ledger.rows(0, profile, SNN, with_spread=True)
        yield total_row(profile.id, SNN, INFERENCE, ledger.total(0, profile.id))
        for label, of_class in by_class.items():
            energy = of_class.total(0, profile.id)
            yield total_row(profile.id, SNN, INFERENCE, energy, label)
        others = [
            (number, f"{SNN}, {variant.method}")
            for number, variant in enumerate(inputs.variants[1:], start=1)
        ]
        others += [
            (names.index(pair.conventional), pair.conventional)
            for pair in comparisons
            if pair.profile == profile.id
        ]
        for number, network in others:
            yield from ledger.rows(number, profile, network)
            total = ledger.total(number, profile.id)
            yield total_row(profile.id, network, INFERENCE, total)
    if training is not None:
        for profile in training.ledger.profiles:
            yield from training.ledger.rows(0, profile, SNN)
            for phase, phase_energy in training.phases(profile.id).items():
                yield total_row(profile.id, SNN, phase, phase_energy)
            total = training.ledger.total(0, profile.id)
            yield total_row(profile.id, SNN, TRAINING, total)


def _by_class(inputs: AnalysisInputs, ledger: Ledger) -> dict[int, Ledger]:
    """Price the network over the images of each class."""
    operations = inputs.operations
    labels = inputs.labels
    if labels is None or operations.n_images is None:
        return {}
    ledgers = {}
    for label in np.unique(labels).tolist():
        of_class = replace(operations, counts=operations.counts[labels == label])
        variant = replace(inputs.variant, operations=of_class)
        ledgers[label] = Ledger.of([variant], ledger.profiles, ledger.settings)
    return ledgers
