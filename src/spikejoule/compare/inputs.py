"""What an energy analysis starts from: a counted network, and those beside it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.notes import Note
from spikejoule.compare.published import PublishedNetwork
from spikejoule.counts.records import Activity, SpikingGraph
from spikejoule.counts.training import TrainingRecord
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import STEP_MS
from spikejoule.energy.ledger import Variant
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.terms import UPDATES
from spikejoule.evaluation.runs import WHOLE_WINDOW

Obstacle = Literal[
    "parts not counted", "nothing to compare with", "unknown accuracy", "guessing"
]
"""What may rule out a verdict."""


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
        activity: the spiking network, and what it did over its whole window.
        variants: the ways of running it; first the whole window with clocked updates.
            Counts are per image, or means if images are not recorded.
        n_images: number of images counted; None if not recorded.
        step_ms: duration of a time step; None for a PyTorch model's, which has none.
        encoder: how samples became spikes; None if the spikes were given.
        labels: class of each image, int64 [N]; None if unknown.
        baselines: conventional networks on the same test set, compared on its first N
            images.
        training: None if the counts of training are not recorded.
        value_macs_per_inference: mean multiply-accumulates of values that are not
            spikes; None if there are none.
        notes: notes of those who counted it.
        subject: what the samples show.
        counted_in: a NIR ``graph`` or the ``modules`` of a model; empty for a network
            of this project.
        level_percent: accuracy of the verdict; None for the network's own validation
            accuracy.
        published: published conventional networks for the same data, which replace
            `baselines` in the verdict.
        not_counted: names of parts that ran and were not counted; they rule out a
            verdict, unless they are accepted.
        accepted: those of them that the user accepts as not counted.
        verified: whether a NIR graph does what its model does, and why; empty for a
            graph of this project.
        n_tied: samples without a predicted class, because several have the highest
            score.
        other_counts: what other tools count in the same run.
    """

    title: str
    activity: Activity
    variants: tuple[Variant, ...]
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
    accepted: tuple[str, ...] = ()
    verified: str = ""
    n_tied: int = 0
    other_counts: tuple[OtherCount, ...] = ()

    @property
    def network(self) -> SpikingGraph:
        """The spiking network."""
        return self.activity.spiking

    @property
    def reads_images(self) -> bool:
        """Whether the samples are images, not events."""
        return self.encoder is not None and self.encoder.takes == "images"

    @property
    def rate_hz(self) -> float | None:
        """Firing rate of the brightest pixel; None for an encoding without a rate."""
        return None if self.encoder is None else self.encoder.rate_hz

    @property
    def variant(self) -> Variant:
        """The network over its whole window, with clocked updates."""
        return self.variants[0]

    @property
    def operations(self) -> OperationCounts:
        """The operations of `variant`."""
        return self.variant.operations

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
    def missing(self) -> tuple[str, ...]:
        """Parts that were neither counted nor accepted as not counted."""
        return tuple(part for part in self.not_counted if part not in self.accepted)

    @property
    def obstacle(self) -> Obstacle | None:
        """What rules out a verdict; None if nothing does."""
        if self.missing:
            return "parts not counted"
        if not self.baselines and not self.published:
            return "nothing to compare with"
        if self.compared_at_percent is None:
            return "unknown accuracy"
        return "guessing" if self.is_guessing else None

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
            if variant.method == WHOLE_WINDOW and variant.lazy:
                lazy = variant.operations.of(*UPDATES).sum(axis=1).mean()
                return clocked, float(lazy)
        is_counted = self.operations.n_images is not None and not self.counted_in
        if is_counted or self.network.adds_bias:
            return clocked, float(clocked)
        return clocked, None
