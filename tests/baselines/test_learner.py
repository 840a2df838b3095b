"""A step of a ReLU network against PyTorch's gradients in float64, and its bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spikejoule.baselines.learner import Learner
from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    Widths,
    in_integers,
    quantised_activations,
)
from spikejoule.baselines.settings import BaselineTraining, BaselineVariant
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.data.images import LabelledImages
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.pruning import PruningSettings
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.network.torch_twin import initial_state
from spikejoule.training.relu.layout import ReluLayout
from tests.tools.processes import start_python

SEED = 3
N_PIXELS = 50
# More units than the vectors of one block, more sources than units, and fewer.
DEEP = ConventionalNetwork.of_layers(N_PIXELS, (90, 20, 33), 7)
NO_BIAS = ConventionalNetwork.of_layers(N_PIXELS, (17,), 7, bias=False)
THRESHOLD = 100
FLOATS = BaselineVariant(DEEP)
INTEGERS = BaselineVariant(DEEP, bits=5, sum_bits=12)
SHIFTS = BaselineVariant(NO_BIAS, bits=6, pixel_threshold=THRESHOLD, shifts=True)
PRUNED = BaselineVariant(
    NO_BIAS, PruningSettings(pruned_fraction=0.6, prune_start=0.0, prune_end=0.01)
)
SETTINGS = BaselineTraining(
    batch_size=12, max_epochs=1, label_smoothing=0.1, weight_decay=0.0
)


def random_pixels(n_images: int) -> np.ndarray:
    generator = np.random.default_rng(SEED)
    pixels = generator.integers(0, 256, (n_images, N_PIXELS), dtype=np.uint8)
    pixels[generator.random(pixels.shape) < 0.6] = 0
    return pixels


PIXELS = random_pixels(30)
LABELS = np.random.default_rng(SEED).integers(0, 7, 30).astype(np.uint8)


def learner_of(variant: BaselineVariant) -> Learner:
    # Not calibrated on the first images: of those, some activation would be the largest
    # one, where a last digit decides whether the gradient passes.
    return Learner(variant, SETTINGS, SEED, PIXELS[12:])


def integer_network(variant: BaselineVariant) -> QuantisedNetwork:
    """The network that an untrained learner of this variant sees."""
    learner = learner_of(variant)
    # A rate of 0 chooses the units, and changes no weight.
    learner.learn(1, PIXELS[:12], LABELS[:12], [0.0])
    units = learner.units()
    return in_integers(
        learner.state(),
        units["weight_units"].tolist(),
        units["activation_units"].tolist(),
        Widths(variant.activation_bits, variant.bits, variant.sum_bits),
        variant.pixel_threshold,
    )


def images_beside_zero(variant: BaselineVariant) -> np.ndarray:
    """Those of the first images in which no unit's sum is exactly 0.

    PyTorch adds real numbers, in an order that depends on the processor, and so finds
    such a sum on either side of the ReLU's edge.
    """
    images = np.arange(12)
    if variant.bits == FLOAT_BITS:
        return images
    network = integer_network(variant)
    values = network.pixels(PIXELS[:12])
    is_beside_zero = np.ones(12, bool)
    for layer in network.layers[:-1]:
        sums = layer.sums(values, network.widths)
        is_beside_zero &= (sums != 0).all(axis=1)
        values = layer.activations(sums, network.widths)
    assert is_beside_zero.sum() > 6
    return images[is_beside_zero]


def straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """The rounded values, with the gradient of the exact ones."""
    return exact + (rounded - exact).detach()


def in_units(exact: Tensor, unit: float, lowest: float, highest: float) -> Tensor:
    whole = torch.clamp(torch.round(exact / unit), lowest, highest)
    return straight_through(exact, whole * unit)


def scores_of(
    variant: BaselineVariant,
    parameters: dict[str, Tensor],
    units: dict[str, np.ndarray],
    pixels: np.ndarray,
) -> Tensor:
    """Class scores in float64, as in training."""
    is_integer = variant.bits < 32
    values = torch.from_numpy(pixels / 255)
    source_unit = 1 / (2**variant.activation_bits - 1)
    if variant.pixel_threshold is not None:
        values = torch.from_numpy((pixels > variant.pixel_threshold).astype(np.float64))
        source_unit = 1.0
    elif is_integer:
        values = torch.round(values / source_unit) * source_unit
    half = 2.0 ** (variant.sum_bits - 1)
    top = 2.0 ** (variant.bits - 1) - 1
    layers = weights_and_biases(parameters)
    for number, (weight, bias) in enumerate(layers):
        if is_integer:
            unit = float(units["weight_units"][number])
            sum_unit = unit * source_unit
            weight = in_units(weight, unit, -top, top)
            if bias is not None:
                bias = in_units(bias, sum_unit, -half, half - 1)
        values = functional.linear(values, weight, bias)
        if is_integer:
            clamped = torch.clamp(values, -half * sum_unit, (half - 1) * sum_unit)
            values = straight_through(values, clamped)
        if number + 1 == len(layers):
            return values
        values = torch.relu(values)
        if is_integer:
            source_unit = float(units["activation_units"][number])
            highest = 2.0**variant.activation_bits - 1
            values = torch.clamp(values, 0, highest * source_unit)
            added = 0.25 * sum_unit / source_unit if variant.shifts else 0.0
            whole = torch.round(values / source_unit + added)
            values = straight_through(values, whole * source_unit)
    raise AssertionError


def tensors(state: State) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(values.astype(np.float64)).requires_grad_()
        for name, values in state.items()
    }


def loss_of(scores: Tensor, labels: np.ndarray) -> Tensor:
    return functional.cross_entropy(
        scores, torch.from_numpy(labels.astype(np.int64)), label_smoothing=0.1
    )


@pytest.mark.parametrize("variant", [FLOATS, INTEGERS, SHIFTS, PRUNED])
def test_gradients_are_those_of_torch_in_float64(variant: BaselineVariant) -> None:
    """Adam's first moment is a tenth of the gradient after the first step."""
    learner = learner_of(variant)
    parameters = tensors(learner.state())
    images = images_beside_zero(variant)
    pixels, labels = PIXELS[images], LABELS[images]
    learner.learn(1, pixels, labels, [0.0])
    if variant is PRUNED:
        parameters = tensors(learner.state())
        assert sum(int((v != 0).sum()) for v in parameters.values()) == round(
            0.4 * sum(v.numel() for v in parameters.values())
        )
    scores = scores_of(variant, parameters, learner.units(), pixels)
    np.testing.assert_allclose(
        learner.scores(pixels), scores.detach().numpy(), rtol=1e-4, atol=1e-5
    )
    loss_of(scores, labels).backward()
    layout = ReluLayout(variant.network.parameter_shapes())
    gradients = layout.state(learner.saved()["first"])
    for name, values in parameters.items():
        assert values.grad is not None
        expected = 0.1 * values.grad.numpy()
        assert np.abs(expected).max() > 1e-5
        np.testing.assert_allclose(
            gradients[name], expected, rtol=1e-3, atol=1e-8, err_msg=name
        )


