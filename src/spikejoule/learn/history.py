"""The training curves as a table."""

from collections.abc import Sequence

from spikejoule.learn.training import EpochRecord
from spikejoule.model.training_files import History, HistoryRow


def history_table(
    records: Sequence[EpochRecord], layer_names: Sequence[str]
) -> tuple[History, tuple[str, ...]]:
    """One row for each epoch, and the names of the columns that follow the fixed ones.

    ``hidden_spikes_per_sample`` is the sum over all hidden layers; where there are several, a
    column for each follows.
    """
    hidden_names = layer_names[1:-1] if len(layer_names) > 3 else ()
    columns = tuple(f"{name}_spikes_per_sample" for name in hidden_names)
    rows = []
    for record in records:
        first, *hidden, last = (count / record.samples for count in record.spikes)
        rows.append(
            HistoryRow(
                epoch=record.epoch,
                learning_rate=record.learning_rate,
                train_loss=record.train_loss,
                train_accuracy_percent=record.train_accuracy_percent,
                validation_accuracy_percent=record.validation_accuracy_percent,
                input_spikes_per_sample=first,
                hidden_spikes_per_sample=sum(hidden),
                output_spikes_per_sample=last,
                **dict(zip(columns, hidden, strict=False)),
            )
        )
    return History(rows=tuple(rows)), columns
