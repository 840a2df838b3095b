"""Files of quantised networks: integers, and the floats they represent."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spikejoule.network import checkpoint, trained
from spikejoule.network.integers import integers_of
from tests.tools.examples import quantised_network, write_example


@pytest.mark.parametrize(("weight_bits", "state_bits"), [(8, 32), (2, 16)])
def test_both_files_return_the_network(
    tmp_path: Path, weight_bits: int, state_bits: int
) -> None:
    network = quantised_network(weight_bits, state_bits, bias=False, reset="subtract")
    trained.save_trained(tmp_path / "one.pth", network)
    loaded = trained.load_trained(tmp_path / "one.pth")
    assert loaded.network == network.network
    for name, weights in network.state.items():
        assert np.array_equal(loaded.state[name], weights)
    trained.save_trained(tmp_path / "two.pth", loaded)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()
    path = write_example(tmp_path / "c.pth", network)
    assert checkpoint.read_complete(path).network == network.network
    stated = torch.load(path, weights_only=True)["quantisation"]
    expected = integers_of(network.network, network.state)
    for name, integers in stated["integers"].items():
        assert np.array_equal(integers.numpy(), expected[name])


def test_weights_off_their_grid_are_not_written(tmp_path: Path) -> None:
    network = quantised_network()
    network.state["layer1.synapses.weight"][3, 4] += np.float32(0.001)
    with pytest.raises(
        ValueError, match=r"layer1\.synapses\.weight are not on their grid"
    ):
        trained.save_trained(tmp_path / "t.pth", network)
    assert list(tmp_path.iterdir()) == []
