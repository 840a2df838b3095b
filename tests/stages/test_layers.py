"""The pipeline with convolutions, pooling and recurrence, up to the NIR graph."""

from pathlib import Path

import numpy as np
import pytest

from spikejoule.encoding.encoded_files import load_encoded_images
from spikejoule.energy.words import layers
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import read_complete
from spikejoule.network.trained import load_trained
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from spikejoule.tracking.publishing import build_run_record
from tests.stages.test_other_data import percent, run_pipeline
from tests.tools.committed import committed_params
from tests.tools.finished_project import run_stages
from tests.tools.pipeline_tools import STAGES, artifact_paths, make_project
from tests.tools.without_torch import needs_torch

pytestmark = needs_torch

# Fraction of spikes on which engine and graph may differ: float32 potentials round.
MISMATCHES_ALLOWED = 1e-4


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (["6c5s2", "2avg", "20r"], 32),
        pytest.param(["6c5s2", "2sum", "20r"], 6, marks=pytest.mark.slow),
    ],
)
def test_any_layers(
    words: list[str], bits: int, tmp_path: Path, repository: Path
) -> None:
    paths = run_pipeline(
        repository,
        tmp_path / "project",
        model__layers=words,
        model__reset="subtract",
        model__weight_bits=bits,
        encode__encoding="latency",
        data__source="mnist5k",
        train__max_epochs=2,
        train__batch_size=64,
        train__engine="auto",
        train__pruned_fraction=0.0 if bits == 32 else 0.3,
        train__prune_start=0.0,
    )
    assert percent(paths) > 50
    trained = load_trained(paths["trained"])
    network = trained.network
    complete = read_complete(paths["checkpoint"])
    assert network == complete.network
    counted = complete.file.inference_spikes.n_samples
    measured = read_measurement(paths, trained).first(counted)
    proxies = complete.file.energy_proxies.per_layer
    events = measured.synaptic_events.mean(axis=0)
    for name, mean in zip(network.connection_names, events, strict=True):
        assert proxies[name].synaptic_events_per_inference == pytest.approx(mean)
    assert layers(network) in paths["energy_page"].read_text(encoding="utf-8")
    record = build_run_record(paths, committed_params(), {})
    assert f"{network.layer_names[-2]}_spikes_per_sample" in record.history[0]

    if bits < 32:  # NIR graphs do not compute in integers
        return
    inputs, _ = load_encoded_images(paths["events_test"])
    inputs = inputs.select(slice(measured.counts.n_samples))
    names = [f"neurons{k + 1}" for k in range(len(measured.layers) - 1)]
    run = run_graph(read_nir(paths["nir"]), inputs, record=names)
    for name, layer in zip(names, measured.layers[1:], strict=True):
        differing = run.recorded[name].to_dense(np.int8) != layer.to_dense(np.int8)
        assert differing.mean() < MISMATCHES_ALLOWED, name


def test_layers_that_do_not_fit_the_samples_are_refused_before_any_training(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    make_project(
        repository, folder, {"data.source": "mnist5k", "model.layers": "[12c5g2]"}
    )
    with pytest.raises(AssertionError, match="baseline"):
        run_stages(folder, STAGES)
    assert "the layer 12c5g2 has 2 groups" in capsys.readouterr().err
    assert not (folder / artifact_paths(repository)["baseline"]).exists()