def test_steps_are_those_of_adam_in_float64() -> None:
    """Two epochs of three batches, of which the last is smaller."""
    settings = SETTINGS.model_copy(update={"weight_decay": 1e-3})
    learner = Learner(FLOATS, settings, SEED, PIXELS[:20])
    parameters = tensors(learner.state())
    optimizer = torch.optim.Adam(parameters.values(), weight_decay=1e-3)
    rates = [0.01, 0.02, 0.005]
    for epoch in (1, 2):
        learner.learn(epoch, PIXELS, LABELS, rates)
        for number, rate in enumerate(rates):
            batch = slice(12 * number, 12 * (number + 1))
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            scores = scores_of(FLOATS, parameters, {}, PIXELS[batch])
            loss_of(scores, LABELS[batch]).backward()
            optimizer.step()
    for name, values in learner.state().items():
        expected = parameters[name].detach().numpy()
        np.testing.assert_allclose(values, expected, atol=2e-4, err_msg=name)


def test_a_family_takes_the_same_step() -> None:
    """From PyTorch's initial weights."""
    images = LabelledImages(PIXELS.reshape(30, 5, 10), LABELS, np.arange(30))
    settings = SETTINGS.model_copy(update={"batch_size": 30, "lr": 0.01})
    training = BaselinesTraining(images, images, [FLOATS], settings, SEED)
    (trained,) = train_baselines(training).baselines
    initial = initial_state(DEEP, SEED).items()
    parameters = tensors({name: values.numpy() for name, values in initial})
    loss_of(scores_of(FLOATS, parameters, {}, PIXELS), LABELS).backward()
    torch.optim.Adam(parameters.values(), lr=0.01).step()
    for name, values in trained.network.items():
        # A tiny gradient may lose its sign, which is all of Adam's first step.
        close = np.isclose(parameters[name].detach().numpy(), values, atol=1e-5)
        assert close.mean() > 0.99, name


@pytest.mark.parametrize("variant", [INTEGERS, SHIFTS])
def test_training_sees_the_integer_network(variant: BaselineVariant) -> None:
    learner = learner_of(variant)
    learner.learn(1, PIXELS[:12], LABELS[:12], [0.0])
    units = learner.units()
    network = integer_network(variant)
    scores = quantised_activations(network, PIXELS)[-1]
    unit = units["weight_units"][-1] * units["activation_units"][-1]
    assert np.array_equal(np.rint(learner.scores(PIXELS) / unit), scores)
    assert len(np.unique(scores)) > 20


NARROW_NUMPY = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3"
PROCESSORS = {
    "AVX2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma",
        "NPY_DISABLE_CPU_FEATURES": NARROW_NUMPY.removesuffix(" AVX2 FMA3"),
        "ATEN_CPU_CAPABILITY": "avx2",
    },
    "SSE, without fused multiply-add": {
        "NUMBA_CPU_NAME": "nehalem",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": NARROW_NUMPY,
        "ATEN_CPU_CAPABILITY": "default",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_file_has_the_same_bytes_on_any_processor(
    tmp_path: Path, processor: str
) -> None:
    files = []
    for environment in ({}, PROCESSORS[processor]):
        path = tmp_path / f"{len(files)}.npz"
        process = start_python(
            "-m", "tests.baselines.write_baseline", str(path), env=environment
        )
        assert process.wait(timeout=600) == 0
        files.append(path.read_bytes())
    assert files[0] == files[1]
