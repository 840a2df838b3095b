"""Both passes of a chain as a function that PyTorch differentiates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikejoule.encoding.events import EventList
from spikejoule.engine.differentiable.chain import Chain

Value = Tensor | float
"""A constant of neurons: one number, or one for each unit, with the layer's shape."""


@dataclass(frozen=True)
class LayerValues:
    """Weights and constants of one layer; each tensor may require a gradient.

    Attributes:
        weight: [units, sources], or that of a `Conv2d`; None for `Currents`.
        bias: [units] or [channels]; None without.
        recurrent: [units, units], for a recurrent layer.
        keep: fraction of the potential left after a step.
        gain: factor on the input; not 0.
        threshold: above 0; ignored for neurons that never fire.
    """

    weight: Tensor | None
    bias: Tensor | None = None
    recurrent: Tensor | None = None
    keep: Value = 1.0
    gain: Value = 1.0
    threshold: Value = 1.0


@dataclass(frozen=True)
class ChainOutputs:
    """What a pass returns.

    Attributes:
        spikes: of the last layer, 0 or 1, [T, B, *shape]; None unless recorded.
        potentials: the same for its potentials.
        counts: spikes of the input and of every layer, over all steps and samples.
    """

    spikes: Tensor | None
    potentials: Tensor | None
    counts: tuple[int, ...]


class EventFunction:
    """Runs a chain on spikes, and differentiates it, with the event engine's kernels.

    It holds no parameters, only memory that its passes share; one instance serves one
    thread.

    Args:
        chain: the layers.
        dtype: `torch.float32` or `torch.float64`, of all tensors.
    """

    def __init__(self, chain: Chain, dtype: torch.dtype = torch.float32) -> None:
        self.chain = chain
        self.dtype = dtype

    def __call__(
        self, inputs: Tensor | EventList, layers: Sequence[LayerValues]
    ) -> ChainOutputs:
        """Run all steps of a batch.

        With gradients enabled, what the backward pass needs is kept until the outputs
        are released.

        Args:
            inputs: spikes, zeros and ones [T, B, *in_shape], whose dtype is
                that of the function, `torch.bool` or `torch.uint8`; or their events. If
                the first layer has `Currents`, the currents [T, B, *in_shape], which
                may require a gradient.
            layers: values of each layer.

        Raises:
            ArtifactError: spikes other than 0 and 1, or a tensor with the wrong shape
                or type.
        """
        raise NotImplementedError
