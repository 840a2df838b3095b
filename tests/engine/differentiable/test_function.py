"""The event function against plain loops in PyTorch, and what it refuses."""

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.engine.differentiable.chain import (
    Chain,
    Convolution,
    Currents,
    Layer,
    Linear,
    Pooling,
)
from spikejoule.engine.differentiable.dynamics import (
    Dynamics,
    Reset,
    Shape,
    SurrogateShape,
)
from spikejoule.engine.differentiable.function import EventFunction, LayerValues
from tests.engine.differentiable import plain_loop


@st.composite
def surrogates(draw):
    slope = draw(st.sampled_from([0.5, 1.0, 3.0]))
    height = draw(st.sampled_from([-0.5, 1.0, 2.0]))
    return SurrogateShape(draw(st.sampled_from(get_args(Shape))), height, slope, 0.25)


@st.composite
def dynamics(draw):
    return Dynamics(
        draw(surrogates()),
        draw(st.sampled_from(get_args(Reset))),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([0.0, 0.0, 0.6])),
    )


@st.composite
def chains(draw):
    """Draw one to three layers, behind a flat input, a plane, or currents."""
    kind = draw(st.sampled_from(["flat", "flat", "plane", "plane", "currents"]))
    in_shape = (2, 7, 6) if kind == "plane" else (draw(st.sampled_from([5, 16, 39])),)
    layers = []
    if kind == "currents":
        layers.append(Layer(Currents(), draw(dynamics())))
    if kind == "plane":
        pooling = draw(st.sampled_from([None, Pooling(2), Pooling(2, average=False)]))
        convolution = Convolution(
            draw(st.sampled_from([4, 18])),
            draw(st.sampled_from([(3, 3), (2, 1)])),
            draw(st.sampled_from([(1, 1), (2, 1)])),
            draw(st.sampled_from([(0, 0), (1, 1)])),
            draw(st.sampled_from([1, 2])),
        )
        layers.append(Layer(convolution, draw(dynamics()), pooling))
        if draw(st.booleans()):
            layers.append(Layer(Convolution(6, (2, 2)), draw(dynamics())))
    for number in range(draw(st.integers(0 if layers else 1, 2))):
        pooling = Pooling(2) if number == 0 and kind == "plane" else None
        if pooling and min(Chain(in_shape, tuple(layers)).shapes[-1][1:]) < 2:
            pooling = None
        n_units = draw(st.sampled_from([3, 16, 47]))
        recurrent = draw(st.booleans())
        layers.append(Layer(Linear(n_units), draw(dynamics()), pooling, recurrent))
    recorded = ["before_reset", "after_reset", None]
    if draw(st.booleans()):
        # Neurons that never fire have only potentials to learn from.
        layers.append(Layer(Linear(4), Dynamics(None, "none")))
        recorded.pop()
    potentials = draw(st.sampled_from(recorded))
    records_spikes = potentials is None or draw(st.booleans())
    return Chain(in_shape, tuple(layers), records_spikes, potentials)


def drawn_values(chain: Chain, dtype: torch.dtype, seed: int) -> list[LayerValues]:
    """Return random values, each tensor of which requires a gradient."""
    random = torch.Generator().manual_seed(seed)

    def tensor(shape, low, high):
        uniform = torch.rand(shape, generator=random, dtype=torch.float64)
        return (low + (high - low) * uniform).to(dtype).requires_grad_()

    function = EventFunction(chain, dtype)
    values = []
    for layer, allowed in zip(chain.layers, function.shapes, strict=True):
        weight = allowed["weight"][0]
        bias = allowed["bias"][-1]
        recurrent = allowed["recurrent"][0]
        size = 0 if weight is None else int(np.prod(weight[1:]))
        bound = 3 / max(size, 1) ** 0.5
        of_unit = allowed["keep"][-1] if layer.recurrent else ()
        values.append(
            LayerValues(
                None if weight is None else tensor(weight, -bound / 2, bound),
                None if bias is None else tensor(bias, -0.2, 0.4),
                None if recurrent is None else tensor(recurrent, -0.3, 0.3),
                tensor(of_unit, 0.4, 0.95),
                tensor(of_unit, 0.5, 1.2),
                tensor(of_unit, 0.4, 0.9),
            )
        )
    return values


def drawn_input(chain: Chain, dtype: torch.dtype, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed + 1)
    n_steps, n_samples = 1 + seed % 12, 1 + seed % 11
    shape = (n_steps, n_samples, *chain.in_shape)
    uniform = torch.rand(shape, generator=random, dtype=torch.float64)
    if chain.takes_currents:
        return (2 * uniform - 0.5).to(dtype).requires_grad_()
    return (uniform < 0.3).to(dtype)


def tensors_of(values: list[LayerValues], inputs: Tensor) -> list[Tensor]:
    flat = [getattr(layer, field.name) for layer in values for field in fields(layer)]
    return [
        tensor
        for tensor in (inputs, *flat)
        if tensor is not None and tensor.requires_grad
    ]


