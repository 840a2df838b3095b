"""The section `train` of params.yaml."""

from spikejoule.engine.interface import EngineSettings
from spikejoule.training.settings import TrainingSettings


class TrainParams(TrainingSettings, EngineSettings):
    """How the network is trained, and on which device."""
