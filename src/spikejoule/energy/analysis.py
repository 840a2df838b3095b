"""The energy analysis: what it starts from, and all that follows at once.

Energies are in pJ. The chapters: counts times prices (`ledger`), the comparison with
conventional networks (`comparison`, `front`), the energy of training (`training`), what
is written to files (`outputs`), and statements in words (`words`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.counts.proxies import EnergyProxies
from spikejoule.counts.records import SpikingGraph
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import STEP_MS
from spikejoule.energy.break_even import BreakEven, break_even
from spikejoule.energy.comparison import (
    RunVerdict,
    front_verdicts,
    own_points,
    pair_verdicts,
)
from spikejoule.energy.contents import TotalContents, contents_of
from spikejoule.energy.conventional import METHODS
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.front import FrontPoint, cheapest_reaching, read_front
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    LAZILY,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    EnergyRow,
    Ledger,
    Variant,
    averaged,
    baseline_variants,
    may_judge,
    total_row,
)
from spikejoule.energy.notes import Note, NoteKind
from spikejoule.energy.operations import INFERENCE, OperationCounts
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.published import PublishedNetwork, front_points
from spikejoule.energy.terms import UPDATES
from spikejoule.energy.training import (
    TRAINING,
    TrainingEnergy,
    TrainingRecord,
    count_training,
    training_energy,
)
from spikejoule.energy.words import sentences
from spikejoule.network.quantisation import FLOAT_BITS

SNN: Final = "snn"
"""The network of the analysis, over its whole window, among the networks of the table;
run in another way, that follows after a comma."""


class NoVerdict(Enum):
    """Why there is no verdict; the values are the sentences that say so."""

    NOT_COUNTED = "No verdict: not everything was counted ({not_counted})."
    NOTHING_TO_COMPARE_WITH = (
        "No conventional network was counted: there is nothing to compare with."
    )
    ACCURACY_UNKNOWN = (
        "No verdict: the network's validation accuracy is not recorded, so no "
        "conventional "
        "network of equal accuracy can be chosen."
    )
    GUESSING = (
        "No verdict: an accuracy of {level_percent:.2f} % is no better than guessing "
        "({guessing_percent:.2f} %)."
    )
    NOT_JUDGED = "No verdict: “{title}” does not compare networks of this kind."
    NOTHING_PRICED = "No verdict: no conventional network is priced under “{title}”."


def network_name(
    network: SpikingGraph, encoding: str, pruned_percent: float = 0.0
) -> str:
    """A spiking network in a few words:
    ``spiking 784-400-10 (latency), 96 % pruned, 8 bits``.
    """
    pruned = f", {pruned_percent:.3g} % pruned" if pruned_percent else ""
    is_float = network.weight_bits == FLOAT_BITS
    bits = "" if is_float else f", {network.weight_bits} bits"
    return f"spiking {network.sizes} ({encoding}){pruned}{bits}"


@dataclass(frozen=True, eq=False)
class AnalysisInputs:
    """What an analysis starts from.

    Attributes:
        title: of the data set.
        network: the spiking network.
        variants: the ways of running the network, the whole window with an update of
            every neuron in every step first; counted on each image, or on average where
            images are not recorded.
        proxies: dense operations, synaptic events, sparsity ratio.
        n_images: how many images the counts are of; None where not recorded.
        step_ms: what a step stands for, in milliseconds.
        encoder: by which samples became spikes; None where spikes were given.
        labels: class of each image, int64 [N]; None where not known.
        baselines: conventional networks on the same test set; the first N images are
            compared.
        training: None where the counts of training are not recorded.
        value_macs_per_inference: multiply-accumulates of values that are no spikes, a
            mean; None where the network has none.
        notes: what else there is to say of the network.
        subject: what the samples show.
        counted_in: a ``graph`` that was run, or the ``modules`` of a running model;
            empty for a checkpoint of this project.
        level_percent: the accuracy of the verdict; None for the network's own on
            validation images.
        published: published conventional networks of the same data, with which the
            network is compared; without any, it is compared with `baselines`.
        not_counted: what ran and was not counted, by name; then there is no verdict.
        average_pixels: side of the squares whose means the networks read; the
            `variants` hold what making them takes.
    """

    title: str
    network: SpikingGraph
    variants: tuple[Variant, ...]
    proxies: EnergyProxies
    n_images: int | None
    step_ms: float = STEP_MS
    encoder: Encoder | None = None
    labels: NDArray[np.int64] | None = None
    baselines: tuple[BaselineCounts, ...] = ()
    training: TrainingRecord | None = None
    subject: Subject = DIGITS
    value_macs_per_inference: float | None = None
    notes: tuple[Note, ...] = ()
    counted_in: str = ""
    level_percent: float | None = None
    published: tuple[PublishedNetwork, ...] = ()
    not_counted: tuple[str, ...] = ()
    average_pixels: int = 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        return sentences(
            self.counted_in or "inference",
            network=self.network,
            products=None if self.encoder is None else self.encoder.input_products,
            from_sensor=not self.reads_images,
        )

    @property
    def reads_images(self) -> bool:
        """Whether images are encoded; if not, the samples are events."""
        return self.encoder is not None and self.encoder.takes == "images"

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of the brightest pixel; None for an encoding without one."""
        return None if self.encoder is None else self.encoder.rate_hz

    @property
    def remarks(self) -> tuple[Note, ...]:
        """All notes, that of what was not counted among them."""
        if not self.not_counted:
            return self.notes
        return *self.notes, Note(NoteKind.NOT_COUNTED, ", ".join(self.not_counted))

    @property
    def cautions(self) -> tuple[Note, ...]:
        """Those that a reader must know before the energies."""
        return tuple(note for note in self.remarks if note.is_caution)

    @property
    def variant(self) -> Variant:
        """The network over its whole window, every neuron updated in every step."""
        return self.variants[0]

    @property
    def operations(self) -> OperationCounts:
        """Its operations: of each image, or on average where images are not
        recorded.
        """
        return self.variants[0].operations

    @property
    def accuracy(self) -> Accuracies | None:
        """Of the network; None where it is not recorded."""
        return self.variants[0].accuracies

    @property
    def guessing_percent(self) -> float:
        """The accuracy of guessing: of always naming the most frequent class."""
        uniform = 100 / self.network.n_output
        if self.labels is None:
            return uniform
        most_frequent = np.unique(self.labels, return_counts=True)[1].max()
        return max(uniform, 100 * float(most_frequent) / len(self.labels))

    @property
    def compared_at_percent(self) -> float | None:
        """The accuracy at which the network is compared; None where it is not known."""
        return (
            self.variant.validation_percent
            if self.level_percent is None
            else self.level_percent
        )

    @property
    def is_guessing(self) -> bool:
        """Whether the network is no better than guessing at the accuracy of the
        comparison.
        """
        level = self.compared_at_percent
        return level is not None and level <= self.guessing_percent

    @property
    def no_verdict(self) -> NoVerdict | None:
        """What prevents a verdict; None where nothing does."""
        if self.not_counted:
            return NoVerdict.NOT_COUNTED
        if not self.baselines and not self.published:
            return NoVerdict.NOTHING_TO_COMPARE_WITH
        if self.compared_at_percent is None:
            return NoVerdict.ACCURACY_UNKNOWN
        if self.is_guessing:
            return NoVerdict.GUESSING
        return None

    @property
    def is_of_equal_size(self) -> bool:
        """Whether the conventional networks of `model.hidden` have the layers of this
        network.
        """
        sizes = self.network.comparable_sizes
        return all(
            baseline.network.layer_sizes[1:] == sizes
            for baseline in self.baselines
            if baseline.equal_size
        )

    @property
    def spikes_per_input(self) -> float:
        """Spikes of an input unit over the window, a mean."""
        input_name = self.network.input.name
        leaves_input = [
            column.term == "spike_routed" and column.place == input_name
            for column in self.operations.columns
        ]
        spikes = float(self.operations.means[leaves_input].sum())
        return spikes / self.network.n_input

    @property
    def neuron_updates(self) -> tuple[int, float | None]:
        """Neuron updates per inference: one in every step, and those of event-driven
        hardware.

        The second is None where images are not recorded, unless biases make the two the
        same.
        """
        n_neurons = sum(layer.n_out for layer in self.network.layers[1:])
        clocked = self.operations.time_window * n_neurons
        for variant in self.variants:
            if variant.method == WHOLE_WINDOW + LAZILY:
                return clocked, float(
                    variant.operations.of(*UPDATES).sum(axis=1).mean()
                )
        is_counted = self.operations.n_images is not None and not self.counted_in
        return clocked, float(clocked) if is_counted or self.network.has_bias else None


