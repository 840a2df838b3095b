"""Checkpoints: all keys of the schema, equal bytes, and no code executed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.readout import Readout
from spikejoule.network.trained import TrainedNetwork
from tests.tools.cli import Cli
from tests.tools.examples import (
    complete_content,
    quantised_network,
    trained_network,
    write_example,
)
from tests.tools.hostile import MARK, Pickled
from tests.tools.refusals import refusal


class TestTorchFiles:
    def test_numpy_numbers_are_read(self, tmp_path: Path) -> None:
        torch.save({"x": np.float64(84.43), "y": np.bool_(True)}, tmp_path / "a.pth")
        assert torch_files.read(tmp_path / "a.pth") == {"x": 84.43, "y": True}

    @pytest.mark.parametrize("new_format", [True, False])
    def test_malicious_pickle_is_refused_and_not_executed(
        self, tmp_path: Path, new_format: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flag = tmp_path / MARK
        monkeypatch.chdir(tmp_path)
        torch.save(
            {"schema_version": "surrogate_complete_v1", "x": Pickled()},
            tmp_path / "evil.pth",
            _use_new_zipfile_serialization=new_format,
        )
        refusal(Checkpoint.read, tmp_path / "evil.pth")
        assert not flag.exists()
        torch.load(tmp_path / "evil.pth", weights_only=False)
        assert flag.exists(), "the file was harmless, so the test above showed nothing"

    @pytest.mark.parametrize("kind", ["pointer", "objects", "path"])
    def test_nothing_but_plain_values_is_built(self, tmp_path: Path, kind: str) -> None:
        objects = {
            "pointer": _Scalar(),
            "objects": np.array(["a"], dtype=object),
            "path": Path("a"),
        }
        torch.save({"x": [objects[kind]]}, tmp_path / "a.pth")
        assert "safely" in refusal(torch_files.read, tmp_path / "a.pth")

    def test_control_characters_do_not_reach_the_terminal(
        self, tmp_path: Path, cli: Cli
    ) -> None:
        content = complete_content()
        content["spikejoule"]["data"] = {"title": "\x1b[2J\x07gone"}
        content["training_config"]["optimizer"] = "\x1b]0;title\x07"
        torch_files.write(tmp_path / "c.pth", content)
        shown = cli.text("inspect", "--all", tmp_path / "c.pth")
        assert "\\e[2J" in shown
        assert shown.replace("\n", "").isprintable()


class _Scalar:
    """Pickles as NumPy's scalar reconstruction of a type that holds a pointer."""

    def __reduce__(self) -> Any:
        return np.float64(1).__reduce__()[0], (np.dtype("O"), b"\0" * 8)


def lif_network(hidden: tuple[int, ...] = (20,), **neuron: Any) -> TrainedNetwork:
    return trained_network(hidden, neuron=LeakyIntegrateAndFire(**neuron))


def read(trained: TrainedNetwork, readout: Readout) -> TrainedNetwork:
    return replace(trained, network=trained.network.with_readout(readout))


class TestTrainedNetwork:
    @pytest.mark.parametrize(
        ("network", "model_class"),
        [
            (lif_network(threshold=0.5, decay=1.0), "SimpleSpikingNetwork"),
            (lif_network(reset="subtract"), "spikejoule.SpikingNetwork"),
            (lif_network(threshold=(1.0, 0.5)), "spikejoule.SpikingNetwork"),
            (lif_network(decay=(1.0, 0.5)), "spikejoule.SpikingNetwork"),
            (lif_network(bias=False), "spikejoule.SpikingNetwork"),
            (lif_network((12, 8), learned="both"), "spikejoule.SpikingNetwork"),
            (quantised_network(8, 32), "spikejoule.SpikingNetwork"),
            (quantised_network(2, 16, bias=False), "spikejoule.SpikingNetwork"),
            (read(lif_network(), Readout.POTENTIAL), "spikejoule.SpikingNetwork"),
            (
                read(quantised_network(4, 16), Readout.MAX_POTENTIAL),
                "spikejoule.SpikingNetwork",
            ),
        ],
    )
    def test_round_trip(
        self, tmp_path: Path, network: TrainedNetwork, model_class: str
    ) -> None:
        network.checkpoint().write(tmp_path / "t.pth")
        loaded = Checkpoint.read_trained(tmp_path / "t.pth")
        assert loaded.network == network.network
        assert list(loaded.state) == list(network.state)
        for name, weights in network.state.items():
            assert loaded.state[name].dtype == np.float32
            np.testing.assert_array_equal(loaded.state[name], weights)
        for name in ("encoder", "seed", "training_config", "history", "data", "engine"):
            assert getattr(loaded, name) == getattr(network, name)
        loaded.write(tmp_path / "again.pth")
        again = (tmp_path / "again.pth").read_bytes()
        assert again == (tmp_path / "t.pth").read_bytes()
        complete = Checkpoint.read(write_example(tmp_path / "c.pth", network))
        assert complete.content["model_class"] == model_class
        assert complete.network == network.network
        stated = complete.content["architecture"].get("readout", "spikes")
        assert stated == network.network.readout.value
        if network.network.quantisation is not None:
            thresholds = complete.content["quantisation"]["thresholds"]
            assert len(thresholds) == len(network.network.spiking) - 1
        assert complete.encoder == network.encoder
        for name, weights in network.state.items():
            np.testing.assert_array_equal(complete.state[name], weights)
        names = network.network.layer_names
        assert complete.file.inference_spikes.per_inference(names) == {
            name: 400.0 - 100 * layer for layer, name in enumerate(names)
        }

    def test_weights_that_do_not_fit_are_not_written(self, tmp_path: Path) -> None:
        other = replace(trained_network(), state=trained_network((30,)).state)
        off = quantised_network()
        off.state["layer1.synapses.weight"][3, 4] += np.float32(0.001)
        for network, words in (
            (other, r"weight has the shape \(30, 784\)"),
            (off, r"layer1\.synapses\.weight are not on their grid"),
        ):
            with pytest.raises((ArtifactError, ValueError), match=words):
                network.checkpoint().write(tmp_path / "t.pth")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_without_its_training_is_refused(self, tmp_path: Path) -> None:
        content = complete_content()
        del content["spikejoule"]
        torch_files.write(tmp_path / "c.pth", content)
        assert "train again" in refusal(Checkpoint.read_trained, tmp_path / "c.pth")


