"""The ledger of training against training steps that count themselves."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.counts.training import TrainingRecord
from spikejoule.encoding.events import EventList
from spikejoule.energy.dataflow import DENSE, TRAINING_RANGE, Dataflow
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.training.counting import count_training
from spikejoule.engine.learning import make_trainer
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import with_grids
from spikejoule.network.layers import (
    PoolingLayer,
    layers_of,
)
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.energy.by_hand import conventional_training
from tests.energy.training_witness import (
    RELU_VARIANTS,
    VARIANTS,
    WORD,
    Counts,
    Grid,
    Machine,
    ReluTraining,
    Setting,
    Trained,
)
from tests.engine.agreement import READOUTS, Case
from tests.tools.networks import chains, firing_state, populations_of
from tests.tools.without_torch import needs_torch

CLASSES = 3
RATE = 0.02
DATAFLOWS = (*TRAINING_RANGE, DENSE)


def in_dataflow(setting: Setting, dataflow: Dataflow) -> Setting:
    """The setting of a witness that follows a dataflow."""
    return replace(
        setting,
        gradients=dataflow.gradients,
        own_biases=dataflow.biases == "own",
    )


@st.composite
def trainings(draw: st.DrawFn) -> tuple[Setting, list[Any], int]:
    """A network and how it is trained, the layers as loops take them, and a seed."""
    shape, layers = draw(chains(largest=4, channels=(2,)))
    is_quantised = draw(st.sampled_from([False, False, True]))
    averages = any(isinstance(one, PoolingLayer) and one.average for one in layers)
    is_quantised = is_quantised and not averages
    learned = "none"
    if not is_quantised:
        learned = draw(st.sampled_from(["none", "decay", "threshold", "both"]))
    decays = [0.8] if learned in ("decay", "both") else [0.8, 1.0]
    neuron = LeakyIntegrateAndFire(
        decay=draw(st.sampled_from(decays)),
        threshold=0.5,
        reset=draw(st.sampled_from(["zero", "subtract"])),
        bias=draw(st.sampled_from([True, False, "initial"])),
        learned=learned,
    )
    quantisation = Quantisation(4, 16) if is_quantised else None
    network = Network.of_chain(shape, layers, CLASSES, neuron, quantisation)
    network = network.with_readout(draw(READOUTS))
    products = None
    if not is_quantised:
        products = draw(st.sampled_from([None, None, "once", "every_step"]))
    learning = LearningSettings(
        surrogate=draw(st.sampled_from(sorted(SURROGATES))),
        logit_scale=0.3,
        label_smoothing=0.1,
        weight_decay=draw(st.sampled_from([0.0, 0.01])),
        grad_clip_norm=draw(st.sampled_from([0.0, 0.01])),
    )
    # Two batches in an epoch of three samples, or in two epochs.
    set_size = draw(st.sampled_from([2, 3]))
    n_steps = draw(st.integers(1, 4))
    setting = Setting(network, learning, RATE, 2, n_steps, set_size, products)
    if draw(st.booleans()):
        masks = masks_of(network)
        setting = replace(setting, masks=masks)
    return setting, populations_of(shape, layers, CLASSES), draw(st.integers(0, 10**6))


def masks_of(network: Network) -> dict[str, Any]:
    """Remove two fifths of all synapses."""
    generator = np.random.default_rng(5)
    shapes = network.parameter_shapes()
    return {name: generator.random(shapes[name]) < 0.6 for name in network.weight_names}


def state_of(setting: Setting, seed: int) -> tuple[Setting, dict[str, Any]]:
    """Weights with which layers fire, without removed ones, and grids for them."""
    network = setting.network
    state = {name: 0.15 + of for name, of in firing_state(network, seed).items()}
    for name, mask in (setting.masks or {}).items():
        state[name] = state[name] * mask
    if network.quantisation is not None:
        setting = replace(setting, network=with_grids(network, state))
    return setting, state


def batches_of(setting: Setting, seed: int) -> list[tuple[list[Any], list[int]]]:
    """A full batch and a smaller one."""
    generator = np.random.default_rng(seed)
    n_inputs = setting.network.n_input
    batches = []
    for size in (2, 1):
        shape = (size, setting.n_steps, n_inputs)
        samples = (generator.random(shape) < 0.5).astype(int)
        if setting.products is not None:
            samples = generator.random((size, n_inputs)).round(1)
            samples[samples < 0.4] = 0
        batches.append(
            (samples.tolist(), generator.integers(0, CLASSES, size).tolist())
        )
    return batches


def by_loops(
    setting: Setting, state: dict[str, Any], populations: list[Any], batch: Any
) -> naive.Batch:
    """The same batch in the loops of `naive`; `state` is not rounded."""
    samples, labels = batch
    if setting.products is not None:
        samples = [[sample] * setting.n_steps for sample in samples]
    case = Case(
        setting.network,
        state,
        np.array(samples),
        np.array(labels),
        setting.learning,
        setting.masks,
    )
    return case.by_loops(populations)


@settings(max_examples=40, deadline=None)
@given(trainings())
def test_the_ledger_counts_what_the_witness_counts(drawn: Any) -> None:
    assert_counts_of(drawn)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(trainings())
def test_the_ledger_counts_it_in_200_networks(drawn: Any) -> None:
    assert_counts_of(drawn)


def assert_counts_of(drawn: tuple[Setting, list[Any], int]) -> None:
    """Gradients are those of the loops, counts and sizes of memories the ledger's."""
    setting, populations, seed = drawn
    setting, state = state_of(setting, seed)
    batches = batches_of(setting, seed)
    for dataflow in DATAFLOWS:
        kind = VARIANTS["event" if dataflow.skips_zeros else "dense"]
        training = kind(in_dataflow(setting, dataflow), state)
        loops = []
        counts = []
        touched = []
        for batch in batches:
            training.touched.clear()
            expected = by_loops(setting, training.learned_state(), populations, batch)
            loops.append(expected)
            gradients = training.train_batch(*batch)
            assert_gradients(setting, gradients, expected.gradients)
            counts.append(expected_counts(training))
            names = setting.network.connection_names
            touched.append([training.touched[name] for name in names])
        if setting.set_size == 2:
            by_epoch = [counts[0], counts[1] - counts[0]]
        else:
            by_epoch = counts[1:]
        record = record_of(setting, batches, loops, populations, touched)
        assert_counts(count_training(record, dataflow), by_epoch, training.machine)


