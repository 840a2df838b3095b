"""The curves of a training: what is logged of each epoch, and its modelled energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spikejoule.counts.training import Trained, TrainingSetup
from spikejoule.energy.prices import HardwareProfile, load_profiles
from spikejoule.energy.training.by_epoch import joules_by_epoch
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord, TrainingConfigSection
from spikejoule.params import Params

_NOT_CURVES = ("samples", "input_macs")
# MLflow preselects the metric that was logged first where runs are compared.
_FIRST_CURVE = "validation_accuracy_percent"


def epoch_row(
    record: Mapping[str, Any], layer_names: Sequence[str]
) -> dict[str, float]:
    """Convert an epoch to a row of `log_history`, for live and for published runs.

    Args:
        record: the fields of a `network.sections.EpochRecord`.
        layer_names: names of the layers; their spikes become means per sample.
    """
    row = {
        name: value
        for name, value in {_FIRST_CURVE: record[_FIRST_CURVE], **record}.items()
        if name not in _NOT_CURVES and isinstance(value, int | float)
    }
    for name, total in zip(layer_names, record["spikes"], strict=True):
        row[f"{name}_spikes_per_sample"] = total / record["samples"]
    return row


@dataclass(frozen=True)
class Curves:
    """What the curves of a run show.

    Attributes:
        trained: what is trained, and how.
        prices: price list of the curve of joules; None without this curve.
    """

    trained: Trained
    prices: HardwareProfile | None

    @classmethod
    def of_running(cls, params: Params, network: Network, engine: str) -> Self:
        """Return the curves of a training that begins.

        Args:
            params: the pipeline's parameters, with the price list of the headline.
            network: the network to train.
            engine: name of the engine.
        """
        config = params.train.model_dump(mode="json")
        setup = TrainingSetup(
            network=network,
            encoder=params.encode.encoder,
            trained_with=TrainingConfigSection.model_validate(config),
            engine=engine,
        )
        # An unknown price list is refused by the stage parameters.
        return cls(setup, load_profiles().get(params.energy_report.profile))

    def rows(self, history: Sequence[EpochRecord]) -> list[dict[str, float]]:
        """Convert every epoch so far to a row of `log_history`."""
        names = self.trained.network.layer_names
        rows = [epoch_row(record.entry(), names) for record in history]
        if self.prices is not None:
            joules = joules_by_epoch(self.trained, history, self.prices)
            for row, so_far in zip(rows, joules, strict=False):
                row["training_joules"] = so_far
        return rows
