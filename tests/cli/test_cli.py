"""The command `spikejoule`: what it prints, and how it fails."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from spikejoule.cli import build_parser, main
from spikejoule.cli.arguments import EXAMPLES
from spikejoule.core import torch_files
from tests.tools.cli import Cli
from tests.tools.examples import complete_content, write_example


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_example(tmp_path / "c.pth")


def test_inspect_shows_every_entry_as_text_and_json(tmp_path: Path, cli: Cli) -> None:
    content = complete_content()
    content["training_history"]["losses"][0] = float("nan")
    torch_files.write(tmp_path / "c.pth", content)
    report = cli.json("inspect", tmp_path / "c.pth")
    assert set(report) == set(content)
    assert report["test_accuracy"] == 91.25
    # JSON has no such number.
    assert report["training_history"]["losses"][0] == "NaN"
    weights = report["model_state_dict"]["layer1.synapses.weight"]
    assert weights == {"shape": [20, 784], "dtype": "float32"}
    assert (
        YAML(typ="safe").load(cli.text("inspect", "--all", tmp_path / "c.pth"))
        == report
    )


class TestFailures:
    def test_in_one_sentence(self, file: Path, tmp_path: Path, cli: Cli) -> None:
        message = cli.refusal("inspect", "none.pth")
        assert message == "error: none.pth does not exist.\n"
        (tmp_path / "a.pth").write_text("text")
        assert "is neither a checkpoint nor" in cli.refusal(
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
