"""The text and the JSON of a complete checkpoint hold everything that the file does."""

import json
import re
from pathlib import Path
from typing import Any

from spikejoule.energy.from_checkpoint import recorded_proxies
from spikejoule.model.checkpoint import CompleteCheckpoint, read_complete, write_complete
from spikejoule.report.inspect import checkpoint_text, checkpoint_values
from tests.tools.examples import complete_content, trained_network


def line(text: str, label: str, section: str = "") -> str:
    """The value of the line `label`, within the section if one is named."""
    if section:
        text = text.split(f"\n{section}\n", 1)[1].split("\n\n", 1)[0]
    (found,) = re.findall(rf"^  {re.escape(label)} +(\S.*)$", text, flags=re.MULTILINE)
    return str(found)


def read(tmp_path: Path, content: dict[str, Any]) -> CompleteCheckpoint:
    write_complete(tmp_path / "c.pth", content)
    return read_complete(tmp_path / "c.pth")


FACTS = [
    ("Metadata", "schema version", "surrogate_complete_v1"),
    ("Metadata", "test accuracy", "91.25 %"),
    ("Architecture", "layers", "784 - 20 - 10"),
    ("Encoding", "max rate hz", "80"),
    ("Data", "sha256: mnist5k-images-uint8", "ab" * 32),
    ("Training config", "learning rate", "0.003"),
    ("Training results", "best val accuracy", "87 %"),
    ("Training spikes", "total hidden", "9,020"),
    ("Inference spikes", "input per inference", "400"),
    ("Energy proxies", "event syn per inference", "11,000.00"),
    ("Library versions", "numpy", "2.0.1"),
]


class TestText:
    def test_facts_weights_and_history(self, tmp_path: Path) -> None:
        text = checkpoint_text("c.pth", read(tmp_path, complete_content()))
        for section, label, value in FACTS:
            assert line(text, label, section) == value
        assert line(text, "layer1.synapses.weight").startswith("20 x 784, float32, ")
        assert re.search(r"^2 +0\.5 +82\.0 +87\.0 +5\.5$", text, flags=re.MULTILINE)

    def test_several_hidden_layers(self, tmp_path: Path) -> None:
        text = checkpoint_text("c", read(tmp_path, complete_content(trained_network((12, 8)))))
        assert line(text, "layers") == "784 - 12 - 8 - 10"
        assert line(text, "total per layer: hidden2", "Inference spikes") == "800"

    def test_bare_minimum_is_shown(self, tmp_path: Path) -> None:
        whole = complete_content()
        names = ("schema_version", "model_state_dict", "architecture", "encoding")
        text = checkpoint_text("c", read(tmp_path, {name: whole[name] for name in names}))
        assert line(text, "schema version", "Metadata") == "surrogate_complete_v1"
        assert "784 - 20 - 10" in text
        assert "Training" not in text

    def test_what_no_figure_comes_from_may_be_anything(self, tmp_path: Path) -> None:
        content = complete_content()
        content["spikejoule"] |= {"data": [1, 2], "library_versions": None}
        content["connectivity"]["fanout_per_layer"] = "text"
        content["training_history"]["losses"][0] = float("nan")
        checkpoint = read(tmp_path, content)
        text = checkpoint_text("c", checkpoint)
        assert "784 - 20 - 10" in text
        assert "NaN" in text
        # JSON has no such number.
        assert checkpoint_values(checkpoint)["training_history"]["losses"][0] == "NaN"


def test_json_holds_every_entry(tmp_path: Path) -> None:
    content = complete_content()
    values = json.loads(json.dumps(checkpoint_values(read(tmp_path, content)), allow_nan=False))
    assert set(values) == set(content)
    assert values["inference_spikes"] == content["inference_spikes"]
    weights = values["model_state_dict"]["layer1.synapses.weight"]
    assert weights == {"shape": [20, 784], "dtype": "float32"}


def test_recomputed_from_the_recorded_spikes(tmp_path: Path) -> None:
    content = complete_content()
    recorded = content.pop("energy_proxies")
    # a file of the notebook: no spikes of each layer, but those of its three layers
    del content["inference_spikes"]["per_inference_per_layer"]
    proxies = recorded_proxies(read(tmp_path, content))
    assert proxies.as_checkpoint_entry() == recorded
