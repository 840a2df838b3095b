"""All steps of a layer of leaky integrators in one kernel each way, written in Triton for GPUs.

The equations are those of :mod:`spikejoule.model.neurons.lif`, which states them for autograd; the
network runs these kernels in the place of its loop over the steps. A program has a block of
columns, each a neuron of a sample, and takes them through all steps with their state in registers.
No kernel knows a surrogate: its derivative is computed for all steps at once, by torch.

Triton comes with PyTorch's builds for CUDA. Without it, importing this module fails.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikejoule.model.neuron import LeakyIntegration

BLOCK = 128
"""Columns of a program: one for each of its threads. Not tuned on any GPU."""

ROUNDING = {"enable_fp_fusion": False}
"""A product is rounded before it is added to, as torch does it: potentials have the same bits."""


@triton.jit
def forward_kernel(
    current, spikes, potentials, threshold, decay, n_steps, n_columns,
    SUBTRACTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Spikes and potentials before the reset, [n_steps, n_columns] each, of the currents."""
    columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < n_columns
    # From memory: a learned constant never visits the host, and a Python number would be a float32.
    theta, kept = tl.load(threshold), tl.load(decay)
    membrane = tl.full((BLOCK,), 0, theta.dtype)
    # In 64 bits, since a large batch has more elements than 32 bits can count.
    at = tl.full((BLOCK,), 0, tl.int64) + columns
    for _ in range(n_steps):
        potential = kept * membrane + tl.load(current + at, mask=inside, other=0)
        above = potential - theta
        fires = above >= 0
        membrane = tl.where(fires, above if SUBTRACTS else 0.0, potential)
        tl.store(potentials + at, potential, mask=inside)
        tl.store(spikes + at, fires.to(theta.dtype), mask=inside)
        at += n_columns


@triton.jit
def backward_kernel(
    direct, spikes, by_potential, decay, n_steps, n_columns,
    SUBTRACTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dL/dv of every step, from the last to the first; `direct` is dL/ds times the surrogate."""
    columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < n_columns
    kept = tl.load(decay)
    later = tl.full((BLOCK,), 0, kept.dtype)
    at = tl.full((BLOCK,), n_steps - 1, tl.int64) * n_columns + columns
    for _ in range(n_steps):
        through = kept * later
        if not SUBTRACTS:
            through = tl.where(tl.load(spikes + at, mask=inside, other=0) == 0, through, 0.0)
        later = tl.load(direct + at, mask=inside, other=0) + through
        tl.store(by_potential + at, later, mask=inside)
        at -= n_columns


class _Integration(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        threshold: Tensor,
        decay: Tensor,
        subtracts: bool,
        derivative: Callable[[Tensor], Tensor],
    ) -> Tensor:
        current = current.contiguous()
        spikes, potentials = torch.empty_like(current), torch.empty_like(current)
        _launch(forward_kernel, (current, spikes, potentials, threshold, decay), subtracts)
        ctx.save_for_backward(spikes, potentials, threshold, decay)
        ctx.subtracts, ctx.derivative = subtracts, derivative
        return spikes

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_spike: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        spikes, potentials, threshold, decay = ctx.saved_tensors
        direct = (by_spike * ctx.derivative(potentials - threshold)).contiguous()
        by_potential = torch.empty_like(direct)
        _launch(backward_kernel, (direct, spikes, by_potential, decay), ctx.subtracts)
        by_threshold = by_decay = None
        if ctx.needs_input_grad[1]:
            by_threshold = -direct.sum().reshape(threshold.shape)
        if ctx.needs_input_grad[2]:
            before, fired = potentials[:-1], spikes[:-1]
            kept = before - threshold * fired if ctx.subtracts else before * (1 - fired)
            by_decay = (by_potential[1:] * kept).sum().reshape(decay.shape)
        return by_potential, by_threshold, by_decay, None, None


def _launch(kernel: Any, tensors: tuple[Tensor, ...], subtracts: bool) -> None:
    """Run a kernel on the columns of the first tensor [T, B, n], on the device that holds it."""
    n_steps, n_columns = tensors[0].shape[0], tensors[0][0].numel()
    with torch.cuda.device_of(tensors[0]):
        kernel[(triton.cdiv(n_columns, BLOCK),)](
            *tensors,
            n_steps,
            n_columns,
            SUBTRACTS=subtracts,
            BLOCK=BLOCK,
            **ROUNDING,
        )


def integrate_and_fire(
    current: Tensor, neuron: LeakyIntegration, derivative: Callable[[Tensor], Tensor]
) -> Tensor:
    """Spikes [T, B, n] of currents [T, B, n], through which autograd finds the gradients.

    Args:
        current: weighted input spikes and bias of every step, on a GPU, float32 or float64.
        neuron: threshold, decay and reset; gradients reach those that are tensors.
        derivative: the surrogate's, at x = v - threshold.
    """
    threshold, decay = (
        value if isinstance(value, Tensor) else current.new_full((1,), value)
        for value in (neuron.threshold, neuron.decay)
    )
    spikes: Tensor = _Integration.apply(current, threshold, decay, neuron.subtracts, derivative)
    return spikes
