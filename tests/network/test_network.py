"""Networks: sizes, names, neurons, and refusals."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire


@pytest.mark.parametrize(
    ("sizes", "needle"),
    [
        ((4, (), 2), "at least one hidden layer"),
        ((0, (3,), 2), "layer input has 0 neurons"),
        ((4, (3, -1), 2), "layer hidden2 has -1 neurons"),
        ((4, (3,), 65_536), "layer output has 65536 neurons"),
    ],
)
def test_out_of_range(sizes: Any, needle: str) -> None:
    with pytest.raises(ParameterError, match=needle) as error:
        Network.of_layers(*sizes)
    assert "\n" not in str(error.value)


def test_file_entries_leave_out_old_defaults() -> None:
    assert LeakyIntegrateAndFire().entry() == {"threshold": 1.0, "decay": 0.9}
    neuron = LeakyIntegrateAndFire(decay=(1.0, 0.5), bias=False, reset="subtract")
    assert neuron.entry() == {
        "threshold": 1.0,
        "decay": [1.0, 0.5],
        "reset": "subtract",
        "bias": False,
    }


def test_learned_constants() -> None:
    neuron = LeakyIntegrateAndFire(threshold=2.0, decay=(0.5, 0.75), learned="both")
    architecture = Network.of_layers(4, (3,), 2, neuron)
    shapes = architecture.parameter_shapes()
    first = {
        name: neuron.first_learned(name)
        for neuron in architecture.neurons
        for name in neuron.learned_names
    }
    # Of the output
    assert first == pytest.approx(
        {"decay_logit": math.log(3), "log_threshold": math.log(2)}
    )
    state = {name: np.zeros(shape) for name, shape in shapes.items()}
    state["layer1.neurons.decay_logit"][:] = math.log(9)
    state["layer2.neurons.log_threshold"][:] = math.log(0.25)
    learned = architecture.learned_from(state)
    assert [neuron.constants for neuron in learned.neurons] == [
        pytest.approx((1.0, 0.9)),
        pytest.approx((0.25, 0.5)),
    ]
    assert learned.neuron.entry()["learned"] == "both"
    assert replace(learned, neuron=neuron) == architecture
