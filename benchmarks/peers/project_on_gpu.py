"""This project's rows of `benchmarks.gpu`, with the surrogate of all its rows."""

from benchmarks.peers import project
from spikejoule.engine.dense import DenseEngine
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.learning import LearningSettings


class EventOnCpu(project.EventEngine):
    """The event engine, on the CPU of the GPU's machine."""

    surrogate = "arctangent"


class DenseFused(project.DenseEngine):
    """All steps of a layer in one kernel; an error where Triton cannot run it."""

    surrogate = "arctangent"
    device = "cuda"
    fused = True

    def make_engine(
        self, name: str, architecture: Architecture, state: State, settings: LearningSettings
    ) -> DenseEngine:
        return DenseEngine(architecture, state, settings, self.device, fused=self.fused)


class DenseSteps(DenseFused):
    """A loop over the steps, under autograd."""

    fused = False
