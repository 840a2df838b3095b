"""The files of a training beside the network itself, and how its result becomes them.

Headline figures (results/train.json), clocks (results/timings/train.json) and the training curves
(metrics/history.csv).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from spikejoule.core.parameters import Section
from spikejoule.core.schema import Count, Percent, Record, Text
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.trained import TrainedNetwork
from spikejoule.training.epochs import EpochTimes
from spikejoule.training.state import EpochRecord
from spikejoule.training.training import TrainingResult


class TrainMetrics(Record):
    """Headline figures: results/train.json."""

    best_validation_accuracy_percent: Percent
    best_epoch: int = Field(ge=1)
    epochs_trained: int = Field(ge=1)
    stop_reason: Text


class TrainTimings(EpochTimes):
    """The times of a training, and what computed: results/timings/train.json."""

    device: Text
    engine: Text
    threads: Count


def history_rows(
    records: Sequence[EpochRecord], layer_names: Sequence[str]
) -> list[dict[str, float]]:
    """The training curves, metrics/history.csv: of each epoch the columns and their values.

    Spikes are means per training sample. ``hidden_spikes_per_sample`` is the sum over all hidden
    layers; where there are several, a column for each follows, and then, of a distilled network,
    those of its teacher's multiply-accumulates.
    """
    hidden_names = layer_names[1:-1] if len(layer_names) > 3 else ()
    rows = []
    for record in records:
        first, *hidden, last = (count / record.samples for count in record.spikes)
        row = {
            "epoch": record.epoch,
            "learning_rate": record.learning_rate,
            "train_loss": record.train_loss,
            "train_accuracy_percent": record.train_accuracy_percent,
            "validation_accuracy_percent": record.validation_accuracy_percent,
            "input_spikes_per_sample": first,
            "hidden_spikes_per_sample": sum(hidden),
            "output_spikes_per_sample": last,
        }
        for name, count in zip(hidden_names, hidden, strict=False):
            row[f"{name}_spikes_per_sample"] = count
        for name in ("teacher_macs", "teacher_macs_nonzero"):
            macs = getattr(record, name)
            if macs is not None:
                row[f"{name}_per_sample"] = macs / record.samples
        rows.append(row)
    return rows


def trained_network(
    result: TrainingResult,
    encoder: Encoder,
    seed: int,
    settings: Section,
    data: Mapping[str, Any],
    engine: str,
) -> TrainedNetwork:
    """The trained network and its provenance.

    Args:
        result: of the training.
        encoder: the encoding by which images became spikes.
        seed: of every draw.
        settings: the section `train` of params.yaml.
        data: the content of metrics/data.json.
        engine: the engine that trained.
    """
    # Whether a training resumes after a kill changes no result.
    config = settings.model_dump(mode="json", exclude={"resume"})
    return TrainedNetwork(
        architecture=result.architecture.learned_from(result.state),
        state=result.state,
        encoder=encoder,
        seed=seed,
        training_config={**config, "optimizer": "Adam"},
        history=tuple(record.entry() for record in result.history),
        training_spikes=result.spikes,
        best_epoch=result.best_epoch,
        best_validation_accuracy_percent=result.best_validation_accuracy_percent,
        data=dict(data),
        engine=engine,
        optimizer_state=result.optimizer_state,
    )
