"""The command `spikejoule`: what it prints, and how it fails."""

import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from spikejoule.cli import build_parser, main
from spikejoule.cli.arguments import EXAMPLES
from spikejoule.data.images import Dataset
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import write_complete
from tests.tools.cli import Cli
from tests.tools.examples import complete_content, trained_network, write_example
from tests.tools.settings import draw_key, encode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_example(tmp_path / "c.pth")


class TestInspect:
    """Text and JSON hold everything that the file does."""

    def test_every_entry_is_shown(self, file: Path, cli: Cli) -> None:
        report = cli.json("inspect", file)
        assert set(report) == set(complete_content())
        assert report["test_accuracy"] == 91.25
        weights = report["model_state_dict"]["layer1.synapses.weight"]
        assert weights == {"shape": [20, 784], "dtype": "float32"}
        assert YAML(typ="safe").load(cli.text("inspect", file)) == report

    def test_what_is_no_number_is_shown(self, tmp_path: Path, cli: Cli) -> None:
        content = complete_content()
        content["training_history"]["losses"][0] = float("nan")
        write_complete(tmp_path / "c.pth", content)
        # JSON has no such number.
        report = cli.json("inspect", tmp_path / "c.pth")
        assert report["training_history"]["losses"][0] == "NaN"


class TestMeasure:
    def test_what_the_library_measures(
        self, file: Path, mnist5k: Dataset, cli: Cli
    ) -> None:
        command = ("energy", file, "--images", "mnist5k", "--samples", 30)
        report = cli.json(*command)["inputs"]
        network = trained_network()
        images = mnist5k.test.select(slice(30))
        events = encode(images.images, 50, 80.0, draw_key(7, "test", 0), images.index)
        measured = measure_network(network.state, network.network, events)
        assert report["n_images"] == 30
        percent = 100 * np.mean(measured.predictions == images.labels)
        assert report["facts"]["classified correctly"].startswith(f"{percent:.2f} % (")
        means = measured.counts.means
        for layer, mean in means.items():
            assert report["facts"][f"spikes per inference: {layer}"] == f"{mean:,.2f}"
        assert report["proxies"]["synaptic_events_per_inference"] == pytest.approx(
            means["input"] * 20 + means["hidden"] * 10
        )


class TestFailures:
    def test_in_one_sentence(self, file: Path, tmp_path: Path, cli: Cli) -> None:
        message = cli.refusal("inspect", "none.pth")
        assert message.startswith("error: none.pth does not exist: ")
        assert "or name another file" in message
        (tmp_path / "a.pth").write_text("text")
        assert "is damaged or of another format" in cli.refusal(
            "inspect", tmp_path / "a.pth"
        )
        message = cli.refusal("energy", file, "--images", "mnist5k", "--samples", 1001)
        assert "--samples 1001 is more than the 1000" in message

    def test_wrong_call(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as error:
            main(["energy", "c.pth", "--images", "mnist5k", "--samples", "0"])
        assert error.value.code == 2
        assert "usage: spikejoule" in capsys.readouterr().err

    def test_broken_pipe_is_quiet(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of `spikejoule inspect FILE | head -0`."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert main(["inspect", str(file)]) == 141


def test_every_example_can_be_called(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [shlex.split(line) for line in EXAMPLES.splitlines()[1:]]
    for call in calls:
        build_parser().parse_args(call[1:])
    with pytest.raises(SystemExit):
        main(["seeds", "--help"])
    assert capsys.readouterr().out.endswith("\n  spikejoule seeds --table seeds.csv\n")
