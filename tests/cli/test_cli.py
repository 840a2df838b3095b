"""The command `spikejoule`: what it prints, and how it fails."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikejoule.cli import build_parser, main
from spikejoule.cli.arguments import EXAMPLES
from spikejoule.data.images import Dataset
from spikejoule.evaluation.inference import measure_network
from tests.tools.cli import Cli
from tests.tools.examples import trained_network, write_example
from tests.tools.settings import draw_key, encode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_example(tmp_path / "c.pth")


def test_inspect_as_text_and_json(file: Path, cli: Cli) -> None:
    assert "784 - 20 - 10" in cli.text("inspect", file)
    assert cli.json("inspect", file)["test_accuracy"] == 91.25


class TestMeasure:
    def test_what_the_library_measures(self, file: Path, mnist5k: Dataset, cli: Cli) -> None:
        command = ("measure", file, "--images", "mnist5k", "--samples", 30)
        found = cli.json(*command, "--seed", 5)
        network = trained_network()
        images = mnist5k.test.select(slice(30))
        events = encode(images.images, 50, 80.0, draw_key(5, "test", 0), images.index)
        measured = measure_network(network.state, network.architecture, events)
        assert found["n_samples"] == 30
        assert found["spikes_total"] == measured.counts.totals
        assert found["accuracy_percent"] == pytest.approx(
            100 * np.mean(measured.predictions == images.labels)
        )
        spikes = found["spikes_per_inference"]
        assert found["synaptic_events_per_inference"] == pytest.approx(
            spikes["input"] * 20 + spikes["hidden"] * 10
        )
        # By default, the seed is the checkpoint's.
        assert cli.json(*command) == cli.json(*command, "--seed", 7) != found
        text = cli.text(*command)
        for words in ("5,000 MNIST digits", "accuracy low percent", "91.25", "input_to_hidden"):
            assert words in text


class TestFailures:
    def test_in_one_sentence(self, file: Path, tmp_path: Path, cli: Cli) -> None:
        told = cli.refusal("inspect", "none.pth")
        assert told.startswith("error: none.pth does not exist: ")
        assert "or name another file" in told
        (tmp_path / "a.pth").write_text("text")
        assert "not a PyTorch file" in cli.refusal("inspect", tmp_path / "a.pth")
        told = cli.refusal("measure", file, "--images", "mnist5k", "--samples", 1001)
        assert "1001" in told
        assert "1000" in told

    @pytest.mark.parametrize(
        "arguments",
        [[], ["measure", "c.pth"], ["measure", "c.pth", "--images", "mnist5k", "--samples", "0"]],
    )
    def test_wrong_call(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
        assert "usage: spikejoule" in capsys.readouterr().err

    def test_broken_pipe_is_quiet(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As of `spikejoule inspect FILE | head -0`."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert main(["inspect", str(file)]) == 141

    def test_an_unknown_command_is_answered_with_all(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for typed, said in (("inspct", "choose from"), ("zzz", "inspect")):
            with pytest.raises(SystemExit):
                main([typed, "c.pth"])
            assert said in capsys.readouterr().err


def test_every_example_can_be_called(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [shlex.split(line) for line in EXAMPLES.splitlines()[1:]]
    for call in calls:
        build_parser().parse_args(call[1:])
    with pytest.raises(SystemExit):
        main(["runs", "--help"])
    assert capsys.readouterr().out.endswith("\n  spikejoule runs --limit 5\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    for words, completed in (("spikejoule ru", "runs"), ("spikejoule front --at", "--at-least")):
        ask = (
            f"COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n"
            '_shtab_spikejoule; echo "${COMPREPLY[@]}"\n'
        )
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [completed]
