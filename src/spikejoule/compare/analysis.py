"""The energy analysis of a network: everything derived from its inputs.

Energies are in pJ. Counts times prices are in `energy.ledger`, the comparison with
conventional networks in `comparison` and `front`, training in `training`, files in
`outputs`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spikejoule.compare.comparison import (
    Comparison,
    front_verdicts,
    own_points,
    pair_verdicts,
)
from spikejoule.compare.front import Side, cheapest_reaching, read_front
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.published import front_points
from spikejoule.compare.training import TrainingEnergy, training_ledger
from spikejoule.energy.dataflow import DATAFLOWS
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import (
    EnergyRow,
    Ledger,
    Variant,
    baseline_variants,
)
from spikejoule.energy.operations import INFERENCE, PHASES, TRAINING
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.timing import Timed
from spikejoule.evaluation.runs import EARLY_EXIT, WHOLE_WINDOW


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
            `AnalysisInputs.obstacle` says why.
        early_verdicts: the same with early exit.
        training: the energy of training; None if its counts are not recorded.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    chosen: HardwareProfile
    arithmetic: HardwareProfile | None
    ledger: Ledger
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Comparison, ...] = ()
    early_verdicts: tuple[Comparison, ...] = ()
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
        self, *, profile: str = "", phase: str = INFERENCE, status: str = ""
    ) -> list[EnergyRow]:
        """Select rows of the network in the table, without totals and other ways.

        Args:
            profile: id of a price list; empty for the headline's.
            phase: ``inference``, or a phase of training.
            status: ``priced``, ``covered`` or ``unpriced``; empty for all.
        """
        return [
            row
            for row in self.table
            if row.profile == (profile or self.chosen.id)
            and row.is_of_first
            and row.phase == phase
            and not row.is_total
            and status in ("", row.status)
        ]

    def total(self, profile: str = "") -> Energy:
        """Return the energy of an inference; 0 if nothing is priced."""
        return self.ledger.total(0, profile or self.chosen.id)

    def timed(self, profile: HardwareProfile | None = None) -> Timed | None:
        """Return an inference with time; None if its energy is dynamic only.

        Args:
            profile: the price list; None for the headline's.
        """
        return self.ledger.timed(0, profile or self.chosen)

    @property
    def early(self) -> Energy | None:
        """The energy of an inference with early exit; None without early exit."""
        number = self._early_position
        return None if number is None else self.ledger.total(number, self.chosen.id)

    @property
    def early_timed(self) -> Timed | None:
        """An inference with early exit, with time; None without either."""
        number = self._early_position
        return None if number is None else self.ledger.timed(number, self.chosen)

    @property
    def _early_position(self) -> int | None:
        for number, variant in enumerate(self.inputs.variants):
            if variant.method == EARLY_EXIT and not variant.lazy:
                return number
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
    def verdict(self) -> Comparison | None:
        """The verdict of the headline; None without one."""
        return _under(self.chosen, self.verdicts)

    @property
    def early_verdict(self) -> Comparison | None:
        """The headline's verdict with early exit; None without one."""
        return _under(self.chosen, self.early_verdicts)

    @property
    def n_won(self) -> int:
        """Number of price lists under which the network wins."""
        return sum(verdict.outcome == "snn" for verdict in self.verdicts)

    @property
    def of_chosen(self) -> tuple[Comparison, ...]:
        """The comparisons at equal size under the headline's price list."""
        return tuple(
            pair for pair in self.comparisons if pair.profile == self.chosen.id
        )

    def equal_size(self, skips_zeros: bool) -> Comparison | None:
        """The headline's comparison with the first network of equal size, in one way.

        Args:
            skips_zeros: whether that network skips products of zeros.
        """
        for pair in self.of_chosen:
            position = pair.conventional.position
            assert position is not None
            if self.ledger.variants[position].dataflow.skips_zeros == skips_zeros:
                return pair
        return None

    @property
    def compares_with_published(self) -> bool:
        """Whether the headline's ratio is to published networks."""
        return bool(front_points(self.inputs.published, self.chosen))

    @property
    def conventional_points(self) -> list[Side]:
        """The conventional networks of the headline's verdict.

        These are published ones for the same data, or else those of the run.
        """
        published = front_points(self.inputs.published, self.chosen)
        return published or own_points(self.ledger, self.chosen)

    @property
    def n_conventional(self) -> int:
        """Number of these networks, each of which is run in two ways."""
        return len({point.network for point in self.conventional_points})

    @property
    def closest_baseline(self) -> int | None:
        """The run's own cheapest conventional network with the verdict's accuracy.

        Its position in the ledger; None without a verdict or such a network.
        """
        if self.verdict is None:
            return None
        points = own_points(self.ledger, self.chosen)
        reading = cheapest_reaching(points, self.verdict.level_percent)
        return None if reading is None else reading.position


def _under(
    profile: HardwareProfile, verdicts: Sequence[Comparison]
) -> Comparison | None:
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
) -> tuple[Comparison, ...]:
    """Compare with networks of equal size by price list; not if the network guesses."""
    if inputs.missing or inputs.is_guessing:
        return ()
    # They follow the network's own variants, in two ways each.
    is_equal = [baseline.equal_size for baseline in inputs.baselines for _ in DATAFLOWS]
    numbers = np.flatnonzero(is_equal) + len(inputs.variants)
    return tuple(pair_verdicts(ledger, 0, numbers.tolist()))


def _verdicts(
    inputs: AnalysisInputs, ledger: Ledger, method: str
) -> tuple[Comparison, ...]:
    """Compare one way of running the network with the conventional front."""
    methods = [variant.method for variant in inputs.variants]
    if inputs.obstacle or method not in methods:
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
    comparisons: Sequence[Comparison],
    training: TrainingEnergy | None,
) -> Iterator[EnergyRow]:
    """Yield the rows of inference under every price list, then those of training."""
    by_class = _by_class(inputs, ledger)
    for profile in ledger.profiles:
        # The analysed network has a spread in each row, others only in their totals.
        yield from ledger.rows(0, profile, with_spread=True)
        yield ledger.total_row(0, profile)
        for label, of_class in by_class.items():
            yield replace(of_class.total_row(0, profile), label=label)
        others = [*range(1, len(inputs.variants))]
        for pair in comparisons:
            if pair.profile == profile.id and pair.conventional.position is not None:
                others.append(pair.conventional.position)
        for number in others:
            yield from ledger.rows(number, profile)
            yield ledger.total_row(number, profile)
    if training is not None:
        for profile in training.ledger.profiles:
            yield from training.ledger.rows(0, profile)
            for phase in (*PHASES, TRAINING):
                yield training.ledger.total_row(0, profile, phase)


def _by_class(inputs: AnalysisInputs, ledger: Ledger) -> dict[int, Ledger]:
    """Price the network over the images of each class."""
    operations = inputs.operations
    labels = inputs.labels
    if labels is None or operations.n_images is None:
        return {}
    ledgers = {}
    for label in np.unique(labels).tolist():
        of_class = operations.of_samples(labels == label)
        variant = replace(inputs.variant, operations=of_class)
        ledgers[label] = Ledger.of([variant], ledger.profiles, ledger.settings)
    return ledgers
