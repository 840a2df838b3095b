"""The surrogate derivatives, a file each; `train.surrogate` chooses one."""

from spikejoule.core.sections import Kinds
from spikejoule.model.surrogate import Surrogate

SURROGATES: Kinds[Surrogate] = Kinds("surrogate", Surrogate, __name__)
