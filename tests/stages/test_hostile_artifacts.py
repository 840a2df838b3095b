"""Damaged artifacts before every reader: all stages but `publish`, and the command line.

What a reader may do with one is refuse it in one sentence that names a file, before anything is
written, or work on; a file whose checksums show the damage is refused, or read as it was.
"""

import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikejoule.cli import main as spikejoule
from stages.shared.common import run_stage
from tests.tools.finished_project import content_of, inputs_and_outputs, path_of
from tests.tools.hostile import MARK, Pickled
from tests.tools.pipeline_tools import REPOSITORY, STAGES, artifact_paths

COMMANDS = {
    "inspect": ["inspect", "{checkpoint}"],
    "counted": ["energy", "{checkpoint}", "--images", "mnist5k", "--samples", "5"],
    "energy": ["energy", "{checkpoint}", "--hardware", "{hardware}", "--baselines", "{baseline}"],
}
INPUTS = {
    **{stage: inputs_and_outputs(stage, REPOSITORY)[0] for stage in STAGES if stage != "publish"},
    **{name: [word[1:-1] for word in words if "{" in word] for name, words in COMMANDS.items()},
}
READERS = [(reader, artifact) for reader, names in INPUTS.items() for artifact in names]
# Formats with a checksum for every member: damaged bytes cannot be read as other values.
CHECKED = (".npz", ".pth")


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "flipped": flipped,
    "without its beginning": lambda data: data[len(data) // 3 :],
    "a pickle": lambda data: pickle.dumps(Pickled()),
}


def run(reader: str) -> int | str:
    """The exit status of a stage or a command, or the end of its traceback."""
    try:
        if reader in STAGES:
            return run_stage(reader)
        paths = artifact_paths(Path())
        return spikejoule([word.format(**paths) for word in COMMANDS[reader]])
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"


def without_clocks(files: dict[str, bytes]) -> dict[str, Any]:
    return {
        name: sorted(json.loads(data or b"{}")) if name.startswith("results/timings/") else data
        for name, data in files.items()
    }


def put_back(before: dict[str, bytes]) -> None:
    for name in content_of(Path()).keys() - before.keys():
        Path(name).unlink()
    for name, data in before.items():
        if not Path(name).is_file() or Path(name).read_bytes() != data:
            Path(name).write_bytes(data)


def problem(
    reader: str, path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> str:
    """What is wrong with what a reader makes of a damaged file, in words; empty if nothing."""
    undamaged = content_of(Path())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    before = content_of(Path())
    capsys.readouterr()
    status = run(reader)
    printed = capsys.readouterr()
    after = content_of(Path())
    put_back(undamaged)
    lines = printed.err.splitlines()
    if Path(MARK).exists():
        return "a pickle was executed"
    if status == 0:
        ours = {str(path): b""}
        same = without_clocks(after | ours) == without_clocks(undamaged | ours)
        return "" if same or path.suffix not in CHECKED else "accepted, with another result"
    if status != 1:
        return f"a traceback: {status}"
    if after != before or printed.out:
        return f"refused after something was written or printed: {lines}"
    if len(lines) != 1 or not lines[0].startswith("error: ") or not lines[0].isprintable():
        return f"refused in other than one sentence: {lines}"
    inputs = [str(path_of(name)) for name in INPUTS[reader]]
    # Of a whole price file with other profiles, it is the parameter that names none of them.
    named = any(name in lines[0] for name in (*inputs, "profile"))
    if not named or len(lines[0]) > 1000:
        return f"refused without a file's name, or at length: {lines}"
    return ""


@pytest.mark.slow
@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(("reader", "artifact"), READERS)
def test_a_damaged_file_is_refused_in_one_sentence(
    reader: str, artifact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path_of(artifact)
    data = path.read_bytes()
    for name, damage in DAMAGES.items():
        assert not problem(reader, path, damage(data), capsys), f"{reader}: {path}: {name}"
