"""States of trainings: their key, their place, and when they are removed."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import pytest
import yaml
from filelock import FileLock

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.parameters import Only, ParameterFile, Seed, parsed
from spikejoule.core.provenance import computing_environment, file_digest
from spikejoule.core.resume import SavedState
from spikejoule.core.yaml_files import read_mapping
from spikejoule.encoding.params import EncodeParams
from spikejoule.training.params import TrainParams
from stages.shared import project as shared
from stages.shared import resuming
from stages.shared.resuming import Resume, forget_recorded, resumable
from tests.tools.pipeline_tools import set_parameters
from tests.tools.processes import sleeping
from tests.tools.without_torch import needs_torch

pytestmark = needs_torch

KEPT = SavedState({"history": [1, 2]}, {"weights": np.arange(3.0)})
PIPELINE = {
    "vars": [
        {
            "paths": {
                "train": "data/train.npz",
                "train_timings": "results/timings/train.json",
            }
        }
    ],
    "stages": {
        "train": {
            "deps": ["${paths.train}", "src/code", "stages/train.py"],
        }
    },
}
FILES = ("data/train.npz", "src/code/one.py", "src/code/room/two.py", "stages/train.py")


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one stage; the working directory."""
    folder = tmp_path / "project"
    for name in (*FILES, ".dvc/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    shutil.copy(committed / "params.yaml", folder)
    monkeypatch.chdir(folder)
    for variable in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(variable, raising=False)
    return folder


class Params(ParameterFile, extra="ignore"):
    """What the stage reads of params.yaml."""

    seed: Seed
    encode: Annotated[EncodeParams, Only(("time_window",))]
    train: TrainParams


def state(**facts: str) -> AbstractContextManager[Resume]:
    """The state of the stage's training, with the parameters in the project."""
    params = parsed(read_mapping("params.yaml"), Params)
    return resumable("train", params, params.train.resume, facts)


def key(**facts: str) -> str | None:
    with state(**facts) as resume:
        return resume.key


def test_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on every file, parameter and fact of the stage, and the libraries."""
    before = key()
    assert before is not None
    (project / "src/code/__pycache__").mkdir()
    (project / "src/code/__pycache__/one.pyc").touch()
    (project / "src/code/.one.py.swp").touch()
    # The stage does not list the former; the latter changes no result.
    set_parameters(project, {"encode.max_rate": 70, "train.threads": 1})
    assert key() == before
    keys = {before, key(engine="event"), key(engine="dense")}
    for file in FILES:
        (project / file).write_text("other")
        keys.add(key())
        (project / file).write_text(file)
    assert key() == before
    (project / "src/code/three.py").touch()
    keys.add(key())
    for parameter, value in (
        ("train.lr", 0.001),
        ("seed", 43),
        ("encode.time_window", 49),
    ):
        set_parameters(project, {parameter: value})
        keys.add(key())
    environment = computing_environment()
    assert {"torch", "numpy", "numba", "python", "processor"} <= environment.keys()
    monkeypatch.setattr(
        resuming, "computing_environment", lambda: environment | {"torch": "0"}
    )
    keys.add(key())
    assert None not in keys
    assert len(keys) == 3 + len(FILES) + 1 + 3 + 1


def test_an_experiment_in_its_own_folder_finds_the_state(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state() as resume:
        resume.save(KEPT)
    inner = project / ".dvc/tmp/exps/standalone/tmp1"
    shutil.copytree(project, inner, ignore=shutil.ignore_patterns(".dvc", ".resume"))
    monkeypatch.chdir(inner)
    monkeypatch.setenv("DVC_ROOT", str(project))
    with state() as resume:
        kept = resume.load()
        assert kept is not None
        assert kept.plain == KEPT.plain
        assert kept.arrays["weights"].tolist() == [0, 1, 2]
    assert not (inner / ".resume").exists()


class TestEnd:
    @pytest.fixture
    def timings(self, project: Path) -> Path:
        path = project / "results/timings/train.json"
        path.parent.mkdir(parents=True)
        path.write_text("12.3 s")
        return path

    def states(self, project: Path) -> list[str]:
        return sorted(file.suffix for file in (project / ".resume").iterdir())

    def test_it_stays_until_dvc_has_recorded_the_result(
        self, project: Path, timings: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without DVC, it is removed with the result."""
        with state() as resume:
            resume.save(KEPT)
            resume.end(timings)
        assert self.states(project) == []
        monkeypatch.setenv("DVC_STAGE", "train")
        with state() as resume:
            resume.save(KEPT)
            resume.end(timings)
        forget_recorded(project)
        assert self.states(project) == [".done", ".npz"]
        with state() as resume:
            assert resume.load() is not None, "DVC was killed before it knew"
            resume.end(timings)
        # Like DVC records an output in the working directory.
        Path("dvc.lock").write_text(f"md5: {file_digest(timings, 'md5')}\n")
        (mark,) = (project / ".resume").glob("*.done")
        with FileLock(mark.with_suffix(".lock")):  # another process resumes it
            forget_recorded(project)
        assert self.states(project)[:1] + self.states(project)[-1:] == [".done", ".npz"]
        forget_recorded(project)
        assert self.states(project) == []

    def test_a_stage_whose_pipeline_was_killed_keeps_its_epoch_and_ends(
        self,
        project: Path,
        pipeline: subprocess.Popen[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with state() as resume:
            pipeline.kill()
            with pytest.raises(SpikejouleError, match="the next one resumes from here"):
                save_when_it_has_ended(resume)
        with (
            pytest.raises(SpikejouleError, match="the next one resumes from here"),
            state(),
        ):
            pytest.fail("it would resume, and nobody waits for the result")
        pipeline.wait()
        monkeypatch.setattr(shared, "pipeline", lambda: None)
        with state() as resume:
            assert resume.load() is not None

    @pytest.fixture
    def pipeline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process in place of DVC."""
        with sleeping() as process:
            monkeypatch.setattr(shared, "pipeline", lambda: psutil.Process(process.pid))
            yield process


def save_when_it_has_ended(resume: Resume) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        resume.save(KEPT)
        time.sleep(0.01)


@pytest.mark.parametrize("pid", [1, os.getpid()], ids=["init", "session"])
def test_a_stage_that_begins_after_the_end_of_its_pipeline_is_refused(
    pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was adopted by `init`, or by the manager of a user's session."""
    adopter = psutil.Process(pid)
    monkeypatch.setattr(adopter, "name", lambda: "systemd")
    monkeypatch.setattr(
        adopter, "cmdline", lambda: ["/usr/lib/systemd/systemd", "--user"]
    )
    monkeypatch.setattr(psutil.Process, "parents", lambda process: [adopter])
    monkeypatch.setenv("DVC_STAGE", "train")
    with pytest.raises(SpikejouleError, match="has ended already"):
        shared.pipeline.__wrapped__()
