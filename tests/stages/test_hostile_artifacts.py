"""Damaged artifacts for every reader: all stages but `publish`, and the command line.

Each is refused in one sentence that names the file, before anything is written. A
pickle in its place is not executed. All readers of an artifact read it by one function,
so only its first reader gets every kind of damage.
"""

import pickle
from pathlib import Path

import pytest

from spikejoule.cli import main as spikejoule
from stages.shared.common import run_stage
from tests.tools.finished_project import content_of, inputs_and_outputs, path_of
from tests.tools.hostile import MARK, Pickled
from tests.tools.pipeline_tools import (
    REPOSITORY,
    STAGES,
    artifact_paths,
)

COMMANDS = {
    "inspect": ["inspect", "{checkpoint}"],
    "counted": ["energy", "{checkpoint}", "--images", "mnist5k", "--samples", "5"],
    "energy": [
        "energy",
        "{checkpoint}",
        "--hardware",
        "{hardware}",
        "--baselines",
        "{baseline}",
    ],
}
INPUTS = {
    **{
        stage: inputs_and_outputs(stage, REPOSITORY)[0]
        for stage in STAGES
        if stage != "publish"
    },
    **{
        name: [word[1:-1] for word in words if "{" in word]
        for name, words in COMMANDS.items()
    },
}
READERS = [(reader, artifact) for reader, names in INPUTS.items() for artifact in names]
FIRST_READERS = {artifact: reader for reader, artifact in reversed(READERS)}
# Formats with checksums.
CHECKED = (".npz", ".pth")


def status_of(reader: str) -> int:
    """The exit status of a stage or a command."""
    if reader in STAGES:
        return run_stage(reader)
    paths = artifact_paths(Path())
    return spikejoule([word.format(**paths) for word in COMMANDS[reader]])


def damaged(path: Path) -> dict[str, bytes | None]:
    """Contents that may replace a file, by description; None where it is missing."""
    if path.suffix not in CHECKED:
        return {"empty": b"", "missing": None}
    data = path.read_bytes()
    half = len(data) // 2
    flipped = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
    return {"cut": data[:half], "flipped": flipped, "missing": None}


@pytest.mark.slow
@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(("reader", "artifact"), READERS)
def test_a_damaged_file_is_refused(
    reader: str, artifact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path_of(artifact)
    cases: dict[str, bytes | None] = {"a pickle": pickle.dumps(Pickled())}
    if FIRST_READERS[artifact] == reader:
        cases |= damaged(path)
    for words, data in cases.items():
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        before = content_of(Path())
        capsys.readouterr()
        assert status_of(reader) == 1, words
        said = capsys.readouterr()
        assert content_of(Path()) == before, words
        assert not Path(MARK).exists()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith("error: ")
        assert str(path) in line, words
