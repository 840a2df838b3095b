"""measure_inference, evaluate, energy_report and publish as `stages/shared/run` starts them."""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from spikejoule.core.store import write_csv, write_json
from spikejoule.core.yaml_files import stage_paths
from spikejoule.data.images import Dataset, samples_sha256, save_images
from spikejoule.encoding.events import load_events, save_events
from spikejoule.energy.profile_files import PACKAGED
from spikejoule.energy.tables import FrontsTable, VerdictTable
from spikejoule.evaluation.front_rows import FRONT_COLUMNS
from spikejoule.evaluation.inference import load_inference_spikes
from spikejoule.graphs import nir_graph, write_nir
from spikejoule.model.trained import load_trained, save_trained
from stages import energy_report, evaluate, measure_inference, publish
from stages.shared.common import run_stage
from tests.tools.examples import (
    BASELINE_METRICS,
    BASELINE_TIMINGS,
    ENCODE_METRICS,
    TRAIN_METRICS,
    TRAIN_TIMINGS,
    trained_network,
    write_baselines,
)
from tests.tools.pipeline_tools import artifact_paths, write_lock, write_paths
from tests.tools.settings import draw_key, encode

N_TEST = 60
ENCODING: dict[str, str | int | float] = {
    "type": "poisson", "time_window": 50, "max_rate_hz": 80.0, "seed": 7,
}  # fmt: skip
CLOCKS = ("inference_timings", "train_timings", "checkpoint")


GIVEN = ("hardware", "front")


def path_of(name: str) -> Path:
    endings = {"trained": "pth", "checkpoint": "pth", "history": "csv", "confusion": "csv"}
    endings |= {"per_class": "csv", "test": "npz", "events_test": "npz", "predictions": "npz"}
    endings |= {"inference_spikes": "npz", "inference_events": "npz"}
    endings |= {
        "energy_table": "csv",
        "energy_page": "html",
        "front": "csv",
        "verdict": "csv",
        "fronts": "csv",
    }
    endings |= {"baseline": "npz", "hardware": "yaml"}
    endings |= {"validation": "npz", "events_validation": "npz", "accuracy_by_step": "csv"}
    endings |= {"nir": "nir", "contenders": "npz", "energy_card": "md"}
    kind = "png" if name in ("training_curves", "spike_raster") or "figure" in name else "json"
    return Path("out") / f"{name}.{endings.get(name, kind)}"


def run(stage: Any, **paths: Path) -> int:
    """Start a stage with every artifact at its place, or at the place given."""
    if stage is publish:
        names = stage_paths(Path(__file__).parents[2], "publish")
        made = [path_of(name) for name in names if name not in GIVEN]
        write_lock(Path(), made, [path_of(name) for name in GIVEN])
    names = artifact_paths(Path(__file__).parents[2])
    write_paths(Path(), {name: paths.get(name, path_of(name)) for name in names})
    return run_stage(stage.main, stage.__doc__, [])


