"""The codes by which images become spikes, a file each; `encode.code` chooses one."""

from spikejoule.core.sections import Kinds
from spikejoule.encoding.encoder import Encoder

ENCODERS: Kinds[Encoder] = Kinds("code", Encoder, __name__)
