"""The joules of a training up to each epoch, whether it has ended or still runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.training import Trained, TrainingRecord, record_of_epochs
from spikejoule.energy.dataflow import DENSE, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.energy.operations import DATA, PHASES, OperationCounts
from spikejoule.energy.prices import HardwareProfile, price, prices_pj
from spikejoule.energy.training.counting import count_training
from spikejoule.network.sections import EpochRecord


def dataflow_of(record: TrainingRecord) -> Dataflow:
    """Return the dataflow of the engine that trained."""
    return DENSE if record.engine == "dense" else ZERO_SKIPPING


def joules_by_epoch(
    trained: Trained, epochs: Sequence[EpochRecord], prices: HardwareProfile
) -> list[float]:
    """Return the joules of a training up to each epoch, the middle of price ranges.

    Empty if the counts are not recorded, or if a phase has no price.
    """
    record = record_of_epochs(trained, epochs)
    if record is None:
        return []
    counted = count_training(record, dataflow_of(record))
    if not _is_priced(counted, prices):
        return []
    joules: list[float] = energy_so_far(counted, prices).mean(axis=0).tolist()
    return joules


def _is_priced(counted: OperationCounts, prices: HardwareProfile) -> bool:
    """Whether every phase but the data has a price."""
    low_pj = prices_pj(counted.columns, prices)[0]
    priced = {
        column.phase
        for column, pj in zip(counted.columns, low_pj, strict=True)
        if not np.isnan(pj)
    }
    return priced.issuperset({*PHASES} - {DATA})


def energy_so_far(
    counted: OperationCounts, prices: HardwareProfile
) -> NDArray[np.float64]:
    """Return the joules up to each epoch at the low and high end of prices, [2, E]."""
    low_pj, _, high_pj = price(counted, prices)
    joules: NDArray[np.float64] = np.cumsum([low_pj, high_pj], axis=1) / PJ_PER_J
    return joules
