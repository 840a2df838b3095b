"""Hostile artifacts before every reader: all stages but `publish`, and the command line.

What a reader may do with one is refuse it in one sentence that names a file, before anything is
written, or work on; a file whose checksums show the damage is refused, or read as it was. There are
200 of them; more: SPIKEJOULE_DAMAGED=2000.
"""

import json
import math
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spikejoule.cli import main as spikejoule
from tests.tools.finished_project import call, content_of, inputs_and_outputs, path_of
from tests.tools.hostile import MARK, Hostile, hostile
from tests.tools.pipeline_tools import STAGES, artifact_paths

REPOSITORY = Path(__file__).resolve().parents[2]
CAMPAIGN = int(os.environ.get("SPIKEJOULE_DAMAGED", "200"))
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
# What the report makes of a file that it accepts takes seconds: it reads fewer of each.
WEIGHTS = {reader: 1 if reader == "energy_report" else 10 for reader in INPUTS}


def run(reader: str) -> int | str:
    """The exit status of a stage or a command, or the end of its traceback."""
    try:
        if reader in STAGES:
            return call(reader)
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


def problem(reader: str, path: Path, case: Hostile, capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with what a reader makes of a hostile file, in words; empty if nothing."""
    undamaged = content_of(Path())
    path.unlink()
    if case.data is not None:
        path.write_bytes(case.data)
    before = content_of(Path())
    capsys.readouterr()
    status = run(reader)
    said, after = capsys.readouterr(), content_of(Path())
    put_back(undamaged)
    lines = said.err.splitlines()
    if Path(MARK).exists():
        return "a pickle was executed"
    if status == 0:
        ours = {str(path): b""}
        same = without_clocks(after | ours) == without_clocks(undamaged | ours)
        return "" if same or not case.same else "accepted, with another result"
    if status != 1:
        return f"a traceback: {status}"
    if after != before or said.out:
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
def test_hostile_files_of_every_kind_before_every_reader(
    reader: str, artifact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = sum(WEIGHTS[name] for name, _ in READERS)
    path = path_of(artifact)

    @settings(
        max_examples=math.ceil(CAMPAIGN * WEIGHTS[reader] / weights),
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case = data.draw(hostile(path))
        found = problem(reader, path, case, capsys)
        assert not found, f"{reader}: {path}: {case.words}: {found}"

    check()
