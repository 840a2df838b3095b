"""From the result of a training to the file that the pipeline goes on with."""

from collections.abc import Mapping
from typing import Any

from spikejoule.core.parameters import Section
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.trained import TrainedNetwork
from spikejoule.training.training import TrainingResult


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
        encoder: the code by which images became spikes.
        seed: of every draw.
        settings: the section `train` of params.yaml.
        data: the content of metrics/data.json.
        engine: the engine that trained.
    """
    # Whether a training goes on after a kill changes no result.
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
