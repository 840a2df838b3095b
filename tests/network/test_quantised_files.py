"""Files of quantised networks: integers, the floats they represent, and refusals."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.core import torch_files
from spikejoule.network import checkpoint, trained
from spikejoule.network.integers import integers_of
from tests.tools.examples import quantised_network, write_example
from tests.tools.refusals import refusal


class TestRoundTrip:
    @pytest.mark.parametrize(("weight_bits", "state_bits"), [(8, 32), (2, 16)])
    def test_both_files(
        self, tmp_path: Path, weight_bits: int, state_bits: int
    ) -> None:
        network = quantised_network(
            weight_bits, state_bits, bias=False, reset="subtract"
        )
        trained.save_trained(tmp_path / "one.pth", network)
        loaded = trained.load_trained(tmp_path / "one.pth")
        assert loaded.network == network.network
        for name, weights in network.state.items():
            assert np.array_equal(loaded.state[name], weights)
        trained.save_trained(tmp_path / "two.pth", loaded)
        assert (tmp_path / "one.pth").read_bytes() == (
            tmp_path / "two.pth"
        ).read_bytes()
        path = write_example(tmp_path / "c.pth", network)
        assert checkpoint.read_complete(path).network == network.network
        stated = torch.load(path, weights_only=True)["quantisation"]
        expected = integers_of(network.network, network.state)
        for name, integers in stated["integers"].items():
            assert np.array_equal(integers.numpy(), expected[name])

    def test_weights_off_their_grid_are_not_written(self, tmp_path: Path) -> None:
        network = quantised_network()
        network.state["layer1.synapses.weight"][3, 4] += np.float32(0.001)
        with pytest.raises(
            ValueError, match=r"layer1\.synapses\.weight are not on their grid"
        ):
            trained.save_trained(tmp_path / "t.pth", network)
        assert list(tmp_path.iterdir()) == []


def in_section(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["quantisation"][key] = value

    return change


DAMAGE = {
    "width": (in_section("weight_bits", 9), "weight_bits"),
    "a grid too few": (in_section("exponents", [7]), "grid for each"),
    "narrower than its integers": (in_section("weight_bits", 3), "are not on"),
    "weights between": (
        lambda content: content["model_state_dict"]["layer1.synapses.weight"].add_(
            1e-4
        ),
        r"layer1\.synapses\.weight are not on",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_damage_is_refused_in_a_sentence(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "t.pth"
    trained.save_trained(path, quantised_network())
    change, reason = DAMAGE[damage]
    content = torch_files.read(path)
    change(content)
    torch_files.write(path, content)
    assert re.search(reason, refusal(checkpoint.read_complete, path))