@dataclass(frozen=True, eq=False)
class EnergyAnalysis:
    """Everything that the energy report shows.

    Attributes:
        inputs: what was counted, and of what.
        bootstrap: how intervals were drawn.
        chosen: the price list of the headline: energy, verdict and ratio.
        arithmetic: a price list of arithmetic only, for a second figure and for
            training; None without one.
        ledger: the network over its whole window, its other variants, the conventional
            networks, and training.
        table: under every profile, the rows of the network in every way of running it,
            of the conventional networks of equal size, and of training, each with its
            totals.
        comparisons: with the conventional networks of equal size, in every way of
            running them; none under a profile that does not compare, or whose numbers
            are not the network's.
        verdicts: the network against the front of conventional networks at its
            accuracy, under every price list that compares; empty where
            `AnalysisInputs.no_verdict` says why.
        early_verdicts: the same for the network with early exit.
        training: the energy of training; None where its counts are not recorded.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    chosen: HardwareProfile
    arithmetic: HardwareProfile | None
    ledger: Ledger
    table: tuple[EnergyRow, ...]
    comparisons: tuple[RunVerdict, ...]
    verdicts: tuple[RunVerdict, ...] = ()
    early_verdicts: tuple[RunVerdict, ...] = ()
    training: TrainingEnergy | None = None

    # Energies: selections from the table.

    def records(
        self,
        *,
        profile: str = "",
        network: str = SNN,
        phase: str = INFERENCE,
        status: str = "",
    ) -> list[EnergyRow]:
        """Rows of the table without totals.

        Args:
            profile: id of a price list; empty for that of the headline.
            network: as the table names it.
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
        """The energy of an inference; nothing priced is 0."""
        return self.ledger.total(0, profile or self.chosen.id)

    @property
    def early(self) -> Energy | None:
        """The energy of an inference with early exit; None where there is none."""
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
        """How many images a class has."""
        labels = self.inputs.labels
        return 0 if labels is None else int((labels == label).sum())

    def contents(
        self, *phases: str, profile: HardwareProfile | None = None
    ) -> TotalContents:
        """What a total of phases, by default of an inference, holds under a price list,
        by default that of the headline."""
        prices = profile or self.chosen
        terms: dict[str, None] = {}
        for phase in phases or (INFERENCE,):
            terms |= dict.fromkeys(
                row.term for row in self.records(phase=phase, profile=prices.id)
            )
        return contents_of(tuple(terms), prices)

    def holds(self, *phases: str, profile: HardwareProfile | None = None) -> str:
        """The same in words."""
        prices = profile or self.chosen
        contents = self.contents(*phases, profile=prices)
        return " ".join(sentences("contains", contents=contents, profile=prices))

    @property
    def shown(self) -> tuple[HardwareProfile, ...]:
        """The price list of the headline, and that of the second figure if there is
        another.
        """
        if self.arithmetic is None or self.arithmetic.id == self.chosen.id:
            return (self.chosen,)
        return self.chosen, self.arithmetic

    @property
    def has_intervals(self) -> bool:
        """Whether counts are known image by image, of more than one; if not, there are
        means.
        """
        return (self.inputs.operations.n_images or 0) > 1

    # Comparison.

    @property
    def baselines(self) -> tuple[Variant, ...]:
        """The conventional networks, in every way of running them."""
        return tuple(
            variant for variant in self.ledger.variants if variant.side != SPIKING
        )

    @property
    def verdict(self) -> RunVerdict | None:
        """The verdict of the headline; None where there is none."""
        return _under(self.chosen, self.verdicts)

    @property
    def early_verdict(self) -> RunVerdict | None:
        """The same for the network with early exit."""
        return _under(self.chosen, self.early_verdicts)

    @property
    def n_won(self) -> int:
        """Under how many price lists the network needs less energy."""
        return sum(verdict.outcome == "snn" for verdict in self.verdicts)

    @property
    def of_chosen(self) -> tuple[RunVerdict, ...]:
        """The comparisons of equal size under the price list of the headline."""
        return tuple(
            pair for pair in self.comparisons if pair.profile == self.chosen.id
        )

    @property
    def compares_with_published(self) -> bool:
        """Whether the headline's ratio is to published networks."""
        return bool(front_points(self.inputs.published, self.chosen))

    @property
    def conventional_points(self) -> list[FrontPoint]:
        """The conventional networks of the comparison under the headline's price list:
        published ones of the same data, or else those of the run."""
        published = front_points(self.inputs.published, self.chosen)
        return published or own_points(self.ledger, self.chosen.id)

    @property
    def n_conventional(self) -> int:
        """How many networks these are; each is there dense and zero-skipping."""
        return len(
            {point.name.rpartition(", ")[0] for point in self.conventional_points}
        )

    @property
    def closest_baseline(self) -> str:
        """Of the run's own conventional networks the cheapest, under the headline's
        prices, of at least the accuracy of the verdict; empty without a verdict or such
        a network."""
        if self.verdict is None:
            return ""
        points = own_points(self.ledger, self.chosen.id)
        reading = cheapest_reaching(points, self.verdict.level_percent)
        return "" if reading is None else reading.above.name

    def break_even(self, verdict: RunVerdict | None) -> BreakEven | None:
        """Where the network stops winning against the conventional one of a verdict.

        None where there is none, prices are brackets alone, or the network has no
        spikes; and of another way of running it than over its whole window.
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
            inputs.rate_hz,
        )

    # Statements.

    def says(self, template: str) -> tuple[str, ...]:
        """The sentences of a template of the folder `sentences` about this analysis."""
        return sentences(template, analysis=self)

    @property
    def answer(self) -> tuple[str, ...]:
        """The verdict, the network's own energy and what it holds, a sentence each."""
        return self.says("answer")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, of inference and of training, a sentence
        each.
        """
        training = self.inputs.training
        return self.inputs.assumptions + (
            () if training is None else training.assumptions
        )

    @property
    def without_verdict(self) -> str:
        """Why the headline has no verdict, in a sentence; empty where it has one."""
        if self.verdict is not None:
            return ""
        inputs = self.inputs
        prices = self.chosen
        reason = inputs.no_verdict
        if reason is None:
            is_judged = may_judge(prices, inputs.variant)
            reason = NoVerdict.NOTHING_PRICED if is_judged else NoVerdict.NOT_JUDGED
        return reason.value.format(
            not_counted=", ".join(inputs.not_counted),
            level_percent=inputs.compared_at_percent,
            guessing_percent=inputs.guessing_percent,
            title=prices.title,
        )


def _under(
    profile: HardwareProfile, verdicts: Sequence[RunVerdict]
) -> RunVerdict | None:
    return next(
        (verdict for verdict in verdicts if verdict.profile == profile.id), None
    )


def analyse(
    inputs: AnalysisInputs,
    profiles: Mapping[str, HardwareProfile],
    chosen: HardwareProfile,
    arithmetic: HardwareProfile | None,
    bootstrap: BootstrapSettings,
) -> EnergyAnalysis:
    """Price what was counted under every profile, and compare.

    Args:
        inputs: counts, and what they are of.
        profiles: by id, from `load_profiles`.
        chosen: the price list of the headline, one of them.
        arithmetic: a price list of arithmetic only, one of them; None for no second
            figure.
        bootstrap: how to draw intervals.

    Raises:
        ArtifactError: a baseline was counted on fewer images than the network.
    """
    variants = [*inputs.variants, *_baselines_of(inputs)]
    if inputs.training is not None:
        variants.append(_training_variant(inputs, inputs.training))
    ledger = Ledger.of(variants, profiles.values(), bootstrap)

    training = None
    if inputs.training is not None:
        training = training_energy(
            ledger,
            # No price list prices the memory accesses of the backward pass.
            prices=arithmetic or chosen,
            record=inputs.training,
            n_classes=inputs.network.n_output,
        )
    comparisons = _equal_size_verdicts(inputs, ledger)
    return EnergyAnalysis(
        inputs=inputs,
        bootstrap=bootstrap,
        chosen=chosen,
        arithmetic=arithmetic,
        ledger=ledger,
        table=tuple(_table(inputs, ledger, comparisons, training)),
        comparisons=comparisons,
        verdicts=_verdicts(inputs, ledger, WHOLE_WINDOW),
        early_verdicts=_verdicts(inputs, ledger, EARLY_EXIT),
        training=training,
    )


def _baselines_of(inputs: AnalysisInputs) -> tuple[Variant, ...]:
    """The run's conventional networks on the images of the network."""
    n_images = inputs.operations.n_images
    if (
        n_images is None
    ):  # means alone are known: baselines are compared on all of theirs
        lengths = [len(baseline.macs_nonzero) for baseline in inputs.baselines]
        n_images = min(lengths, default=0)
    baselines = baseline_variants(inputs.baselines, n_images)
    return averaged(baselines, inputs.average_pixels, inputs.network.n_input)


