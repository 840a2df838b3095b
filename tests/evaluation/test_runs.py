"""The file of counted runs: `price` counts the same operations as from the spikes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.count import count_operations
from spikejoule.evaluation.early_exit import choose_early_exit, step_outcomes
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import (
    RUNS,
    CountedSamples,
    counted_runs,
    load_runs,
    method_of,
    save_runs,
)
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.readout import Readout
from tests.tools.examples import complete_checkpoint, trained_network

LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)
POISSON = Poisson(time_window=50, max_rate=80.0)
EXITS = np.array([50, 1, 7, 20, 49, 50])


def counted(
    encoder: Encoder, readout: Readout = Readout.SPIKES
) -> tuple[Checkpoint, CountedSamples]:
    """Count a network without biases, for which lazy updates are fewer."""
    trained = trained_network(neuron=LeakyIntegrateAndFire(bias=False))
    network = trained.network.with_readout(readout)
    trained = replace(trained, encoder=encoder, network=network)
    images = np.zeros((6, 28, 28), np.uint8)
    images[:, 14, 9:12] = np.arange(6)[:, None] + 200
    events = encoder.events(images, np.uint64(1))
    measured = measure_network(trained.state, trained.network, events)
    outcomes = step_outcomes(measured, LABELS)
    tolerance = None if readout.is_spiking else 0.0
    early = choose_early_exit(outcomes, outcomes, tolerance)
    runs = counted_runs(measured, encoder, images, EXITS)
    return complete_checkpoint(trained), CountedSamples(runs, LABELS, early)


@pytest.mark.parametrize(
    ("encoder", "readout"),
    [
        (Poisson(time_window=50, max_rate=80.0), Readout.SPIKES),
        (Poisson(time_window=50, max_rate=80.0), Readout.MAX_POTENTIAL),
        (Direct(time_window=50, direct_products="every_step"), Readout.SPIKES),
    ],
)
def test_operations_are_the_same_after_writing_and_reading(
    tmp_path: Path, encoder: Encoder, readout: Readout
) -> None:
    checkpoint, samples = counted(encoder, readout)
    assert samples.early is not None
    save_runs(tmp_path / "counts.npz", samples.runs, LABELS, checkpoint)
    read = load_runs(tmp_path / "counts.npz", checkpoint, samples.early)
    assert read.labels is not None
    assert read.labels.tolist() == LABELS.tolist()
    ways = [(method_of(run), run.lazy) for run in read.runs]
    assert ways == [(method_of(run), run.lazy) for run in samples.runs]
    assert len(ways) == 4
    for ours, theirs in zip(samples.runs, read.runs, strict=True):
        expected = count_operations(ours)
        found = count_operations(theirs)
        assert found.columns == expected.columns
        assert (found.counts == expected.counts).all()


def test_counts_of_another_network_are_refused(tmp_path: Path) -> None:
    """Also of one with the same layers."""
    checkpoint, samples = counted(POISSON)
    assert samples.early is not None
    save_runs(tmp_path / "counts.npz", samples.runs, LABELS, checkpoint)
    for other in (trained_network(hidden=(20, 20)), trained_network(seed=2)):
        with pytest.raises(ArtifactError, match="counts another network"):
            load_runs(
                tmp_path / "counts.npz", complete_checkpoint(other), samples.early
            )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("run1.spikes"), "run1.spikes is missing"),
        (lambda arrays: arrays.pop("run0.encoding"), "run1.encoding belongs to no run"),
        (lambda arrays: arrays.update(lazy=arrays["lazy"][::-1]), "the first must be"),
        (lambda arrays: arrays["methods"].put(0, "early exit"), "the first must be"),
        (lambda arrays: arrays.update(methods=arrays["methods"][:0]), "methods|lazy"),
        (
            lambda arrays: arrays.update({"run9.spikes": arrays["run0.spikes"]}),
            "run9.spikes belongs to no run",
        ),
        (
            lambda arrays: arrays.update({"run0.macs": arrays["run2.exit_steps"]}),
            "macs does not fit",
        ),
        (
            lambda arrays: arrays.update(
                {"run0.updates": arrays["run0.updates"][:, :1]}
            ),
            "does not have 2 columns",
        ),
        (
            lambda arrays: np.multiply(
                arrays["run0.updates"], 1000, out=arrays["run0.updates"]
            ),
            "more than one per neuron and step",
        ),
        (lambda arrays: arrays["run2.exit_steps"].fill(51), "beyond the 50 steps"),
    ],
)
def test_damaged_counts_are_refused_in_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    checkpoint, samples = counted(POISSON)
    assert samples.early is not None
    path = tmp_path / "counts.npz"
    save_runs(path, samples.runs, LABELS, checkpoint)
    arrays = RUNS.read(path)
    change(arrays)
    write_npz(path, RUNS.schema, arrays)
    with pytest.raises(ArtifactError, match=words):
        load_runs(path, checkpoint, samples.early)
