"""What can go wrong in a stage: wrong parameters, wrong files, a kill, an interruption."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core import torch_files
from spikejoule.data.images import load_images
from spikejoule.encoding.events import load_events, save_events
from spikejoule.evaluation.inference import load_inference_spikes
from spikejoule.graphs import nir_graph, write_nir
from spikejoule.model.trained import load_trained
from tests.tools.finished_project import (
    N_TEST,
    call,
    content_of,
    inputs_and_outputs,
    path_of,
)
from tests.tools.pipeline_tools import (
    STAGES,
    artifact_paths,
    clean_environment,
    dvc,
    git,
    set_parameters,
    write_paths,
)

PROCESS_SECONDS = 240
TRAIN_OUTPUTS = ("trained", "history", "train_metrics", "train_timings")


@pytest.fixture
def project(copied: Path) -> Path:
    """A copy of the finished project, to damage; the working directory."""
    return copied


def refusal(stage: str, project: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which a stage ends; checks that it changed nothing, old outputs or none."""
    _, outputs = inputs_and_outputs(stage, project)
    paths = artifact_paths(project)
    said = []
    for old_outputs in (True, False):
        if not old_outputs:
            for name in outputs:
                (project / paths[name]).unlink(missing_ok=True)
        before = content_of(project)
        capsys.readouterr()
        assert call(stage) == 1
        captured = capsys.readouterr()
        assert content_of(project) == before, "files were written or removed"
        lines = captured.err.splitlines()
        assert captured.out == ""
        assert lines
        for line in lines:
            assert line.startswith("error: "), captured.err
            assert "Traceback" not in line
        said.append(lines)
    assert said[0] == said[1]
    return said[0]