def _training_variant(inputs: AnalysisInputs, record: TrainingRecord) -> Variant:
    """Training, all epochs together."""
    by_epoch = count_training(record)
    all_epochs = replace(by_epoch, counts=by_epoch.counts.sum(axis=0)[None])
    return replace(inputs.variant, method=TRAINING, operations=all_epochs)


def _equal_size_verdicts(
    inputs: AnalysisInputs, ledger: Ledger
) -> tuple[RunVerdict, ...]:
    """The network against those of equal size, by price list; none for one that
    guesses.
    """
    if inputs.not_counted or inputs.is_guessing:
        return ()
    verdicts: list[RunVerdict] = []
    first = len(inputs.variants)
    for number, baseline in enumerate(inputs.baselines):
        if baseline.equal_size:
            for way in range(len(METHODS)):
                verdicts += pair_verdicts(
                    ledger, 0, first + number * len(METHODS) + way
                )
    order = [profile.id for profile in ledger.profiles]
    return tuple(sorted(verdicts, key=lambda verdict: order.index(verdict.profile)))


def _verdicts(
    inputs: AnalysisInputs, ledger: Ledger, method: str
) -> tuple[RunVerdict, ...]:
    """The network, run in one way, at its accuracy; none where it is not run so, or not
    known.
    """
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
    # Networks that were named to be compared with are compared as they are.
    read = read_front if inputs.level_percent is None else cheapest_reaching
    return tuple(front_verdicts(ledger, number, level_percent, published, read))


