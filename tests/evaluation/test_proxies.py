"""Operation counts of one inference against figures worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.energy import EnergyProxies, energy_proxies
from spikejoule.model.network import Network


def proxies_of(architecture: Network, spikes: list[float], steps: int) -> EnergyProxies:
    return energy_proxies(
        architecture, dict(zip(architecture.layer_names, spikes, strict=False)), steps
    )


def test_the_published_figures_of_the_seed() -> None:
    # Measured on the seed: input 383.1, hidden 436.3 spikes; 784-400-10, 50 steps.
    proxies = proxies_of(Network.of_layers(784, (400,), 10), [383.1, 436.3, 148.7], 50)
    assert proxies.synaptic_events_per_inference == pytest.approx(383.1 * 400 + 436.3 * 10)
    assert proxies.dense_operations_per_inference == 15_880_000
    assert proxies.sparsity_ratio == pytest.approx(0.0099, abs=5e-5)
    assert proxies.formula_synaptic_events == "S_in * fanout_in_h + S_hidden * fanout_h_out"
    assert proxies.formula_dense == "N_synapses * TIME_WINDOW"


def test_three_hidden_layers_by_hand() -> None:
    proxies = proxies_of(Network.of_layers(4, (3, 5, 2), 6), [1.0, 2.0, 3.0, 4.0, 9.0], 7)
    # 1 x 3 + 2 x 5 + 3 x 2 + 4 x 6 and (12 + 15 + 10 + 12) x 7
    assert proxies.synaptic_events_per_inference == 43.0
    assert proxies.dense_operations_per_inference == 343
    assert proxies.formula_synaptic_events == (
        "S_input * fanout_input_to_hidden1 + S_hidden1 * fanout_hidden1_to_hidden2 + "
        "S_hidden2 * fanout_hidden2_to_hidden3 + S_hidden3 * fanout_hidden3_to_output"
    )
    entry = proxies.as_checkpoint_entry()["per_layer"]["hidden2_to_hidden3"]
    assert entry["synaptic_events_per_inference"] == 6.0
    assert entry["dense_operations_per_inference"] == 70


@given(
    sizes=st.lists(st.integers(1, 50), min_size=3, max_size=6),
    steps=st.integers(1, 100),
    data=st.data(),
)
def test_a_network_that_always_fires_is_dense(
    sizes: list[int], steps: int, data: st.DataObject
) -> None:
    architecture = Network.of_layers(sizes[0], tuple(sizes[1:-1]), sizes[-1])
    always = [size * steps for size in sizes]
    assert proxies_of(architecture, always, steps).sparsity_ratio == 1.0
    some = [data.draw(st.integers(0, most)) for most in always]
    proxies = proxies_of(architecture, some, steps)
    assert 0 <= proxies.sparsity_ratio <= 1
    assert proxies.synaptic_events_per_inference == sum(
        spikes * target for spikes, target in zip(some, sizes[1:], strict=False)
    )
