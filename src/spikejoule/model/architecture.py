"""The shape of a fully connected spiking network and the constants of its neurons."""

from dataclasses import dataclass

from spikejoule.foundation.errors import ParameterError

# The engines compute in float32, where a threshold below or above these is 0 or infinite: at 0 even
# the unused lanes of a vector would fire.
_SMALLEST_FLOAT32 = 1.1754943508222875e-38
_LARGEST_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True)
class Architecture:
    """Layer sizes and neuron constants of a fully connected spiking network.

    Attributes:
        n_input: number of inputs, I.
        hidden: number of neurons in each hidden layer, first to last.
        n_output: number of output neurons, O.
        threshold: membrane potential at or above which a neuron fires (dimensionless).
        decay: factor by which the membrane potential shrinks in one step of 1 ms, in [0, 1].

    Raises:
        ParameterError: a size below one, no hidden layer, or a constant out of range.
    """

    n_input: int
    hidden: tuple[int, ...]
    n_output: int
    threshold: float = 1.0
    decay: float = 0.9

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ParameterError("the network needs at least one hidden layer, none was given")
        for name, size in zip(self.layer_names, self.layer_sizes, strict=True):
            if not 1 <= size <= 65_535:
                raise ParameterError(f"layer {name} has {size} neurons; allowed are 1 to 65535")
        if not _SMALLEST_FLOAT32 <= self.threshold <= _LARGEST_FLOAT32:
            raise ParameterError(
                f"threshold is {self.threshold}; it must be above 0, from {_SMALLEST_FLOAT32:.2g} "
                f"to {_LARGEST_FLOAT32:.2g}"
            )
        if not 0 <= self.decay <= 1:
            raise ParameterError(f"decay is {self.decay}; it must lie in [0, 1]")

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of units in each layer: the input first, the output last."""
        return (self.n_input, *self.hidden, self.n_output)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """``input``, ``hidden`` (or ``hidden1``, ``hidden2``, ...), ``output``."""
        if len(self.hidden) == 1:
            return ("input", "hidden", "output")
        return ("input", *(f"hidden{k + 1}" for k in range(len(self.hidden))), "output")

    @property
    def fan_outs(self) -> tuple[int, ...]:
        """Synapses that one spike of layer l reaches: the size of layer l + 1 (input first)."""
        return self.layer_sizes[1:]

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each weight matrix, from the input side."""
        return tuple(
            source * target
            for source, target in zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True)
        )

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter; weights are [target, source] as in torch."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (source, target) in enumerate(
            zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True), start=1
        ):
            shapes[f"layer{layer}.synapses.weight"] = (target, source)
            shapes[f"layer{layer}.synapses.bias"] = (target,)
        return shapes
