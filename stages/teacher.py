"""teacher: with distillation, train the ReLU network to learn from.

A stage of its own, so that `train` waits for a conventional network only if it learns
from one.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from spikejoule.baselines.settings import equal_size_variant
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.data.images import load_images
from spikejoule.params import Params
from spikejoule.training.teacher import TEACHER
from stages.shared.resuming import resumable

logger = logging.getLogger(__name__)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the teacher's weights; none where `train.distillation` is 0."""
    if params.train.distillation == 0:
        TEACHER.write(paths["teacher"], {})
        return
    train = load_images(paths["train"])
    validation = load_images(paths["validation"])
    settings = params.baseline.training(params.train)
    network = equal_size_variant(
        train.images[0].size, params.model.hidden, train.subject.n_classes
    )
    with (
        resumable("teacher", params) as resume,
        tqdm(
            total=settings.max_epochs, unit=" epochs", leave=False, disable=None
        ) as bar,
    ):
        training = train_baselines(
            BaselinesTraining(train, validation, [network], settings, params.seed),
            resume,
            lambda epoch: bar.update(epoch - bar.n),
        )
        (teacher,) = training.baselines
        TEACHER.write(paths["teacher"], teacher.state)
        resume.end(paths["teacher"])
    logger.info(
        "teacher %s: validation accuracy %.2f %% in epoch %d of %d",
        network.name,
        teacher.best_validation_accuracy_percent,
        teacher.best_epoch,
        settings.max_epochs,
    )