def set_parameters(repository: Path, changes: Mapping[str, str]) -> None:
    """params.yaml in the working directory, with lines replaced."""
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path("params.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def finished(repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the four stages have run on what training left."""
    folder = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(variable, raising=False)
        set_parameters(repository, {"n_samples: null": "n_samples: 40"})
        prepare(mnist5k)
        for stage in (measure_inference, evaluate, energy_report, publish):
            assert run(stage) == 0
    return folder


def prepare(mnist5k: Dataset) -> None:
    """What the stages before these leave: digits, events, a trained network, its metrics."""
    network = trained_network()
    splits = {"test": mnist5k.test.select(slice(N_TEST))}
    splits["validation"] = mnist5k.train.select(slice(N_TEST))
    for split, samples in splits.items():
        save_images(path_of(split), samples)
        events = encode(samples.images, 50, 80.0, draw_key(7, split, 0))
        header = {**ENCODING, "split": split, "images_sha256": samples_sha256(samples)}
        save_events(path_of(f"events_{split}"), events, header)
    save_trained(path_of("trained"), network)
    write_baselines(path_of("baseline"), splits["test"].labels)
    shutil.copy(PACKAGED, path_of("hardware"))
    write_csv(path_of("front"), FRONT_COLUMNS, [])
    write_csv(path_of("verdict"), VerdictTable.columns(), [])
    write_csv(path_of("fronts"), FrontsTable.columns(), [])
    write_json(path_of("data_metrics"), network.data)
    write_json(path_of("encode_metrics"), ENCODE_METRICS)
    write_json(path_of("train_metrics"), TRAIN_METRICS)
    write_json(path_of("train_timings"), TRAIN_TIMINGS)
    write_json(path_of("baseline_metrics"), BASELINE_METRICS)
    write_json(path_of("baseline_timings"), BASELINE_TIMINGS)
    write_csv(path_of("history"), ("epoch", "train_loss"), [(1, 1.0), (2, 0.5)])


@pytest.fixture
def workspace(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished working directory, to change."""
    folder = tmp_path / "workspace"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    # the store's paths are absolute: a copy needs one of its own
    (folder / "mlflow.db").unlink()
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    return folder


def content(folder: Path, name: str) -> Any:
    return json.loads((folder / path_of(name)).read_text(encoding="utf-8"))


class TestOutputs:
    def test_the_checkpoint_holds_what_was_measured(self, finished: Path) -> None:
        checkpoint = torch.load(finished / path_of("checkpoint"), weights_only=True)
        counts = load_inference_spikes(finished / path_of("inference_spikes"))
        assert checkpoint["inference_spikes"]["total_hidden"] == counts.totals["hidden"]
        evaluation = content(finished, "evaluate_metrics")
        assert checkpoint["test_accuracy"] == evaluation["test_accuracy_percent"]
        test = checkpoint["spikejoule"]["test"]
        assert test["n_samples"] == N_TEST
        assert test["confidence"] == 0.95
        with (finished / path_of("per_class")).open() as stream:
            for row in csv.DictReader(stream):
                assert test["per_class"][row["class"]] == float(row["accuracy_percent"])
        energy = content(finished, "energy_metrics")
        proxies = checkpoint["energy_proxies"]
        assert proxies["event_syn_per_inference"] == energy["synaptic_events_per_inference"]
        assert proxies["dense_ops_per_inference"] == 15_880 * 50
        assert energy["dense_operations_per_inference"] == 15_880 * 50

    def test_the_graph_is_the_network(self, finished: Path) -> None:
        trained = load_trained(finished / path_of("trained"))
        write_nir(finished / "again.nir", nir_graph(trained))
        graph = (finished / path_of("nir")).read_bytes()
        assert graph == (finished / "again.nir").read_bytes()

    def test_the_energy_is_that_of_the_counted_images(self, finished: Path) -> None:
        energy = content(finished, "energy_metrics")
        events = energy["synaptic_events_per_inference"]
        # additions of events and biases, multiplications of leaks: 30 neurons, 50 steps
        expected = 0.9 * events + (0.9 + 3.7) * 50 * 30
        assert energy["energy_per_inference_pj"] == pytest.approx(expected)
        low, high = (energy[f"energy_per_inference_{end}_pj"] for end in ("low", "high"))
        assert low < expected < high
        # the baseline's biases: an addition a neuron
        assert energy["ratio_to_dense_ann"] == pytest.approx(expected / (4.6 * 15_880 + 0.9 * 30))
        macs = np.arange(3000, 3040).mean() + 120
        skipping_pj = 4.6 * macs + 0.9 * 30
        assert energy["ratio_to_zero_skipping_ann"] == pytest.approx(expected / skipping_pj)
        assert energy["equal_accuracy_baseline"].startswith("ReLU 784-20-10, ")
        assert energy["profiles_won"] <= energy["profiles_compared"] == 8
        assert energy["training_energy_mj"] > 0
        with (finished / path_of("energy_table")).open() as stream:
            rows = list(csv.DictReader(stream))
        totals = [
            row
            for row in rows
            if (row["profile"], row["phase"], row["term"]) == ("45nm-fp32", "inference", "total")
        ]
        assert totals[0]["class"] == ""
        assert float(totals[0]["pj"]) == pytest.approx(expected)
        assert len(totals) > 5


class TestAgain:
    def test_the_report_alone_repeats_itself_wholly_and_adds_no_run(
        self, finished: Path, workspace: Path
    ) -> None:
        for _ in range(2):
            assert run(energy_report) == 0
            assert run(publish) == 0
        path = path_of("checkpoint")
        assert (workspace / path).read_bytes() == (finished / path).read_bytes()
        client = MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("spikejoule")
        assert len(client.search_runs([experiment.experiment_id])) == 1

    def test_a_front_that_a_recorded_run_belies(
        self, workspace: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(publish) == 0
        client = MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("spikejoule")
        (recorded,) = client.search_runs([experiment.experiment_id])
        point = (99.9, 99.9, 100.0, "mnist5k", recorded.data.tags["git.commit"])
        row = (recorded.info.run_name, 0, 1, *point, recorded.info.run_id)
        write_csv(path_of("front"), FRONT_COLUMNS, [row])
        assert run(energy_report) == 0
        page = path_of("energy_page").read_text(encoding="utf-8")
        assert f"the front: MLflow run {recorded.info.run_id}" in page
        assert "SHA-256 of front.csv" in page
        capsys.readouterr()
        assert f"row 2 is not what run {recorded.info.run_id} holds" in refusal(capsys, publish)
        assert len(client.search_runs([experiment.experiment_id])) == 1

    def test_an_unreachable_server_is_an_error(
        self, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        said = refusal(capsys, publish)
        assert said.startswith("error: the run was not recorded at http://127.0.0.1:9 (")

    def test_fewer_test_images_than_asked_for(
        self, workspace: Path, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(repository, {"n_samples: null": "n_samples: 4096"})
        assert run(measure_inference) == 0
        assert "4,096, but there are 60 test samples" in capsys.readouterr().err
        counts = load_inference_spikes(workspace / path_of("inference_spikes"))
        assert counts.n_samples == N_TEST

    def test_all_test_images_are_measured_by_default(
        self, workspace: Path, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(repository, {})
        assert run(measure_inference) == 0
        assert "warning" not in capsys.readouterr().err
        counts = load_inference_spikes(workspace / path_of("inference_spikes"))
        assert counts.n_samples == N_TEST


def refusal(capsys: pytest.CaptureFixture[str], stage: Any, **paths: Path) -> str:
    """The one line with which a stage refuses its inputs."""
    assert run(stage, **paths) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    return errors


@pytest.mark.usefixtures("workspace")
class TestRefusals:
    @pytest.mark.parametrize("stage", [measure_inference, evaluate])
    @pytest.mark.parametrize("changes", [{"max_rate_hz": 100.0}, {"max_rate_hz": 79.5}])
    def test_events_of_another_encoding(
        self, stage: Any, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        events, encoding = load_events(path_of("events_test"))
        save_events(path_of("events_test"), events, {**encoding, **changes})
        assert "was encoded with" in refusal(capsys, stage)

    def test_images_and_events_of_different_numbers(
        self, mnist5k: Dataset, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save_images(path_of("test"), mnist5k.test.select(slice(N_TEST - 1)))
        assert "(60 samples) does not encode the 59 images" in refusal(capsys, evaluate)

    def test_spikes_of_other_events(self, capsys: pytest.CaptureFixture[str]) -> None:
        events, encoding = load_events(path_of("events_test"))
        backwards = events.select(np.arange(events.n_samples)[::-1])
        save_events(path_of("events_test"), backwards, encoding)
        assert "measure again" in refusal(capsys, energy_report)

    def test_prices_that_are_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = path_of("hardware").read_text(encoding="utf-8")
        line = text.split("mac: 4.6")[0].count("\n") + 1
        path_of("hardware").write_text(text.replace("mac: 4.6", "mac: -1"), encoding="utf-8")
        path_of("checkpoint").unlink()
        assert f"hardware.yaml, line {line}: " in refusal(capsys, energy_report)
        assert not path_of("checkpoint").exists()

    def test_a_profile_that_the_price_file_lacks(
        self, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(repository, {"profile: 45nm-fp32": "profile: brain"})
        assert "energy_report.profile: 'brain' is not allowed" in refusal(capsys, energy_report)

    def test_a_figure_of_an_image_that_was_not_measured(
        self, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_parameters(repository, {"figure_sample: 0": "figure_sample: 40"})
        assert "allowed: 0 to 39" in refusal(capsys, energy_report)
