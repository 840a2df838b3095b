"""Energy analysis of an imported network, counted while it runs.

A PyTorch model is counted by hooks (`pricing`), a NIR graph by the graph executor
(`compare.from_graph`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.records import Activity
from spikejoule.data.subject import Subject, numbered
from spikejoule.energy.ledger import Variant, spiking_variant
from spikejoule.evaluation.accuracy import accuracy, class_labels


@dataclass(frozen=True, eq=False)
class SampleSet:
    """The samples that an imported network ran on.

    Attributes:
        title: name of the data.
        labels: class of each sample, [N]; None if unknown.
        subject: what the samples show; None for numbered classes.
        step_ms: duration of a time step; None for the graph's own, or if unknown.
    """

    title: str = "events"
    labels: ArrayLike | None = None
    subject: Subject | None = None
    step_ms: float | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """How a network classified N samples.

    Attributes:
        classes: the predicted class of each sample, [N]; -1 where several classes tie.
            None if the output cannot be read as classes.
        n_classes: number of classes.
    """

    classes: NDArray[np.int64] | None
    n_classes: int


def counted_inputs(
    activity: Activity,
    samples: SampleSet,
    answers: Answers,
    counted_in: Literal["graph", "modules"],
    baselines: Sequence[CountedBaseline] = (),
) -> AnalysisInputs:
    """Collect what an energy analysis of a counted network needs.

    Args:
        activity: counts of N samples.
        samples: the samples.
        answers: how the network classified them.
        counted_in: whether a NIR ``graph`` or the ``modules`` of a model were counted.
        baselines: conventional networks to compare with, at an accuracy that both
            reach.

    Raises:
        ArtifactError: the network has no synapses.
        DataError: there are more or fewer labels than samples, or a label is no class.
    """
    network = activity.spiking
    n_samples = activity.n_rows
    if not any(network.synapses):
        raise ArtifactError(
            "the network has no synapses, so there is nothing to price."
        )
    spiking = spiking_variant(activity)
    labels = level = None
    n_tied = 0
    if samples.labels is not None:
        labels = class_labels(samples.labels, n_samples, answers.n_classes)
    if labels is not None and answers.classes is not None:
        spiking = with_accuracy(spiking, labels, answers.classes)
        n_tied = int((answers.classes < 0).sum())
        if baselines:
            # There are no validation samples: networks are compared on these.
            spiking = replace(spiking, validation_percent=spiking.test_percent)
            best = max(baseline.accuracy_percent for baseline in baselines)
            level = min(spiking.test_percent or 0.0, best)
    names = numbered(answers.n_classes) if labels is not None else ()
    numbered_classes = Subject("class", names, "samples")
    return AnalysisInputs(
        title=samples.title,
        activity=activity,
        variants=(spiking,),
        n_images=n_samples,
        step_ms=samples.step_ms,
        labels=labels,
        baselines=tuple(baselines),
        value_macs_per_inference=float(activity.macs.mean()) or None,
        subject=samples.subject or numbered_classes,
        counted_in=counted_in,
        level_percent=level,
        n_tied=n_tied,
    )


def with_accuracy(
    variant: Variant, labels: NDArray[np.int64], classes: NDArray[np.int64]
) -> Variant:
    """Return a variant with its accuracy on N samples; a tie is a wrong answer."""
    correct = accuracy(int((classes == labels).sum()), len(labels))
    return replace(
        variant,
        test_percent=correct.percent,
        test_low_percent=correct.low_percent,
        test_high_percent=correct.high_percent,
    )
