"""The protocol on a few images: what is trained, counted and joined."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from spikejoule.data.dataset import DataDescription, Dataset
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.ledger import SideName
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.network import weights_and_biases
from spikejoule.network.torch_twin import initial_state
from studies.verdict import searching
from studies.verdict.entrants import sent_once
from studies.verdict.headline import PROFILE
from studies.verdict.project import price_lists
from studies.verdict.protocol import SIDES, Configuration, Protocol, Stage
from studies.verdict.searching import Workshop
from studies.verdict.trainings import PreparedImages
from tests.tools.examples import trained_network


@pytest.fixture
def images(mnist5k: Dataset, monkeypatch: pytest.MonkeyPatch) -> PreparedImages:
    """200 images to learn from, 100 and 50 others."""
    splits = {
        name: mnist5k.train.select(slice(first, last))
        for name, first, last in (
            ("train", 0, 200),
            ("validation", 200, 300),
            ("test", 300, 350),
        )
    }
    described = DataDescription.model_validate(trained_network().data)
    prepared = PreparedImages(splits, described)  # type: ignore[arg-type]
    monkeypatch.setattr(searching, "images_of", lambda seed: prepared)
    return prepared


def short(configuration: Configuration) -> Configuration:
    return replace(configuration, epochs=2)


def test_both_sides_have_equal_numbers_of_configurations() -> None:
    protocol = Protocol.read()
    for stage in get_args(Stage):
        spiking, conventional = (
            [one.digest for one in protocol.configurations(stage, side)]
            for side in SIDES
        )
        assert len(set(spiking)) == len(spiking) == len(conventional)
        assert len(set(conventional)) == len(conventional)


@pytest.mark.parametrize("side", SIDES)
def test_networks_and_cascades_of_a_seed(
    side: SideName, images: PreparedImages, tmp_path: Path
) -> None:
    protocol = Protocol.read()
    workshop = Workshop(tmp_path, [price_lists()[PROFILE]], 0.1)
    first, second, *_ = protocol.configurations("search", side)
    searched = [workshop.kept(short(one), 41) for one in (first, second)]
    rows = [one.row for one in workshop.rows(searched, 41)]
    assert [row.n_networks for row in rows] == [1, 1, 1, 1, 2, 2]
    assert len({row.configuration for row in rows}) == 3
    # Test images are not read.
    assert {row.n_images for row in rows} == {100}
    assert all(row.test_percent == row.validation_percent for row in rows)
    # Trained once, and in the stage `final` anew.
    files = sorted(tmp_path.iterdir())
    again = workshop.kept(short(first), 41)
    assert sorted(tmp_path.iterdir()) == files
    assert again.network.digest == searched[0].network.digest
    final = workshop.kept(replace(short(first), stage="final"), 41)
    assert len([*workshop.rows([final], 41)]) == 2
    assert {one.row.n_images for one in workshop.rows([final], 41)} == {50}


def test_a_one_shot_network_is_a_quantised_relu_network(mnist5k: Dataset) -> None:
    """Hidden spike counts are whole activations from 0 to the number of steps.

    So the same weights give the same potentials in a conventional network, which sends
    each count once.
    """
    protocol = Protocol.read()
    configuration = next(protocol.configurations("search", "spiking"))
    widths = {"model.weight_bits": 32, "model.state_bits": 32}
    in_floats = {**configuration.changes, **widths}
    params = replace(configuration, changes=in_floats).params(7)
    encoder = params.encode.encoder
    network = params.model.network_of((28, 28), 10)
    state = {
        key: value.numpy() * 20 for key, value in initial_state(network, 7).items()
    }
    test = mnist5k.test.select(slice(64))
    events = encode_samples(encoder, test, 7, "test").events
    measured = measure_network(state, network, events)

    (hidden, bias), (output, last_bias) = weights_and_biases(state)
    pixels = (test.images.reshape(64, -1) / 255 > 0.45).astype(np.float64)  # type: ignore[union-attr]
    sums = pixels @ hidden.T + bias
    steps = encoder.time_window
    activations = np.clip(np.floor(sums), 0, steps)
    assert {0.0, 1.0, float(steps)} <= set(activations.ravel().tolist())
    assert measured.scores == pytest.approx(
        activations @ output.T + last_bias, abs=1e-4
    )
    expected = (pixels * len(hidden)).sum(axis=1) + 10 * (activations > 0).sum(axis=1)
    assert sent_once(measured).tolist() == expected.tolist()
    spikes = (pixels * len(hidden)).sum(axis=1) + 10 * activations.sum(axis=1)
    assert measured.synaptic_events.sum(axis=1).tolist() == spikes.tolist()