def assert_gradients(
    setting: Setting, found: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Equal, up to rounding, where a synapse is left."""
    assert found.keys() == expected.keys()
    scale = max(np.abs(values).max() for values in expected.values())
    for name, values in expected.items():
        kept = (setting.masks or {}).get(name, True)
        np.testing.assert_allclose(
            found[name] * kept,
            values * kept,
            rtol=1e-9,
            atol=1e-12 * scale + 1e-14,
            err_msg=name,
        )


def assert_counts(
    counted: OperationCounts, by_epoch: list[Counts], machine: Machine
) -> None:
    """Every count of every epoch and every memory's size is that of the witness."""
    keys = [(column.phase, column.term, column.place) for column in counted.columns]
    assert len(set(keys)) == len(keys)
    for counts, expected in zip(counted.counts.tolist(), by_epoch, strict=True):
        ledger = Counter(dict(zip(keys, counts, strict=True)))
        assert ledger == expected
    for key, column in zip(keys, counted.columns, strict=True):
        if by_epoch[0][key]:
            size = (column.bits, column.memory_bits, column.parameters_bits)
            assert machine.sizes.get(key, (WORD, 0, 0)) == size, key


def record_of(
    setting: Setting,
    batches: list[Any],
    loops: list[Any],
    populations: list[Any],
    touched: list[list[int]],
) -> TrainingRecord:
    """What a training records, with the spikes and events of the loops of `naive`.

    `touched` are the synapses that each batch touches in each connection.
    """
    network = setting.network
    first_batches = [0] if setting.set_size == 3 else [0, 1]

    def by_epoch(values: list[Any]) -> NDArray[Any]:
        return np.add.reduceat(np.array(values), first_batches)

    spikes = by_epoch([batch.totals for batch in loops])
    events = by_epoch([batch.events for batch in loops])
    macs = None
    if setting.products is not None:
        macs = by_epoch([macs_of(setting, batch, populations) for batch, _ in batches])
        spikes[:, 0] = events[:, 0] = 0
    layers = LayerCounts(
        spikes=spikes,
        events=events,
        macs=macs,
        products=setting.products,
        samples=by_epoch([len(labels) for _, labels in batches]),
    )
    return TrainingRecord(
        activity=activity_of_layers(network, setting.n_steps, layers),
        touched=by_epoch(touched),
        n_epochs=len(first_batches),
        weight_decay=bool(setting.learning.weight_decay),
        clipping=bool(setting.learning.grad_clip_norm),
        pruned=setting.masks is not None,
        batch_size=setting.batch_size,
        surrogate=setting.learning.surrogate,
        gradients_reached=by_epoch(
            [
                naive.gradients_reached(network, samples, loop.spikes)
                for (samples, _), loop in zip(batches, loops, strict=True)
            ]
        ),
    )


def macs_of(setting: Setting, samples: Any, populations: list[Any]) -> int:
    """Products of the constant currents of samples with the first weights."""
    fan_out = np.zeros(setting.network.n_input, np.int64)
    mask = (setting.masks or {}).get("layer1.synapses.weight")
    for source, _, place, _ in populations[0].synapses:
        fan_out[source] += mask is None or mask.flat[place]
    nonzero = (np.array(samples) != 0).sum(axis=0)
    repeats = setting.n_steps if setting.products == "every_step" else 1
    return int(nonzero @ fan_out) * repeats


def expected_counts(training: Trained) -> Counts:
    """The counts of a witness, except what a training does not record.

    The recorded events of a pruned integer network are those of the forward pass, where
    a weight that is rounded to zero is no synapse, though it still learns.
    """
    counts = training.machine.counts.copy()
    for place, additions in training.without_event.items():
        counts["backward", "gradient_accumulation", place] -= additions
        counts["backward", "delta_read", place] -= additions
        counts["backward", "address_event", place] -= additions
        untouched = training.untouched[place]
        counts["backward", "gradient_access", place] -= 2 * untouched
    return counts


@needs_torch
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_witness_takes_the_steps_of_adam(variant: str) -> None:
    """Parameters are those of `torch.optim.Adam`, with clipping and weight decay."""
    import torch

    network = Network.of_layers(4, (3,), CLASSES, LeakyIntegrateAndFire(learned="both"))
    learning = LearningSettings(weight_decay=0.01, grad_clip_norm=0.01)
    setting, state = state_of(Setting(network, learning, RATE, 2, 4, 3), 1)
    parameters = {
        name: torch.nn.Parameter(torch.from_numpy(values))
        for name, values in state.items()
    }
    adam = torch.optim.Adam(parameters.values(), RATE, weight_decay=0.01)
    training = VARIANTS[variant](setting, state)
    for batch in batches_of(setting, 1):
        for name, gradient in training.train_batch(*batch).items():
            parameters[name].grad = torch.from_numpy(gradient)
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 0.01)
        assert norm > 0.01
        adam.step()
        for name, values in training.learned_state().items():
            expected = parameters[name].detach().numpy()
            np.testing.assert_allclose(values, expected, rtol=1e-12, err_msg=name)


