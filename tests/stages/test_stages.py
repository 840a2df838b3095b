"""What can go wrong in a stage: wrong parameters, wrong files, a kill, an interruption."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from spikejoule.core import torch_files
from spikejoule.core.store import write_csv
from spikejoule.data.images import load_images, save_images
from spikejoule.encoding.events import load_events, save_events
from spikejoule.evaluation.front_rows import FRONT_COLUMNS
from spikejoule.evaluation.inference import load_inference_spikes
from spikejoule.graphs import nir_graph, write_nir
from spikejoule.model.checkpoint import read_complete
from spikejoule.model.trained import load_trained
from stages.shared.common import run_stage
from tests.tools.finished_project import (
    GIVEN,
    MODULES,
    N_TEST,
    call,
    content_of,
    inputs_and_outputs,
    path_of,
)
from tests.tools.pipeline_tools import (
    artifact_paths,
    clean_environment,
    dvc,
    git,
    set_parameters,
    write_lock,
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


class TestParameters:
    """Whatever is wrong with any section ends every stage before it reads an artifact.

    One reader of parameters serves all stages: each kind of problem meets one of them.
    """

    @pytest.fixture(autouse=True)
    def _without_inputs(self, project: Path) -> None:
        # A stage that looked at its inputs first would complain of these instead.
        for name in artifact_paths(project):
            path_of(name).unlink()

    def test_a_line_for_each_problem(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(
            project, {"train.lr": -1, "encode.max_rate": "fast", "model.decay": 2, "seed": -1}
        )
        keys = [line.split(":")[1].strip() for line in refusal("prepare", project, capsys)]
        assert sorted(keys) == ["encode.max_rate", "model.decay", "seed", "train.lr"]


class TestMismatchedInputs:
    """Whole files that do not belong together."""

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("encode.time_window", 9, "time_window 12"),
            ("encode.max_rate", 99, "max_rate_hz 80"),
            ("seed", 7, "seed 42"),
        ],
    )
    def test_validation_events_of_other_parameters(
        self,
        key: str,
        value: int,
        words: str,
        project: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        # As if the events had been copied from a run with other parameters.
        set_parameters(project, {key: value})
        (line,) = refusal("train", project, capsys)
        assert str(path_of("events_validation")) in line
        assert words in line
        assert str(value) in line

    def test_test_events_of_other_images(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        samples = load_images(path_of("test"))
        save_images(path_of("test"), samples.select(np.arange(len(samples))[::-1]))
        (line,) = refusal("evaluate", project, capsys)
        assert str(path_of("events_test")) in line

    def test_spikes_of_other_events_in_the_report(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(project, {"seed": 7})
        assert call("encode") == 0
        (line,) = refusal("energy_report", project, capsys)
        assert "measure again" in line

    def test_a_network_whose_weights_do_not_fit_its_own_architecture(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        content = torch_files.read(path_of("trained"))
        content["architecture"]["hidden"] = [17]
        torch_files.write(path_of("trained"), content)
        for stage in ("measure_inference", "evaluate", "energy_report"):
            (line,) = refusal(stage, project, capsys)
            assert "does not fit its own architecture" in line

    @pytest.mark.parametrize("stage", ["measure_inference", "evaluate"])
    def test_test_events_of_another_rate(
        self, stage: str, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        events, encoding = load_events(path_of("events_test"))
        save_events(path_of("events_test"), events, {**encoding, "max_rate_hz": 79.5})
        (line,) = refusal(stage, project, capsys)
        assert "was encoded with" in line

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"energy_report.profile": "brain"}, "energy_report.profile: 'brain' is not allowed"),
            (
                {"energy_report.figure_sample": 25, "measure_inference.n_samples": "null"},
                "allowed: 0 to 24",
            ),
        ],
    )
    def test_a_report_of_what_is_not_there(
        self,
        changes: dict[str, Any],
        words: str,
        project: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        set_parameters(project, changes)
        (line,) = refusal("energy_report", project, capsys)
        assert words in line

    @pytest.mark.parametrize("engine", ["event", "dense"])
    def test_training_that_diverges(
        self, engine: str, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(project, {"train.engine": engine, "train.logit_scale": "1e300"})
        (line,) = refusal("train", project, capsys)
        assert "diverged" in line
        assert "train.lr" in line


class TestReport:
    def test_energy_is_the_counted_events_times_their_prices(self, finished: Path) -> None:
        paths = artifact_paths(finished)
        energy = json.loads((finished / paths["energy_metrics"]).read_text(encoding="utf-8"))
        events, macs = energy["synaptic_events_per_inference"], 16 * 794
        # Additions of events and biases, multiplications of leaks: 26 neurons, 12 steps
        expected = 0.9 * events + (0.9 + 3.7) * 12 * 26
        assert energy["energy_per_inference_pj"] == pytest.approx(expected)
        low, high = (energy[f"energy_per_inference_{end}_pj"] for end in ("low", "high"))
        assert low < expected < high
        # The baseline's biases: an addition a neuron
        assert energy["ratio_to_dense_ann"] == pytest.approx(expected / (4.6 * macs + 0.9 * 26))
        proxies = torch_files.read(finished / paths["checkpoint"])["energy_proxies"]
        assert proxies["event_syn_per_inference"] == events
        dense = energy["dense_operations_per_inference"]
        assert proxies["dense_ops_per_inference"] == dense == macs * 12

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


class TestPublish:
    def test_a_report_that_repeats_itself_adds_no_run_and_a_front_that_is_belied_is_refused(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        checkpoint = path_of("checkpoint").read_bytes()
        for _ in range(2):
            assert call("energy_report") == 0
            record(project)
            assert call("publish") == 0
        assert path_of("checkpoint").read_bytes() == checkpoint
        client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("spikejoule").experiment_id
        (recorded,) = client.search_runs([experiment])
        point = (99.9, 99.9, 100.0, "mnist5k", recorded.data.tags["git.commit"])
        row = (recorded.info.run_name, 0, 1, *point, recorded.info.run_id)
        write_csv(path_of("front"), FRONT_COLUMNS, [row])
        assert call("energy_report") == 0
        page = path_of("energy_page").read_text(encoding="utf-8")
        assert f"the front: MLflow run {recorded.info.run_id}" in page
        record(project)
        capsys.readouterr()
        assert call("publish") == 1
        assert f"row 2 is not what run {recorded.info.run_id} holds" in capsys.readouterr().err
        assert len(client.search_runs([experiment])) == 1

    def test_a_checkpoint_that_the_lock_does_not_record(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        content = torch_files.read(path_of("checkpoint"))
        torch_files.write(path_of("checkpoint"), content | {"test_accuracy": 99.9})
        (line,) = refusal("publish", project, capsys)
        assert f"{path_of('checkpoint')} is not the file that dvc.lock records: its MD5" in line


def record(project: Path) -> None:
    """A dvc.lock of the files that are there."""
    paths = artifact_paths(project)
    given = [Path(paths[name]) for name in GIVEN]
    write_lock(project, [Path(path) for path in paths.values() if Path(path) not in given], given)


class TestOutputsThatCannotBeWritten:
    @pytest.mark.parametrize("stage", [name for name in MODULES if name != "publish"])
    def test_a_file_in_the_place_of_a_folder(
        self, stage: str, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, outputs = inputs_and_outputs(stage, project)
        paths = artifact_paths(project)
        module = MODULES[stage]
        (project / "blocked").write_text("a file")
        write_paths(project, paths | {name: f"blocked/{name}" for name in outputs})
        capsys.readouterr()
        assert run_stage(module.main, None, []) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line]
        assert len(errors) == 1
        assert errors[0].startswith("error: blocked/")
        assert "cannot be written" in errors[0]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
class TestEndedFromOutside:
    """Real processes, started as DVC starts them."""

    @pytest.fixture
    def launch(
        self, repository: Path, project: Path
    ) -> Iterator[Callable[..., subprocess.Popen[str]]]:
        for name in ("stages", "src"):
            # The fixture before this one leaves the price list alone in `src`.
            shutil.rmtree(project / name, ignore_errors=True)
            (project / name).symlink_to(repository / name)
        git(project, clean_environment(project.parent), "init", "-q")
        started: list[subprocess.Popen[str]] = []

        def launch(stage: str) -> subprocess.Popen[str]:
            # A background job of a shell ignores the interruption from the keyboard; so would all
            # that it starts.
            restore = (
                "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
                "os.execv(sys.argv[1], sys.argv[1:])"
            )
            process = subprocess.Popen(
                [sys.executable, "-c", restore, "stages/shared/run", stage],
                cwd=project,
                env=clean_environment(project.parent),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(process)
            return process

        yield launch
        for process in started:
            process.kill()
            process.communicate()

    @pytest.fixture
    def long_training(self, project: Path) -> None:
        """Parameters with which the second epoch is sure to be cut short; no old outputs."""
        for name in TRAIN_OUTPUTS:
            path_of(name).unlink()
        # 80 images in batches of one: some seconds per epoch would be too few on a fast machine.
        set_parameters(project, {"train.max_epochs": 100_000, "train.batch_size": 1})

    def in_the_second_epoch(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 1/"):
                return
        pytest.fail("training ended by itself")

    @pytest.mark.usefixtures("long_training")
    def test_killed_training_leaves_nothing_but_its_state(
        self, project: Path, launch: Callable[..., subprocess.Popen[str]]
    ) -> None:
        before = content_of(project)
        process = launch("train")
        self.in_the_second_epoch(process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=PROCESS_SECONDS) == -signal.SIGKILL
        after = {
            name: data for name, data in content_of(project).items() if "__pycache__" not in name
        }
        kept = {name for name in after if name.startswith(".resume/")}
        assert {Path(name).suffix for name in kept} == {".lock", ".npz"}  # to go on from
        assert {name: data for name, data in after.items() if name not in kept} == {
            name: data for name, data in before.items() if "__pycache__" not in name
        }

    @pytest.mark.usefixtures("long_training")
    def test_interruption_from_the_keyboard(
        self, project: Path, launch: Callable[..., subprocess.Popen[str]]
    ) -> None:
        process = launch("train")
        self.in_the_second_epoch(process)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PROCESS_SECONDS)
        assert process.returncode == 130
        rest = [line for line in errors.splitlines() if not line.startswith("epoch ")]
        assert rest == ["error: interrupted from the keyboard."]
        assert not any(path_of(name).exists() for name in TRAIN_OUTPUTS)
        assert not list(project.rglob("*.tmp"))

    def test_a_kill_in_the_middle_of_writing(self, project: Path, repository: Path) -> None:
        """The old file stays whole; of the new one neither git nor DVC sees anything."""
        environment = clean_environment(project.parent)
        environment["PYTHONPATH"] = str(repository / "src")
        old = path_of("trained").read_bytes()
        code = (
            "import os, signal, sys\n"
            "from spikejoule.core.store import atomic_writer\n"
            "for path in sys.argv[1:]:\n"
            "    with atomic_writer(path) as stream:\n"
            "        stream.write(b'half')\n"
            "        stream.flush()\n"
            "        if path == sys.argv[-1]:\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        git(project, environment, "init", "-q")
        dvc(project, environment, "init", "-q")
        seen = git(project, environment, "status", "--porcelain", "-uall")
        for target in (path_of("trained"), path_of("history")):
            done = subprocess.run([sys.executable, "-c", code, str(target)], env=environment)
            assert done.returncode == -signal.SIGKILL
        temporary = sorted(str(path.relative_to(project)) for path in project.rglob("*.tmp"))
        assert len(temporary) == 2, "nothing was interrupted"
        assert path_of("trained").read_bytes() == old
        assert git(project, environment, "status", "--porcelain", "-uall") == seen
        ignored = dvc(project, environment, "check-ignore", *temporary)
        assert ignored.split() == temporary


class TestNeurons:
    """Every choice of `model` through the stages that know the neuron."""

    @pytest.mark.parametrize(
        ("neuron", "leaks"),
        [
            ({"reset": "subtract", "bias": "false", "decay": "[1.0, 0.8]"}, {"output"}),
            ({"learned": "both", "threshold": "[0.3, 0.4]"}, {"hidden", "output"}),
            ({"learned": "threshold", "decay": 1.0, "bias": "false"}, set()),
        ],
    )
    def test_runs(self, project: Path, neuron: dict[str, Any], leaks: set[str]) -> None:
        set_parameters(project, {f"model.{name}": value for name, value in neuron.items()})
        for stage in ("train", "measure_inference", "evaluate", "energy_report"):
            assert call(stage) == 0
        checkpoint = read_complete(path_of("checkpoint"))
        entry = checkpoint.architecture.neuron.entry()
        assert checkpoint.content["model_class"] == "spikejoule.SpikingNetwork"
        assert entry.get("learned", "none") == neuron.get("learned", "none")
        assert checkpoint.architecture.neuron.has_bias == ("bias" not in neuron)
        if "learned" in neuron:
            assert isinstance(entry["threshold"], list)
        with path_of("energy_table").open(encoding="utf-8") as stream:
            counts = {
                (row["term"], row["layer"]): float(row["count"])
                for row in csv.DictReader(stream)
                if (row["profile"], row["network"]) == ("45nm-fp32", "snn")
                and (row["phase"], row["class"]) == ("inference", "")
                and row["term"] in ("leak_multiplication", "bias_addition")
            }
        for (term, layer), count in counts.items():
            expected = layer in leaks if term == "leak_multiplication" else "bias" not in neuron
            assert (count > 0) == expected, (term, layer)
