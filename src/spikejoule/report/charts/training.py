"""How accuracy grew in training, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikejoule.report.charts.scales import Scale, accuracy_scale, error_percent


@dataclass(frozen=True)
class AccuracyCurves:
    """Accuracies after each epoch.

    Attributes:
        epochs: from 1 on.
        errors_percent: the curves by name, each with a value of `y` for each epoch.
        y: the errors of all of them.
        kept_epoch: whose weights were kept; None where not known.
    """

    epochs: tuple[int, ...]
    errors_percent: Mapping[str, tuple[float, ...]]
    y: Scale
    kept_epoch: int | None

    @property
    def kept_words(self) -> str:
        """What the mark of the kept epoch means."""
        return f"the weights kept, epoch {self.kept_epoch}"


def accuracy_curves(
    epochs: Sequence[int],
    accuracies_percent: Mapping[str, Sequence[float]],
    kept_epoch: int | None,
) -> AccuracyCurves:
    """The chart of some curves by name, each with an accuracy for every epoch."""
    return AccuracyCurves(
        tuple(epochs),
        {
            name: tuple(error_percent(accuracy) for accuracy in accuracies)
            for name, accuracies in accuracies_percent.items()
        },
        accuracy_scale(value for values in accuracies_percent.values() for value in values),
        kept_epoch,
    )