def _table(
    inputs: AnalysisInputs,
    ledger: Ledger,
    comparisons: Sequence[RunVerdict],
    training: TrainingEnergy | None,
) -> Iterator[EnergyRow]:
    """The rows of an analysis: of inference under every profile, then of training."""
    by_class = _by_class(inputs, ledger)
    names = [variant.name for variant in ledger.variants]
    for profile in ledger.profiles:
        # Of what is compared the totals alone have a spread.
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
            yield total_row(
                profile.id, network, INFERENCE, ledger.total(number, profile.id)
            )
    if training is not None:
        for profile in ledger.profiles:
            yield from ledger.rows(len(names) - 1, profile, SNN)
            for phase, phase_energy in training.phases[profile.id].items():
                yield total_row(profile.id, SNN, phase, phase_energy)
            yield total_row(profile.id, SNN, TRAINING, training.totals[profile.id])


def _by_class(inputs: AnalysisInputs, ledger: Ledger) -> dict[int, Ledger]:
    """The network over the images of each class."""
    operations = inputs.operations
    labels = inputs.labels
    if labels is None or operations.n_images is None:
        return {}
    return {
        label: Ledger.of(
            [
                replace(
                    inputs.variant,
                    operations=replace(
                        operations, counts=operations.counts[labels == label]
                    ),
                )
            ],
            ledger.profiles,
            ledger.settings,
        )
        for label in np.unique(labels).tolist()
    }
