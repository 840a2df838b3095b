"""The modules of a model as the layers of the event engine, and their values.

A stage is neurons, the synapses before them, and the pooling before these. The values
are read from the modules before every pass, so they are those of the parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikejoule.accelerating.known_cells import KnownCells
from spikejoule.accelerating.parts import Part
from spikejoule.core.errors import ParameterError
from spikejoule.engine.differentiable.chain import (
    Convolution,
    Currents,
    Layer,
    Linear,
    Pooling,
    Shape,
)
from spikejoule.engine.differentiable.dynamics import Dynamics
from spikejoule.engine.differentiable.function import LayerValues
from spikejoule.pricing.modules.cells import Cell, Constant, refuse
from spikejoule.pricing.modules.layers import AVERAGES, DROPOUT, SUMS
from spikejoule.pricing.modules.neurons import class_names

ALLOWED: Final = (
    "Linear, Conv2d, AvgPool2d, Flatten, and neurons of snnTorch, SpikingJelly, Norse "
    "and Sinabs, or declared with neurons="
)
_DROPOUT: Final = {kind.__name__ for kind in DROPOUT}
READOUT: Final = Cell(Dynamics(None, "none"), keep=0.0, returns="potentials")
"""A last layer without neurons: its output in a step is what it receives."""


@dataclass(frozen=True)
class Stage:
    """A layer of the engine, as modules.

    Attributes:
        pooling: of the spikes of the stage before; None without.
        connection: Linear or Conv2d; None where the neurons have weights of their own,
            or receive the model's input.
        neurons: None for a last layer without.
        cell: the equations of the neurons.
    """

    pooling: Part | None = None
    connection: Part | None = None
    neurons: Part | None = None
    cell: Cell = READOUT

    @property
    def name(self) -> str:
        """Name of the module whose output leaves the stage."""
        last = self.neurons or self.connection
        assert last is not None
        return last.name


def stages_of(parts: Sequence[Part], cells: KnownCells) -> list[Stage]:
    """Group modules in their order.

    Raises:
        ParameterError: a module, or its place, is not allowed.
    """
    stages: list[Stage] = []
    stage = Stage()
    for part in parts:
        cell = cells.read(part.module)
        if cell is not None:
            stages.append(replace(stage, neurons=part, cell=cell))
            _check_receives(stages[-1], is_first=len(stages) == 1)
            stage = Stage()
        elif not is_passing(part.module):
            stage = _with_layer(stage, part)
    if stage.connection is not None:
        stages.append(stage)
    elif stage.pooling is not None:
        raise _misplaced(stage.pooling, "is the last module", "Linear or Conv2d after")
    for before in stages[:-1]:
        if before.cell.returns == "potentials":
            raise ParameterError(
                f"{_words(before.neurons)} passes its potentials on; allowed are "
                "neurons without spikes at the end only."
            )
    if not any(stage.neurons for stage in stages):
        raise ParameterError(
            f"the model has no known neurons; allowed are modules in a row: {ALLOWED}."
        )
    return stages


def check_hooks(model: nn.Module) -> None:
    """Refuse hooks, which the engine would not run.

    Raises:
        ParameterError: a module has one.
    """
    for name, module in model.named_modules():
        hooks: Any = module
        if (
            hooks._forward_pre_hooks
            or hooks._forward_hooks
            or hooks._backward_pre_hooks
            or hooks._backward_hooks
        ):
            raise ParameterError(
                f"{_words(Part(name, module))} has hooks, which would not run; allowed "
                "are hooks of the accelerated model."
            )


def is_passing(module: nn.Module) -> bool:
    """Whether a module changes no number in evaluation mode."""
    return isinstance(module, nn.Flatten | nn.Identity) or is_dropout(module)


def is_dropout(module: nn.Module) -> bool:
    """Whether a module is dropout, of PyTorch or SpikingJelly."""
    return not class_names(module).isdisjoint(_DROPOUT)


def _with_layer(stage: Stage, part: Part) -> Stage:
    """Add a layer or pooling to a stage that has no neurons yet."""
    before = stage.connection or stage.pooling
    if isinstance(part.module, nn.Linear | nn.Conv2d):
        _check_own(part)
        if stage.connection is not None:
            raise _misplaced(part, f"follows {_words(before)}", "neurons")
        return replace(stage, connection=part)
    if isinstance(part.module, (*AVERAGES, *SUMS)):
        if before is not None:
            raise _misplaced(part, f"follows {_words(before)}", "neurons")
        pooling_of(part)
        return replace(stage, pooling=part)
    raise ParameterError(f"{_words(part)} is not known; allowed are {ALLOWED}.")


def _words(part: Part | None) -> str:
    assert part is not None
    kind = type(part.module).__name__
    return f"{part.name} ({kind})" if part.name else kind


def _misplaced(part: Part, where: str, needed: str) -> ParameterError:
    return ParameterError(f"{_words(part)} {where}; needed between them: {needed}.")


def _check_receives(stage: Stage, is_first: bool) -> None:
    """Refuse neurons that receive spikes without weights, or through two matrices."""
    has_own = stage.cell.input_weight is not None
    if has_own and stage.connection is not None:
        raise ParameterError(
            f"{_words(stage.neurons)} has weights of its own and follows "
            f"{_words(stage.connection)}; allowed are neurons between them."
        )
    receives_input = is_first and stage.pooling is None
    if not has_own and stage.connection is None and not receives_input:
        raise ParameterError(
            f"{_words(stage.neurons)} receives spikes without weights; allowed are "
            "neurons after Linear or Conv2d."
        )


def _check_own(part: Part) -> None:
    """Refuse layers that compute anything but what PyTorch's own do.

    Raises:
        ParameterError: see above.
    """
    module: Any = part.module
    own = type(module).forward.__module__.partition(".")[0]
    if own not in ("torch", "spikingjelly"):
        raise ParameterError(
            f"{_words(part)} has a forward pass of its own; allowed is PyTorch's own "
            "layer, with parametrizations."
        )
    if isinstance(module, nn.Conv2d):
        if module.padding_mode != "zeros":
            raise refuse(module, f"padding_mode={module.padding_mode!r}", "'zeros'")
        if module.dilation != (1, 1):
            raise refuse(module, f"dilation={module.dilation}", "1")


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def pooling_of(part: Part) -> Pooling:
    """Return pooling as the engine's.

    Raises:
        ParameterError: its windows overlap, are padded, or not square.
    """
    module: Any = part.module
    height, width = kernel = _pair(module.kernel_size)
    is_average = isinstance(module, nn.AvgPool2d)
    is_plain = (
        height == width
        and _pair(module.stride or module.kernel_size) == kernel
        and _pair(getattr(module, "padding", 0)) == (0, 0)
        and not module.ceil_mode
        and getattr(module, "divisor_override", None) is None
        and (is_average or module.norm_type == 1)
        and isinstance(module, nn.AvgPool2d | nn.LPPool2d)
    )
    if not is_plain:
        allowed = "AvgPool2d(n), or LPPool2d(1, n): square windows side by side"
        raise refuse(module, "other windows", allowed)
    return Pooling(height, is_average)


def _convolution(module: nn.Conv2d) -> Convolution:
    """Return a convolution as the engine's; ParameterError for an uneven padding."""
    kernel = _pair(module.kernel_size)
    padding: Any = module.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        if not all(size % 2 for size in kernel):
            raise refuse(module, "padding='same' of an even kernel", "an odd kernel")
        padding = tuple(size // 2 for size in kernel)
    stride = _pair(module.stride)
    return Convolution(
        module.out_channels, kernel, stride, _pair(padding), module.groups
    )


def layer_of(stage: Stage, in_shape: Shape) -> Layer:
    """Return a stage as a layer of the engine; `in_shape` is that of its input.

    Raises:
        ParameterError: the input does not fit.
    """
    pooling = None if stage.pooling is None else pooling_of(stage.pooling)
    source = in_shape if pooling is None else pooling.out_shape(in_shape)
    connection: Linear | Convolution | Currents = Currents()
    if stage.connection is not None:
        module: Any = stage.connection.module
        if isinstance(module, nn.Conv2d):
            connection = _convolution(module)
            if len(source) != 3 or source[0] != module.in_channels:
                needed = f"({module.in_channels}, height, width)"
                raise _unfit(stage.connection, source, needed)
        else:
            connection = Linear(module.out_features)
            _check_width(stage.connection, source, module.in_features)
    elif stage.cell.input_weight is not None:
        assert stage.neurons is not None
        connection = Linear(len(stage.cell.input_weight))
        _check_width(stage.neurons, source, stage.cell.input_weight.shape[1])
    recurrent = stage.cell.recurrent is not None
    return Layer(connection, stage.cell.dynamics, pooling, recurrent)


def _check_width(part: Part, source: Shape, width: int) -> None:
    if torch.Size(source).numel() != width:
        raise _unfit(part, source, f"{width} units")


def _unfit(part: Part, source: Shape, needed: str) -> ParameterError:
    return ParameterError(
        f"{_words(part)} receives units of the shape {source}; needed: {needed}."
    )


def values_of(stage: Stage, shape: Shape, dtype: torch.dtype) -> LayerValues:
    """Return the values of a stage, as functions of the model's parameters.

    Args:
        stage: the modules.
        shape: of its units.
        dtype: of all tensors.
    """

    def constant(value: Constant) -> Constant:
        if not isinstance(value, Tensor):
            return value
        value = value.to(dtype)
        # One number, or one for each unit.
        return value.reshape(()) if value.numel() == 1 else value.expand(shape)

    cell = stage.cell
    weight, bias = weights_of(stage)
    if cell.recurrent_bias is not None:
        bias = cell.recurrent_bias if bias is None else bias + cell.recurrent_bias
    recurrent = cell.recurrent
    if recurrent is not None and recurrent.ndim < 2:
        recurrent = torch.diag(recurrent.expand(torch.Size(shape).numel()))
    return LayerValues(
        weight,
        bias,
        recurrent,
        constant(cell.keep),
        constant(cell.gain),
        constant(cell.threshold),
    )


def weights_of(stage: Stage) -> tuple[Tensor | None, Tensor | None]:
    """Return the input weights and bias of a stage."""
    if stage.connection is None:
        return stage.cell.input_weight, stage.cell.input_bias
    module: Any = stage.connection.module
    return module.weight, module.bias


def products_of(stage: Stage, x: Tensor) -> Tensor:
    """Return what the neurons of a first stage receive, [T, B, *shape].

    Args:
        stage: the first one.
        x: real numbers, [T, B, *in_shape].
    """
    # Samples that are the same in every step have a stride of 0.
    is_constant = x.stride(0) == 0
    given = x[:1] if is_constant else x
    steps = given.flatten(0, 1)
    if stage.pooling is not None:
        steps = plain_call(stage.pooling.module, nn.AvgPool2d, nn.LPPool2d)(steps)
    weight, bias = weights_of(stage)
    if stage.connection is not None and isinstance(stage.connection.module, nn.Conv2d):
        steps = nn.Conv2d.forward(stage.connection.module, steps)
    elif weight is not None:
        steps = nn.functional.linear(steps.flatten(1), weight, bias)
    if stage.cell.recurrent_bias is not None:
        steps = steps + stage.cell.recurrent_bias
    received = steps.reshape(*given.shape[:2], *steps.shape[1:])
    return received.expand(len(x), *received.shape[1:])


def plain_call(module: Any, *kinds: type[nn.Module]) -> Callable[[Tensor], Tensor]:
    """Return the forward pass of PyTorch's own class, for any number of steps."""
    kind: Any = next(kind for kind in kinds if isinstance(module, kind))
    return lambda x: kind.forward(module, x)