@needs_torch
@pytest.mark.parametrize(
    ("shape", "words"),
    [((5,), ["4", "3"]), ((5,), ["4r"]), ((2, 4, 4), ["2c2", "2sum", "3"])],
)
def test_dense_products_are_those_of_the_engine(
    shape: tuple[int, ...], words: list[str]
) -> None:
    """PyTorch counts the floating-point operations of the dense engine itself."""
    from torch.utils.flop_counter import FlopCounterMode

    network = Network.of_chain(shape, layers_of(words), CLASSES)
    learning = LearningSettings()
    setting, state = state_of(Setting(network, learning, RATE, 2, 4, 3), 1)
    training = VARIANTS["dense"](setting, state)
    samples, labels = batches_of(setting, 1)[0]
    training.train_batch(samples, labels)
    engine = make_trainer("dense", network, state, learning, np.float64)
    with FlopCounterMode(display=False) as flops:
        engine.gradients(EventList.from_dense(np.array(samples)), np.array(labels))
    assert 2 * products_of(training) == flops.get_total_flops()


def products_of(training: Trained) -> int:
    """Multiply-accumulates of both passes."""
    terms = ("mac", "gradient_mac", "backpropagation_mac")
    counts = training.machine.counts
    return sum(count for (_, term, _), count in counts.items() if term in terms)


