"""Train conventional networks, and write their file.

``python -m tests.baselines.write_baseline PATH`` writes what the stage `baseline` would
of small networks: in floating point and in integers, pruned, deep, and quantised after
training.
"""

import sys
from pathlib import Path

from spikejoule.baselines.counts import MeasuredBaseline, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import Widths, quantise
from spikejoule.baselines.settings import (
    BaselineSettings,
    BaselineTraining,
    BaselineVariant,
    equal_size_variant,
    family,
)
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.data.sources.mnist5k import load_mnist5k
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.training.relu.running import activations

SETTINGS = BaselineTraining(
    batch_size=32,
    max_epochs=3,
    schedule="one_cycle",
    lr=0.003,
    weight_decay=1e-5,
    label_smoothing=0.1,
    shift_pixels=1,
    rotate_degrees=6.0,
    scale_fraction=0.06,
)
FAMILY = BaselineSettings(
    family_hidden=(50,), family_pruned=(0.9,), family_bits=(32, 8, 3)
)
DEEP = ConventionalNetwork.of_layers(784, (40, 30), 10)
VARIANTS = (
    equal_size_variant(784, (100,), 10),
    *family(784, 10, FAMILY, (0.2, 0.6), 16),
    BaselineVariant(DEEP, bits=4, sum_bits=16, pixel_threshold=114, shifts=True),
)


def write(path: Path) -> None:
    """Train the networks on 1,000 digits, measure them, and write the file."""
    digits = load_mnist5k()
    splits = {
        "train": digits.train.select(slice(1000)),
        "validation": digits.train.select(slice(1000, 1500)),
        "test": digits.test,
    }
    train = splits["train"]
    training = BaselinesTraining(train, splits["validation"], VARIANTS, SETTINGS, 3)
    measured: list[MeasuredBaseline] = []
    for trained in train_baselines(training).baselines:
        variant = trained.variant
        pruned = variant.pruning.pruned_fraction > 0
        networks = [trained.network]
        if variant.equal_size:
            calibration = activations(trained.state, train.images)
            networks.append(quantise(trained.state, calibration, Widths(6, 8, 32)))
        for network in networks:
            name = f"{len(measured)} {variant.name}"
            measured.append(
                measure_baseline(name, network, variant.equal_size, pruned, splits)
            )
    save_baseline(path, measured, digits.test.labels)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