def test_parameters_are_checked_before_an_artifact_is_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each problem, of all sections; one reader serves all stages."""
    for name in artifact_paths(project):
        path_of(name).unlink()  # a stage that looked at its inputs first would complain of these
    wrong = {"train.lr": -1, "encode.max_rate": "fast", "model.decay": 2, "seed": -1}
    set_parameters(project, wrong)
    keys = [line.split(":")[1].strip() for line in refusal("prepare", project, capsys)]
    assert sorted(keys) == sorted(wrong)


def other_order_of_images() -> None:
    samples = load_images(path_of("test"))
    samples.select(np.arange(len(samples))[::-1]).save(path_of("test"))


def other_rate() -> None:
    events, encoding = load_events(path_of("events_test"))
    save_events(path_of("events_test"), events, {**encoding, "max_rate_hz": 79.5})


def other_architecture() -> None:
    content = torch_files.read(path_of("trained"))
    content["architecture"]["n_hidden"] = 17
    torch_files.write(path_of("trained"), content)


def other_events() -> None:
    set_parameters(Path(), {"seed": 7})
    assert call("encode") == 0


def other_parameters(**values: Any) -> Callable[[], None]:
    """Of keys such as `train__lr`."""
    named = {key.replace("__", "."): value for key, value in values.items()}
    return lambda: set_parameters(Path(), named)


MISMATCHED: list[tuple[str, Callable[[], None], str]] = [
    # As if the events had been copied from a run with other parameters
    ("train", other_parameters(encode__time_window=9), "events_validation.npz .*time_window 12.*9"),
    ("train", other_parameters(seed=7), "events_validation.npz .*seed 42.*7"),
    ("evaluate", other_order_of_images, "events_test.npz"),
    ("measure_inference", other_rate, "was encoded with"),
    ("energy_report", other_events, "measure again"),
    ("measure_inference", other_architecture, "has the shape .16, 784., not .17, 784."),
    ("energy_report", other_architecture, "has the shape .16, 784., not .17, 784."),
    (
        "energy_report",
        other_parameters(energy_report__profile="brain"),
        "energy_report.profile: 'brain' is not allowed",
    ),
    (
        "energy_report",
        other_parameters(energy_report__figure_sample=25, measure_inference__n_samples="null"),
        "allowed: 0 to 24",
    ),
    ("train", other_parameters(train__logit_scale="1e300"), "diverged.*train.lr"),
    (
        "train",
        other_parameters(train__logit_scale="1e300", train__engine="dense"),
        "diverged.*train.lr",
    ),
]


@pytest.mark.parametrize(("stage", "change", "words"), MISMATCHED)
def test_whole_files_that_do_not_belong_together_are_refused(
    stage: str,
    change: Callable[[], None],
    words: str,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change()
    (line,) = refusal(stage, project, capsys)
    assert re.search(words, line), line


class TestReport:
    def test_the_graph_is_the_network(self, copied: Path) -> None:
        write_nir(Path("again.nir"), nir_graph(load_trained(path_of("trained"))))
        assert path_of("nir").read_bytes() == Path("again.nir").read_bytes()

    @pytest.mark.parametrize(("asked", "warns"), [(4096, True), ("null", False)])
    def test_all_test_images_are_measured_by_default(
        self, asked: object, warns: bool, project: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        set_parameters(project, {"measure_inference.n_samples": asked})
        assert call("measure_inference") == 0
        assert (f"4,096, but there are {N_TEST} test samples" in caplog.text) == warns
        assert load_inference_spikes(path_of("inference_spikes")).n_samples == N_TEST


class TestOutputsThatCannotBeWritten:
    @pytest.mark.parametrize("stage", [name for name in STAGES if name != "publish"])
    def test_a_file_in_the_place_of_a_folder(
        self, stage: str, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, outputs = inputs_and_outputs(stage, project)
        paths = artifact_paths(project)
        (project / "blocked").write_text("a file")
        write_paths(project, paths | {name: f"blocked/{name}" for name in outputs})
        capsys.readouterr()
        assert call(stage) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line]
        assert len(errors) == 1
        assert errors[0].startswith("error: blocked/")
        assert "cannot be written" in errors[0]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
class TestEndedFromOutside:
    """Real processes, started as DVC starts them."""

    def test_interruption_from_the_keyboard(self, repository: Path, project: Path) -> None:
        for name in ("stages", "src"):
            # The project has the price list alone in `src`.
            shutil.rmtree(project / name, ignore_errors=True)
            (project / name).symlink_to(repository / name)
        for name in TRAIN_OUTPUTS:
            path_of(name).unlink()
        # 80 images in batches of one: some seconds per epoch would be too few on a fast machine.
        set_parameters(project, {"train.max_epochs": 100_000, "train.batch_size": 1})
        # A background job of a shell ignores the interruption from the keyboard; so would all that
        # it starts.
        restore = (
            "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", restore, "stages/shared/run", "train"],
            cwd=project,
            env=clean_environment(project.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert any(line.startswith("epoch 1/") for line in process.stderr)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=PROCESS_SECONDS)
        finally:
            process.kill()
        assert process.returncode == 130
        rest = [line for line in errors.splitlines() if not line.startswith("epoch ")]
        assert rest == ["error: interrupted from the keyboard."]
        assert not any(path_of(name).exists() for name in TRAIN_OUTPUTS)
        assert not list(project.rglob("*.tmp"))
        kept = {path.suffix for path in (project / ".resume").iterdir()}
        assert kept == {".npz"}, "to go on from"

    def test_what_a_kill_leaves_half_written_is_seen_by_neither_git_nor_dvc(
        self, project: Path
    ) -> None:
        environment = clean_environment(project.parent)
        git(project, environment, "init", "-q")
        dvc(project, environment, "init", "-q")
        seen = git(project, environment, "status", "--porcelain", "-uall")
        names = sorted(
            str(path_of(name).with_name(f".{path_of(name).name}.0123456789abcdef.tmp"))
            for name in ("trained", "history")
        )
        for name in names:
            Path(name).write_bytes(b"half")
        assert git(project, environment, "status", "--porcelain", "-uall") == seen
        assert dvc(project, environment, "check-ignore", *names).split() == names
