"""Which engine runs the network, and on what: keys of the section `train` of params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from spikejoule.core.parameters import WHOLE_LINE, Section


class EngineSettings(Section):
    """The engine, and what it may use.

    Attributes:
        engine: ``event``, ``dense``, or ``auto``: see :func:`spikejoule.engine.choose_engine`.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the cpu for the event engine, and
            for the dense one cuda where torch finds one.
        threads: CPU threads; 0 takes all cores. Results do not depend on it.
    """

    engine: Literal["auto", "event", "dense"] = "auto"
    device: str = Field(
        default="auto",
        pattern="^(auto|cpu|cuda(:[0-9]+)?)$",
        description="auto, cpu, cuda, cuda:N",
    )
    threads: int = Field(default=0, ge=0, le=1024)

    @model_validator(mode="after")
    def _engine_fits_device(self) -> Self:
        if self.engine == "event" and self.device.startswith("cuda"):
            raise PydanticCustomError(
                WHOLE_LINE,
                "train.engine: 'event' runs on the CPU alone, but train.device is '{device}'; "
                "allowed: engine auto or dense with this device, or device auto or cpu",
                {"device": self.device},
            )
        return self
