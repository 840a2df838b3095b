"""What can go wrong in a stage: wrong parameters, wrong files, an interruption."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.baselines.counts import load_baseline
from spikejoule.data.images import load_images
from spikejoule.evaluation.inference import load_inference_events
from stages.shared.common import run_stage
from tests.tools.finished_project import N_TEST, content_of, inputs_and_outputs, path_of
from tests.tools.pipeline_tools import (
    artifact_paths,
    clean_environment,
    set_parameters,
)


def refusal(stage: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which a stage ends; checks that it changed nothing."""
    before = content_of(copied)
    capsys.readouterr()
    assert run_stage(stage) == 1
    captured = capsys.readouterr()
    assert content_of(copied) == before, "files were written or removed"
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines), captured.err
    return lines


def test_parameters_are_checked_before_an_artifact_is_read(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each problem; of all sections in the stage that runs first."""
    for name in artifact_paths(copied):
        path_of(
            name
        ).unlink()  # a stage that looked at its inputs first would complain of these
    wrong = {"train.lr": -1, "encode.max_rate": "fast", "model.decay": 2, "seed": -1}
    set_parameters(copied, wrong)
    for stage, of_stage in (
        ("parameters", set(wrong)),
        ("encode", {"seed", "encode.max_rate"}),
        ("train", set(wrong)),
        ("evaluate", set()),
    ):
        lines = refusal(stage, copied, capsys)
        keys = [line.split(":")[1].strip() for line in lines]
        assert set(wrong) & set(keys) == of_stage


def test_a_refused_parameter_names_how_outputs_come_back(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC removes a stage's outputs before it starts; a how-to page runs the remedy."""
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setattr("stages.shared.common.pipeline", lambda: None)
    set_parameters(copied, {"train.lr": "fast"})
    kept, outputs, problem = refusal("train", copied, capsys)
    assert len(kept) <= 100
    assert "params.yaml keeps the refused value" in kept
    assert "`git show HEAD:params.yaml > params.yaml`" in kept
    assert "`dvc repro`" in outputs
    assert "train.lr" in problem


@pytest.mark.parametrize(
    ("stage", "changes", "words"),
    [
        # As if the events had been copied from a run with other parameters
        (
            "train",
            {"encode.time_window": 9},
            "events_validation.npz .*time_window 12.*9",
        ),
        (
            "energy_report",
            {
                "energy_report.figure_sample": N_TEST,
            },
            "allowed: 0 to 24",
        ),
        ("train", {"train.logit_scale": "1e300"}, "diverged.*train.lr"),
    ],
)
def test_parameters_that_do_not_fit_what_is_there_are_refused(
    stage: str,
    changes: dict[str, Any],
    words: str,
    copied: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_parameters(copied, changes)
    (line,) = refusal(stage, copied, capsys)
    assert re.search(words, line), line


def test_images_in_another_order_are_refused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load_images(path_of("test"))
    samples.select(np.arange(N_TEST)[::-1]).save(path_of("test"))
    (line,) = refusal("evaluate", copied, capsys)
    assert "events_test.npz" in line


def no_space(paths: object, params: object) -> None:
    """As numba finds where it keeps a kernel, and matplotlib where it keeps its
    fonts.
    """
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_memory(paths: object, params: object) -> None:
    torch.empty(2**62, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("main", "said"),
    [
        (no_space, "No space left on device."),
        (no_memory, "not enough memory"),
        (
            lambda paths, params: paths["figure"],
            "list ${paths.figure} in each stage that",
        ),
    ],
)
def test_how_a_stage_ends(
    main: Any,
    said: str,
    copied: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stages.evaluate.main", main)
    (line,) = refusal("evaluate", copied, capsys)
    assert said in line


def test_all_test_images_run_and_the_first_are_counted(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The finished project counts 25 images."""
    output = load_inference_events(path_of("inference_events"))["output"]
    assert output.n_samples == N_TEST
    stated = json.loads(path_of("inference_metrics").read_text(encoding="utf-8"))
    expected = output.counts_per_sample()[:25].mean()
    assert stated["output_spikes_per_inference"] == pytest.approx(expected)
    set_parameters(copied, {"measure_inference.n_samples": 4096})
    assert run_stage("measure_inference") == 0
    assert f"4,096, but there are {N_TEST} test samples" in caplog.text


def test_the_headline_of_the_baselines_is_of_the_networks_of_equal_size(
    copied: Path,
) -> None:
    labels = load_images(path_of("test")).labels
    baselines = load_baseline(path_of("baseline"), labels)
    assert [baseline.equal_size for baseline in baselines] == 2 * [True] + 4 * [False]
    metrics = json.loads(path_of("baseline_metrics").read_text(encoding="utf-8"))
    for key, baseline in zip(("relu", "quantised"), baselines, strict=False):
        accuracy = metrics[f"{key}_test_accuracy_percent"]
        assert accuracy == pytest.approx(baseline.accuracy_percent)
        assert metrics[f"{key}_macs_dense"] == 16 * 794
        skipping = baseline.macs_nonzero.sum(axis=1).mean()
        assert metrics[f"{key}_macs_nonzero_per_inference"] == pytest.approx(skipping)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_interruption_from_the_keyboard(repository: Path, copied: Path) -> None:
    """Of a real process, started as DVC starts it."""
    # The project has the price list alone in `src`.
    shutil.rmtree(copied / "src", ignore_errors=True)
    for name in ("stages", "src"):
        (copied / name).symlink_to(repository / name)
    outputs = [path_of(name) for name in inputs_and_outputs("train", copied)[1]]
    for path in outputs:
        path.unlink()
    # 80 images in batches of one: some seconds per epoch would be too few on a fast
    # machine.
    set_parameters(copied, {"train.max_epochs": 100_000, "train.batch_size": 1})
    process = subprocess.Popen(
        ["stages/shared/run", "train"],
        cwd=copied,
        env=clean_environment(copied.parent),
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
        _, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 130
    rest = [line for line in errors.splitlines() if not line.startswith("epoch ")]
    assert rest[-1].startswith("error: interrupted from the keyboard; the same command")
    assert rest[:-1] == [""], "the error starts a line of its own"
    assert not any(path.exists() for path in outputs)
    assert not list(copied.rglob("*.tmp"))
    kept = {path.suffix for path in (copied / ".resume").iterdir()}
    assert kept == {".npz"}, "to resume from"
