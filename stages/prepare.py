"""prepare: get the samples, split off the validation set, describe the data."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.parameters import ParameterFile, Seed
from spikejoule.data.dataset import describe, split_validation
from spikejoule.data.params import DataParams
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from stages.shared.project import project_root

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    seed: Seed
    data: DataParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the three sets of samples and their description."""
    root = project_root()
    places = Places(root, root / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    dataset = load_dataset(params.data.chosen_source, places)
    validated_on_test = params.data.validation_size == 0
    if validated_on_test:
        logger.warning(
            "data.validation_size is 0: the best weights are chosen on the test set, "
            "as in the original notebook, so the test accuracy will be too optimistic."
        )
        train = dataset.train
        validation = dataset.test
    else:
        train, validation = split_validation(
            dataset.train, params.data.validation_size, params.seed
        )
    train.save(paths["train"])
    validation.save(paths["validation"])
    dataset.test.save(paths["test"])
    # Last, since it describes the three files above.
    describe(dataset, train, validation, validated_on_test).write(paths["data_metrics"])
    logger.info(
        "%s: %s to train, %s to validate, %s to test",
        dataset.title,
        f"{len(train):,}",
        f"{len(validation):,}",
        f"{len(dataset.test):,}",
    )
