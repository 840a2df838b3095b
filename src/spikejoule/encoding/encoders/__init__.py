"""The encodings, one file each; `encode.encoding` chooses one."""

from spikejoule.core.parameters import Kinds
from spikejoule.encoding.encoder import Encoder

ENCODERS: Kinds[Encoder] = Kinds("encoding", Encoder, __name__)
