"""The energy report's content: everything that the page, the tables and the metrics show.

Plain values, without input or output; energies are in pJ. Every energy of inference is an `Energy`:
the mean of an inference at the lower end of the prices, at their value, and at their upper end,
each with its spread over images and the bootstrap interval of the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.break_even import OperatingPoint
from spikejoule.energy.comparison import Comparison, compare, energy_of, winner
from spikejoule.energy.estimates import Energy, Estimate
from spikejoule.energy.inputs import (
    INFERENCE_ASSUMPTIONS,
    AnalysisInputs,
    inference_assumptions,
)
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
from spikejoule.foundation.errors import ArtifactError
from spikejoule.rival.counts import BaselineCounts


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
        comparisons: one for each baseline and method; empty without a price of a MAC.
        wins: ``snn`` if it needs less than every baseline, ``ann`` if one of them needs less, else
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
    wins: str | None


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
        assumptions: what is counted and what is assumed of inference, a sentence each.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    counts: tuple[CountSummary, ...]
    chosen: str
    inference: tuple[ProfileInference, ...]
    training: TrainingEnergy | None
    image_energy_pj: NDArray[np.float64] | None
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
    def chosen_training(self) -> ProfileTraining | None:
        """Training under the chosen profile."""
        if self.training is None:
            return None
        return next(entry for entry in self.training.profiles if entry.profile.id == self.chosen)


def analyse(
    inputs: AnalysisInputs,
    profiles: Mapping[str, HardwareProfile],
    chosen: HardwareProfile,
    bootstrap: BootstrapSettings,
) -> EnergyAnalysis:
    """Price what was counted under every profile, and compare.

    Args:
        inputs: counts, and what they are of.
        profiles: by id, from `load_profiles`.
        chosen: the headline's profile, one of them.
        bootstrap: how to draw intervals.

    Raises:
        ArtifactError: a baseline was counted on fewer images than the network.
    """
    operations, columns = inputs.operations, inputs.operations.columns
    overall = _statistics(inputs, bootstrap)
    by_class = _class_statistics(inputs, bootstrap)
    operation = OperatingPoint(
        inputs.architecture.n_input,
        inputs.time_window,
        inputs.encoder.rate_hz,
        inputs.spikes_per_inference[inputs.architecture.layer_names[0]],
    )
    inference = tuple(
        _under(profile, overall, by_class, columns, inputs.baselines, operation)
        for profile in profiles.values()
    )
    training = None
    if inputs.training is not None:
        priced = [(entry.profile, entry.total, entry.comparisons) for entry in inference]
        training = training_energy(inputs.training, inputs.architecture, priced)
    image_energy = None
    if isinstance(operations, OperationCounts):
        energy = price(operations, chosen)
        value = energy.per_sample_pj
        image_energy = energy.per_sample_high_pj if value is None else value
    return EnergyAnalysis(
        inputs=inputs,
        assumptions=inference_assumptions(
            inputs.architecture.quantisation, inputs.encoder.input_products
        ),
        bootstrap=bootstrap,
        counts=tuple(
            CountSummary(column.term, column.place, overall.column(place))
            for place, column in enumerate(columns)
        ),
        chosen=chosen.id,
        inference=inference,
        training=training,
        image_energy_pj=image_energy,
    )


def _statistics(inputs: AnalysisInputs, bootstrap: BootstrapSettings) -> CountStatistics:
    """Of the network's columns and then of each baseline's dense and non-zero MACs."""
    operations = inputs.operations
    if isinstance(operations, MeanOperations):
        macs = [
            mean
            for baseline in inputs.baselines
            for mean in (baseline.macs_dense, float(baseline.macs_nonzero.mean()))
        ]
        return mean_statistics(np.concatenate([operations.means, macs]), bootstrap)
    n_images = len(operations.counts)
    blocks = [operations.counts]
    for baseline in inputs.baselines:
        counted = baseline.macs_nonzero.size
        if counted < n_images:
            raise ArtifactError(
                f"the baseline {baseline.name} was counted on {counted:,} test images, but the "
                f"network on {n_images:,}: run the baseline stage again."
            )
        blocks.append(np.full((n_images, 1), baseline.macs_dense, dtype=np.int64))
        blocks.append(baseline.macs_nonzero[:n_images, None])
    return count_statistics(np.concatenate(blocks, axis=1), bootstrap)


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
    baselines: Sequence[BaselineCounts],
    operation: OperatingPoint,
) -> ProfileInference:
    prices, held = price_vector(columns, profile), coverage(columns, profile)
    own = overall.of_first(len(columns))
    comparisons = compare(overall, columns, prices, profile, baselines, operation)
    return ProfileInference(
        profile=profile,
        total=energy_of(own, prices),
        by_class=tuple(
            ClassEnergy(label, n_images, energy_of(statistics, prices))
            for label, (n_images, statistics) in by_class.items()
        ),
        by_term=tuple(
            TermEnergy(column.term, column.place, energy_of(own, _only(prices, place)))
            for place, column in enumerate(columns)
            if prices.priced[place]
        ),
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
        comparisons=comparisons,
        wins=winner(comparisons),
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
