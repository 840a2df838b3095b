"""The command line, called in the tests' own process."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikejoule.cli import main


class Cli:
    """`spikejoule` with some arguments: what it prints, or how it fails."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self, *arguments: str | int | Path) -> str:
        assert main([str(one) for one in arguments]) == 0
        return self._capsys.readouterr().out

    def json(self, *arguments: str | int | Path) -> Any:
        return json.loads(self.text(*arguments, "--json"))

    def refusal(self, *arguments: str | int | Path) -> str:
        """The one line of an error."""
        assert main([str(one) for one in arguments]) == 1
        said = self._capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
        return said.err


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