class TestBuildComplete:
    @pytest.mark.parametrize("hidden", [(20,), (9, 8, 7)])
    def test_every_key_of_the_schema_has_a_value(self, hidden: tuple[int, ...]) -> None:
        content = complete_content(trained_network(hidden))
        file = Path(__file__).with_name("checkpoint_keys.yaml")
        for section, keys in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            entries = content if section == "top" else content[section]
            for key in keys:
                assert entries[key] is not None, (section, key)

    def test_values_by_hand(self) -> None:
        content = complete_content()
        assert content["timestamp"] == "2026-03-04 05:06:19"
        assert content["n_hidden"] == content["architecture"]["n_hidden"] == 20
        # 784 x 20 = 15680, 20 x 10 = 200
        assert content["connectivity"]["n_synapses_total"] == 15_880
        assert content["connectivity"]["fanout_input_to_hidden"] == 20
        assert content["training_results"]["epochs_trained"] == 2
        assert content["training_history"]["train_acc"] == [81.0, 82.0]
        # 4000, 4010, 4020 spikes in epoch 1, 5000, 5010, 5020 in epoch 2; 200 samples
        assert content["training_spikes"]["total_hidden"] == 9020
        assert content["training_spikes"]["output_per_sample"] == pytest.approx(45.2)
        # 1600, 1200, 800 spikes in 4 inferences
        assert content["inference_spikes"]["hidden_per_inference"] == 300.0
        # 400 x 20 + 300 x 10; 15880 x 50
        proxies = content["energy_proxies"]
        assert proxies["event_syn_per_inference"] == 11_000.0
        assert proxies["sparsity_ratio"] == 11_000 / 794_000

    def test_several_hidden_layers(self) -> None:
        content = complete_content(trained_network((12, 8)))
        assert content["n_hidden"] == [12, 8]
        assert [*content["connectivity"]["fanout_per_layer"].values()] == [12, 8, 10]
        assert content["inference_spikes"]["total_hidden"] == 1200 + 800
        # 400 x 12 + 300 x 8 + 200 x 10
        assert content["energy_proxies"]["event_syn_per_inference"] == 9200.0


def _with(section: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        (content[section] if section else content)[key] = value

    return change


class TestReadComplete:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda content: content.pop("model_state_dict"), "model_state_dict"),
            (lambda content: content.pop("schema_version"), "no schema"),
            (_with("architecture", "threshold", None), "threshold is null"),
            (_with("quantisation", "weight_bits", 9), "weight_bits"),
            (_with("quantisation", "exponents", [7]), "grid for each"),
            (_with("quantisation", "weight_bits", 3), "are not on their grid"),
            (
                _with("spikejoule", "history", [{"spikes": (5, 1, 1)}]),
                "epoch is missing",
            ),
            (
                _with("model_state_dict", "layer3.synapses.bias", torch.zeros(1)),
                "unknown",
            ),
            (
                _with(
                    "model_state_dict",
                    "layer2.synapses.bias",
                    torch.zeros(10, dtype=torch.int32),
                ),
                "holds no floating-point numbers",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_in_one_sentence(
        self, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
    ) -> None:
        content = torch_files.to_plain(complete_content(quantised_network()))
        torch.save(content, tmp_path / "c.pth")
        Checkpoint.read(tmp_path / "c.pth")
        change(content)
        torch.save(content, tmp_path / "c.pth")
        assert words in refusal(Checkpoint.read, tmp_path / "c.pth")
