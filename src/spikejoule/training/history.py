"""The training curves as a table."""

from collections.abc import Sequence

from spikejoule.model.training_files import History, HistoryRow
from spikejoule.training.course import EpochRecord


def history_table(
    records: Sequence[EpochRecord], layer_names: Sequence[str]
) -> tuple[History, tuple[str, ...]]:
    """One row for each epoch, and the names of the columns that follow the fixed ones.

    ``hidden_spikes_per_sample`` is the sum over all hidden layers; where there are several, a
    column for each follows, and then, of a distilled network, those of its teacher.
    """
    hidden_names = layer_names[1:-1] if len(layer_names) > 3 else ()
    columns = tuple(f"{name}_spikes_per_sample" for name in hidden_names)
    if any(_of_teacher(record) for record in records):
        columns += ("teacher_macs_per_sample", "teacher_macs_nonzero_per_sample")
    rows = []
    for record in records:
        first, *hidden, last = (count / record.samples for count in record.spikes)
        further = [*(hidden if hidden_names else ()), *_of_teacher(record)]
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
                **dict(zip(columns, further, strict=True)),
            )
        )
    return History(rows=tuple(rows)), columns


def _of_teacher(record: EpochRecord) -> list[float]:
    macs = (record.teacher_macs, record.teacher_macs_nonzero)
    return [count / record.samples for count in macs if count is not None]
