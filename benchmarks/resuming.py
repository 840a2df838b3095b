"""What it costs to keep the state of a training after every epoch: `python -m benchmarks.resuming`.

Trains the defaults on all images, in turn with and without a state on the disk, and times the
snapshot and the file apart from the epochs. MNIST_DIR names the four files of MNIST.
"""

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.images import load_benchmark_images, project_root
from spikejoule.baselines.settings import Variant, family
from spikejoule.baselines.training import train_baselines
from spikejoule.core.resume_files import Kept, ResumeFile
from spikejoule.data.images import LabelledImages
from spikejoule.engine import engine_to_train
from spikejoule.model.architecture import Architecture
from spikejoule.params import Params, load_params
from spikejoule.training.state import TrainingState
from spikejoule.training.training import TrainingData, train

VALIDATION_IMAGES = 6000


class Timed:
    """A keeper that notes how long each saving took."""

    def __init__(self, file: ResumeFile) -> None:
        self._file = file
        self.seconds: list[float] = []
        self.bytes = 0

    def load(self) -> Kept | None:
        return None

    def refuse(self, reason: str) -> None:
        raise AssertionError(reason)

    def save(self, kept: Kept) -> None:
        started = time.perf_counter()
        self._file.save(kept)
        self.seconds.append(time.perf_counter() - started)
        self.bytes = self._file.path.stat().st_size


def train_once(
    data: TrainingData, params: Params, keeper: Timed | None
) -> tuple[float, tuple[float, ...]]:
    """Seconds of all, and of each epoch without what is kept."""
    architecture = Architecture(
        data.validation_events.n_inputs,
        params.model.hidden,
        int(data.labels.max()) + 1,
        params.model.chosen_neuron,
    )
    density = data.encoder.density(data.inputs)
    engine, _ = engine_to_train(params.train, architecture, params.train, params.seed, density)
    started = time.perf_counter()
    result = train(data, engine, architecture.layer_names, params.train, params.seed, keeper=keeper)
    return time.perf_counter() - started, result.epoch_seconds


def baselines(everything: LabelledImages, params: Params, keeper: Timed) -> tuple[float, ...]:
    """Seconds of each epoch of the ReLU networks."""
    settings = params.baseline.training(params.train)
    pixels, n_classes = everything.images[0].size, everything.subject.n_classes
    variants = [
        Variant(Architecture(pixels, params.model.hidden, n_classes), equal_size=True),
        *family(pixels, n_classes, params.baseline, (0.2, 0.6)),
    ]
    first, rest = slice(VALIDATION_IMAGES), slice(VALIDATION_IMAGES, None)
    return train_baselines(
        everything.select(rest), everything.select(first), variants, settings, params.seed,
        keeper=keeper,
    ).epoch_seconds  # fmt: skip


def main(epochs: int, rounds: int, folder: Path) -> None:
    """Print what an epoch takes, what keeping its state does, and their ratio."""
    params = load_params("params.yaml")
    trained = params.train.model_copy(update={"max_epochs": epochs, "average_epochs": 0})
    params = params.model_copy(update={"train": trained})
    everything, _, _ = load_benchmark_images(project_root(), os.environ, False)
    encoder, first = params.encode.encoder, slice(VALIDATION_IMAGES)
    validation = everything.select(first)
    key = encoder.draw_key(params.seed, "validation", epoch=0)
    events = encoder.events(validation.images, key, validation.index)
    rest = everything.select(slice(VALIDATION_IMAGES, None))
    data = TrainingData(rest.images, rest.labels, rest.index, encoder, events, validation.labels)

    snapshots: list[float] = []
    state_of_all = TrainingState.kept

    def timed_kept(state: TrainingState) -> Kept:
        started = time.perf_counter()
        kept = state_of_all(state)
        snapshots.append(time.perf_counter() - started)
        return kept

    TrainingState.kept = timed_kept
    train_once(data, params.model_copy(update={
        "train": trained.model_copy(update={"max_epochs": 1})}), None)  # fmt: skip
    with ResumeFile(folder, "network") as file, ResumeFile(folder, "baselines") as other:
        saved: list[float] = []
        of_epoch: list[float] = []
        size = 0
        for _ in range(rounds):
            without, _ = train_once(data, params, None)
            keeper = Timed(file)
            with_state, seconds = train_once(data, params, keeper)
            saved += keeper.seconds
            of_epoch += seconds
            size = keeper.bytes
            print(f"{epochs} epochs: {without:.2f} s without a state, {with_state:.2f} s with one")
        _print("network", of_epoch, [a + b for a, b in zip(snapshots, saved, strict=True)], size)
        keeper = Timed(other)
        seconds = baselines(everything, params, keeper)
        _print("baselines, snapshot left out", seconds, keeper.seconds, keeper.bytes)


def _print(
    what: str, epochs: list[float] | tuple[float, ...], kept: list[float], size: int
) -> None:
    epoch, cost = median(epochs), median(kept)
    print(
        f"{what}: {size / 1e6:.1f} MB, median {1000 * cost:.1f} ms "
        f"({1000 * min(kept):.1f} to {1000 * max(kept):.1f}) of an epoch of {epoch:.2f} s: "
        f"{100 * cost / epoch:.2f} %"
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    # On the project's own disk.
    cache = Path(".cache")
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as place:
        main(chosen.epochs, chosen.rounds, Path(place))
