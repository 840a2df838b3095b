"""The surrogate derivatives, a file each; `train.surrogate` chooses one."""

from spikejoule.core.parameters import Kinds
from spikejoule.model.surrogate import Surrogate

SURROGATES: Kinds[Surrogate] = Kinds("surrogate", Surrogate, __name__)
