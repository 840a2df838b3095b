"""The curves of a training: what is logged of each epoch, and its modelled energy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from spikejoule.energy import HardwareProfile, load_profiles
from spikejoule.energy.training.history import TrainingSetup, joules_by_epoch
from spikejoule.network.checkpoint import TrainingConfigSection
from spikejoule.network.network import Network
from spikejoule.network.trained import TrainedNetwork
from spikejoule.params import Params

_NOT_CURVES = ("samples", "input_macs")


def epoch_row(
    record: Mapping[str, Any], layer_names: Sequence[str]
) -> dict[str, float]:
    """Convert an epoch to a row of `log_history`, for live and for published runs.

    Args:
        record: the fields of a `network.checkpoint.EpochRecord`.
        layer_names: names of the layers; their spikes become means per sample.
    """
    row = {
        name: value
        for name, value in record.items()
        if name not in _NOT_CURVES and isinstance(value, int | float)
    }
    for name, total in zip(layer_names, record["spikes"], strict=True):
        row[f"{name}_spikes_per_sample"] = total / record["samples"]
    return row


@dataclass(frozen=True)
class Curves:
    """What the curves of a run show.

    Attributes:
        layer_names: names of the layers.
        pricing: returns the joules of training up to each of some epochs; None without
            this curve.
    """

    layer_names: Sequence[str]
    pricing: Callable[[Sequence[Any]], Sequence[float]] | None = None

    @classmethod
    def of_running(cls, params: Params, network: Network, engine: str) -> Self:
        """Return the curves of a training that begins.

        Args:
            params: the pipeline's parameters, with the price list of the headline.
            network: the network to train.
            engine: name of the engine.
        """
        prices = load_profiles().get(params.energy_report.profile)
        if prices is None:  # which the stage energy_report refuses
            return cls(network.layer_names)
        config = params.train.model_dump(mode="json")
        setup = TrainingSetup(
            network=network,
            encoder=params.encode.encoder,
            config=TrainingConfigSection.model_validate(config),
            engine=engine,
            average_pixels=params.data.average_pixels,
        )
        pricing = partial(joules_by_epoch, setup, prices=prices)
        return cls(network.layer_names, pricing)

    @classmethod
    def of_trained(cls, trained: TrainedNetwork, prices: HardwareProfile) -> Self:
        """Return the curves of a training that has ended."""
        setup = TrainingSetup.of(trained)
        pricing = partial(joules_by_epoch, setup, prices=prices)
        return cls(trained.network.layer_names, pricing)

    def rows(self, history: Sequence[Any], first: int = 0) -> list[dict[str, float]]:
        """Convert epochs to rows of `log_history`.

        Args:
            history: an `EpochRecord` of every epoch so far.
            first: how many of them to leave out.
        """
        rows = [epoch_row(record.entry(), self.layer_names) for record in history]
        if self.pricing is not None:
            for row, joules in zip(rows, self.pricing(history), strict=False):
                row["training_joules"] = joules
        return rows[first:]