def gradients(outputs: list[Tensor], wanted: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a random projection of the outputs."""
    random = torch.Generator().manual_seed(0)
    loss = sum(
        (output * torch.randn(output.shape, generator=random).to(output.dtype)).sum()
        for output in outputs
    )
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return [
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(wanted, found, strict=True)
    ]


def compare(chain: Chain, dtype: torch.dtype, seed: int, tolerance: float) -> None:
    """Compare outputs, counts and all gradients with those of a plain loop."""
    values = drawn_values(chain, dtype, seed)
    inputs = drawn_input(chain, dtype, seed)
    outputs = EventFunction(chain, dtype)(inputs, values)
    spikes, potentials, counts = plain_loop.run(chain, inputs, values)
    # The records of the loop that the chain records, too.
    expected, found = [], []
    if chain.records_spikes:
        expected.append(spikes)
        found.append(outputs.spikes)
    if chain.potentials is not None:
        expected.append(potentials)
        found.append(outputs.potentials)
    assert list(outputs.counts) == counts
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance)
    wanted = tensors_of(values, inputs)
    for one, other in zip(
        gradients(expected, wanted), gradients(found, wanted), strict=True
    ):
        scale = max(1.0, one.abs().max().item())
        torch.testing.assert_close(other / scale, one / scale, rtol=0, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(chain=chains(), seed=st.integers(0, 1000))
def test_any_chain_agrees_with_a_plain_loop(chain, seed):
    compare(chain, torch.float64, seed, 1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_float32_agrees_with_a_plain_loop(seed):
    kinds = [
        Dynamics(SurrogateShape("arctangent", 1.0, 3.14), "subtract_next"),
        Dynamics(SurrogateShape("sigmoid", 4.0, 4.0), "zero", detach_reset=False),
    ]
    convolution = Layer(Convolution(5, (3, 3), (2, 2)), kinds[seed % 2])
    hidden = Layer(Linear(20), kinds[1 - seed % 2], recurrent=True)
    readout = Layer(Linear(3), kinds[seed % 2])
    chain = Chain((2, 9, 9), (convolution, hidden, readout), True, "before_reset")
    compare(chain, torch.float32, seed, 1e-5)


def leaky(reset: Reset = "subtract") -> Dynamics:
    return Dynamics(SurrogateShape("arctangent"), reset)


SMALL = Chain((20,), (Layer(Linear(40), leaky()), Layer(Linear(3), leaky("zero"))))


def small_case() -> tuple[list[LayerValues], Tensor]:
    return drawn_values(SMALL, torch.float32, 8), drawn_input(SMALL, torch.float32, 8)


def test_all_kinds_of_spikes_give_the_same_output():
    values, spikes = small_case()
    function = EventFunction(SMALL)
    dense = function(spikes, values)
    events = EventList.from_dense(spikes.transpose(0, 1).numpy())
    for inputs in (events, spikes.bool(), spikes.to(torch.uint8), spikes.double()):
        outputs = function(inputs, values)
        assert torch.equal(outputs.spikes, dense.spikes)
        assert outputs.counts == dense.counts
        one = gradients([dense.spikes], tensors_of(values, spikes))
        other = gradients([outputs.spikes], tensors_of(values, spikes))
        assert all(map(torch.equal, one, other))
        dense = function(spikes, values)


def test_passes_may_overlap_and_repeat():
    """A pass keeps its own spikes and weights until its output is released."""
    values, spikes = small_case()
    function = EventFunction(SMALL)
    wanted = tensors_of(values, spikes)
    first = function(spikes, values)
    loss = first.spikes.square().sum()
    expected = torch.autograd.grad(loss, wanted, retain_graph=True)
    second = function(1 - spikes, values)
    second.spikes.sum().backward()
    assert all(map(torch.equal, torch.autograd.grad(loss, wanted), expected))


def test_without_gradients_spikes_keep_nothing():
    values, spikes = small_case()
    function = EventFunction(SMALL)
    with torch.no_grad():
        recorded = function(spikes, values).spikes
    assert not recorded.requires_grad
    assert len(function._passes._free) == 1


def test_module_weights_that_are_not_contiguous():
    values, spikes = small_case()
    transposed = values[0].weight.detach().T.contiguous().T.requires_grad_()
    assert not transposed.is_contiguous()
    function = EventFunction(SMALL)
    one = function(spikes, values)
    other = function(spikes, [replace(values[0], weight=transposed), values[1]])
    (expected,) = gradients([one.spikes], [values[0].weight])
    assert torch.equal(gradients([other.spikes], [transposed])[0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values, spikes: (values, 0.5 * spikes), "must be 0 or 1"),
        (
            lambda values, spikes: (values, spikes[..., :5]),
            r"\(steps, samples, 20",
        ),
        (lambda values, spikes: (values, spikes.long()), "torch.int64"),
        (
            lambda values, spikes: (values, spikes.requires_grad_()),
            "require a gradient",
        ),
        (
            lambda values, spikes: (
                [replace(values[0], weight=values[1].weight), values[1]],
                spikes,
            ),
            r"layer 1: weight has the shape \(3, 40\)",
        ),
        (
            lambda values, spikes: (
                [replace(values[0], keep=torch.tensor(0.9).double()), values[1]],
                spikes,
            ),
            "layer 1: keep is torch.float64",
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    values, spikes = change(*small_case())
    with pytest.raises(ArtifactError, match=message):
        EventFunction(SMALL)(spikes, values)


def test_recurrence_of_a_plane_is_refused():
    layer = Layer(Convolution(2, (2, 2)), leaky(), recurrent=True)
    with pytest.raises(ArtifactError, match="must be flat"):
        EventFunction(Chain((1, 4, 4), (layer,)))
