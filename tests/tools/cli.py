"""The command line, called in the tests' own process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikejoule.cli import main


class Cli:
    """Calls a command: what it prints, or how it fails."""

    def __init__(
        self,
        capsys: pytest.CaptureFixture[str],
        command: Callable[[list[str]], int] = main,
    ) -> None:
        self._capsys = capsys
        self._command = command

    def text(self, *arguments: str | int | Path) -> str:
        assert self._command([str(word) for word in arguments]) == 0
        return self._capsys.readouterr().out

    def json(self, *arguments: str | int | Path) -> Any:
        return json.loads(self.text(*arguments, "--json"))

    def refusal(self, *arguments: str | int | Path) -> str:
        """Return the one line of an error."""
        assert self._command([str(word) for word in arguments]) == 1
        printed = self._capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        return printed.err


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
