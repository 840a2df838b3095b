"""The energy report's content: everything that the page, the tables and the metrics show.

Plain values, without input or output; energies are in pJ. Every energy of inference is an `Energy`:
the mean of an inference at the lower end of the prices, at their value, and at their upper end,
each with its spread over images and the bootstrap interval of the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.comparison import Comparison, Winner, compare, winner
from spikejoule.energy.contenders import Contender, baseline_contenders
from spikejoule.energy.estimates import Energy, Estimate
from spikejoule.energy.inputs import INFERENCE_ASSUMPTIONS, AnalysisInputs
from spikejoule.energy.operations import Column, MeanOperations, OperationCounts
from spikejoule.energy.pricing import PriceVector, coverage, price, price_vector
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.statistics import (
    BootstrapSettings,
    CountStatistics,
    count_statistics,
    mean_statistics,
)
from spikejoule.energy.training_energy import ProfileTraining, TrainingEnergy, training_energy
from spikejoule.energy.verdict import Verdict, verdict_of_run
from spikejoule.model.architecture import Architecture


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
        image_energy_pj: energy of each image under the chosen profile (its upper end where it has
            brackets alone), float64 [N]; None where counts are means.
        baselines: the conventional networks, in every way of running them.
        verdict_profile: id of the profile of the verdict.
        verdicts: the network against the cheapest conventional one of at least its accuracy, under
            every profile that compares; empty without baselines, or if its accuracy is not known.
        early_verdicts: the same for the network that answers early.
        equal_accuracy: the comparison of the verdict's profile; None where it has none.
        assumptions: what is counted and what is assumed of inference, a sentence each.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    counts: tuple[CountSummary, ...]
    chosen: str
    inference: tuple[ProfileInference, ...]
    training: TrainingEnergy | None
    image_energy_pj: NDArray[np.float64] | None
    baselines: tuple[Contender, ...]
    verdict_profile: str
    verdicts: tuple[Verdict, ...] = ()
    early_verdicts: tuple[Verdict, ...] = ()
    equal_accuracy: Comparison | None = None
    assumptions: tuple[str, ...] = INFERENCE_ASSUMPTIONS

    @property
    def has_intervals(self) -> bool:
        """Whether counts are known image by image, of more than one; if not, there are means."""
        operations = self.inputs.operations
        return isinstance(operations, OperationCounts) and len(operations.counts) > 1

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
    operations = inputs.operations
    overall, by_class = _statistics(operations, bootstrap), _class_statistics(inputs, bootstrap)
    baselines = baseline_contenders(inputs.baselines, inputs.n_compared)
    of_equal_size = [one for one in inputs.baselines if one.equal_size]
    equal_sizes = baseline_contenders(of_equal_size, inputs.n_compared)
    inference = tuple(
        _under(
            profile,
            overall,
            by_class,
            operations.columns,
            compare(inputs.contender, equal_sizes, profile, bootstrap, inputs.operating_point),
        )
        for profile in profiles.values()
    )
    training = None
    if inputs.training is not None:
        assert isinstance(inputs.architecture, Architecture)
        priced = [(entry.profile, entry.total, entry.comparisons) for entry in inference]
        training = training_energy(inputs.training, inputs.architecture, priced)
    image_energy = None
    if isinstance(operations, OperationCounts):
        energy = price(operations, chosen)
        value = energy.per_sample_pj
        image_energy = energy.per_sample_high_pj if value is None else value
    found = verdict_of_run(inputs.contender, baselines, profiles, bootstrap)
    return EnergyAnalysis(
        inputs=inputs,
        assumptions=inputs.assumptions,
        bootstrap=bootstrap,
        counts=tuple(
            CountSummary(column.term, column.place, overall.column(place))
            for place, column in enumerate(operations.columns)
        ),
        chosen=chosen.id,
        inference=inference,
        training=training,
        image_energy_pj=image_energy,
        baselines=baselines,
        verdict_profile=verdict.id,
        verdicts=found,
        early_verdicts=(
            ()
            if inputs.early is None
            else verdict_of_run(inputs.early, baselines, profiles, bootstrap)
        ),
        equal_accuracy=_equal_accuracy(inputs, found, verdict, bootstrap),
    )


def _equal_accuracy(
    inputs: AnalysisInputs,
    found: Sequence[Verdict],
    profile: HardwareProfile,
    bootstrap: BootstrapSettings,
) -> Comparison | None:
    """The comparison behind a profile's verdict, with its break-even."""
    verdict = _under_profile(found, profile.id)
    if verdict is None or verdict.conventional is None:
        return None
    baseline = [verdict.conventional.contender]
    compared = compare(inputs.contender, baseline, profile, bootstrap, inputs.operating_point)
    return compared[0] if compared else None


def _under_profile(found: Sequence[Verdict], profile_id: str) -> Verdict | None:
    return next((one for one in found if one.profile.id == profile_id), None)


def _statistics(
    operations: OperationCounts | MeanOperations, bootstrap: BootstrapSettings
) -> CountStatistics:
    if isinstance(operations, MeanOperations):
        return mean_statistics(operations.means, bootstrap)
    return count_statistics(operations.counts, bootstrap)


def _class_statistics(
    inputs: AnalysisInputs, bootstrap: BootstrapSettings
) -> dict[int, tuple[int, CountStatistics]]:
    """Images and statistics of each class; nothing without labels."""
    operations, labels = inputs.operations, inputs.labels
    if labels is None or isinstance(operations, MeanOperations):
        return {}
    return {
        int(label): (
            int((labels == label).sum()),
            count_statistics(operations.counts[labels == label], bootstrap),
        )
        for label in np.unique(labels)
    }


def _under(
    profile: HardwareProfile,
    overall: CountStatistics,
    by_class: Mapping[int, tuple[int, CountStatistics]],
    columns: Sequence[Column],
    comparisons: tuple[Comparison, ...],
) -> ProfileInference:
    prices, held = price_vector(columns, profile), coverage(columns, profile)
    return ProfileInference(
        profile=profile,
        total=_energy(overall, prices),
        by_class=tuple(
            ClassEnergy(label, n_images, _energy(statistics, prices))
            for label, (n_images, statistics) in by_class.items()
        ),
        by_term=tuple(
            TermEnergy(column.term, column.place, _energy(overall, _only(prices, place)))
            for place, column in enumerate(columns)
            if prices.priced[place]
        ),
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
        comparisons=comparisons,
        wins=winner(comparisons),
    )


def _energy(statistics: CountStatistics, prices: PriceVector) -> Energy:
    """The energy of counted operations under prices of the same columns."""
    return Energy(
        low=statistics.estimate(prices.low_pj),
        value=None if prices.value_pj is None else statistics.estimate(prices.value_pj),
        high=statistics.estimate(prices.high_pj),
    )


def _only(prices: PriceVector, place: int) -> PriceVector:
    """The prices of one column, the others without."""
    chosen = np.arange(prices.priced.size) == place
    value = prices.value_pj
    return PriceVector(
        priced=chosen,
        low_pj=prices.low_pj * chosen,
        value_pj=None if value is None else value * chosen,
        high_pj=prices.high_pj * chosen,
    )