@st.composite
def relu_trainings(draw: st.DrawFn) -> tuple[ReluTraining, Dataflow]:
    """A ReLU network with random weights, and the dataflow in which it trains."""
    dataflow = draw(st.sampled_from(DATAFLOWS))
    is_pruned = draw(st.booleans())
    sizes = draw(st.lists(st.integers(2, 5), min_size=2, max_size=4))
    has_bias = draw(st.booleans())
    network = ConventionalNetwork.of_layers(sizes[0], sizes[1:], CLASSES, has_bias)
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    state = {
        name: generator.normal(0.3, 0.8, shape)
        for name, shape in network.parameter_shapes().items()
    }
    masks = None
    if is_pruned:
        masks = {
            name: generator.permutation(values.size).reshape(values.shape) > 0
            for name, values in state.items()
            if name.endswith("weight")
        }
    learning = LearningSettings(weight_decay=draw(st.sampled_from([0.0, 0.01])))
    setting = Setting(network, learning, RATE, 2, 1, 3, "once", masks)
    grid = draw(st.sampled_from([None, Grid(1 / 16, (127, 127))]))
    kind = RELU_VARIANTS["zero_skipping" if dataflow.skips_zeros else "dense"]
    return kind(in_dataflow(setting, dataflow), state, grid), dataflow


def record_of_relus(
    training: ReluTraining, products: NDArray[Any], gradients_reached: NDArray[Any]
) -> TrainingRecord:
    """What is recorded of the training of a conventional network."""
    setting = training.setting
    bits = 32 if training.grid is None else 8
    return conventional_training(
        replace(setting.network, weight_bits=bits),
        products.tolist(),
        gradients_reached.tolist(),
        samples=3,
        n_epochs=1,
        batch_size=2,
        weight_decay=bool(setting.learning.weight_decay),
        pruned=setting.masks is not None,
    )


@settings(max_examples=100, deadline=None)
@given(relu_trainings())
def test_conventional_training(drawn: tuple[ReluTraining, Dataflow]) -> None:
    """ReLU networks in every dataflow: floating point, integers, and pruned."""
    training, dataflow = drawn
    n_layers = len(training.connections)
    products = np.zeros(n_layers, np.int64)
    reached = np.zeros(n_layers, np.int64)
    for samples, labels in batches_of(training.setting, 1):
        training.train_batch(samples, labels)
        of_batch = training.macs_nonzero(len(labels), with_removed=True)
        products += of_batch.sum(axis=0)
        if dataflow.skips_zeros:
            reached += training.gradients_reached()
    record = record_of_relus(training, products, reached)
    counted = count_training(record, dataflow)
    assert_counts(counted, [training.machine.counts], training.machine)


@needs_torch
@pytest.mark.parametrize("method", RELU_VARIANTS)
def test_conventional_gradients_and_products_are_those_of_pytorch(method: str) -> None:
    """Autograd's gradients, and with every product as many as PyTorch counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = ConventionalNetwork.of_layers(5, (4, 3), CLASSES)
    setting = Setting(network, LearningSettings(), RATE, 2, 1, 3, "once")
    generator = np.random.default_rng(2)
    state = {
        name: generator.normal(0.2, 0.6, shape)
        for name, shape in network.parameter_shapes().items()
    }
    training = RELU_VARIANTS[method](setting, state)
    samples, labels = batches_of(setting, 2)[0]
    found = training.train_batch(samples, labels)
    parameters = {
        name: torch.nn.Parameter(torch.from_numpy(values))
        for name, values in state.items()
    }
    values = torch.tensor(samples, dtype=torch.float64)
    with FlopCounterMode(display=False) as flops:
        for number in (1, 2, 3):
            weight = parameters[f"layer{number}.synapses.weight"]
            bias = parameters[f"layer{number}.synapses.bias"]
            values = torch.nn.functional.linear(values, weight, bias)
            values = values if number == 3 else values.relu()
        loss = torch.nn.functional.cross_entropy(values, torch.tensor(labels))
        loss.backward()
    expected = {name: values.grad.numpy() for name, values in parameters.items()}
    assert_gradients(setting, found, expected)
    flops_counted = 2 * products_of(training)
    if method == "dense":
        assert flops_counted == flops.get_total_flops()
    else:
        assert flops_counted < flops.get_total_flops()
