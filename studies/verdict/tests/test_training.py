"""What training to equal accuracy costs follows from the ledger."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from spikejoule.compare.training import training_ledger
from spikejoule.counts.training import record_of_epochs
from spikejoule.data.images import LabelledImages
from spikejoule.energy.dataflow import DENSE, ZERO_SKIPPING
from spikejoule.energy.estimates import PJ_PER_J, BootstrapSettings
from spikejoule.energy.prices import load_profiles
from studies.verdict.training import conventional, priced_by, spiking
from studies.verdict.trainings import (
    preset_params,
    setup_of,
    train_conventional,
    train_spiking,
)
from tests.compare.test_verdict import variant

ABOUT = {"run": "test", "seed": 42, "git_commit": "c0ffee"}


def drawn(n: int) -> LabelledImages:
    """Random images with random labels."""
    generator = np.random.default_rng(n)
    images = generator.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    labels = generator.integers(0, 10, n, dtype=np.uint8)
    return LabelledImages(images, labels, np.arange(n))


def test_joules_of_a_small_run_are_those_of_the_ledger() -> None:
    params = preset_params("contest-98", 42)
    once = params.train.model_copy(update={"max_epochs": 1})
    params = params.model_copy(update={"train": once})
    splits = {"train": drawn(130), "validation": drawn(40), "test": drawn(30)}
    profiles = priced_by(load_profiles().values())

    setup = setup_of(params, splits)
    history = train_spiking(params, splits)
    record = record_of_epochs(setup, history)
    assert record is not None
    trained = train_conventional(params, splits)
    sides = (
        spiking("s", setup, history),
        conventional(trained.counts, trained.runs, trained.accuracies_percent, record),
    )
    rows = [row for side in sides for row in side.rows(profiles, ABOUT, levels=[0])]

    settings = BootstrapSettings(resamples=100, confidence=0.95, seed=1)
    network = variant("spiking", [1, 2], 97.0)
    baseline = replace(trained.counts, training=trained.runs[-1])
    ledger = training_ledger(network, record, [baseline], profiles, settings)
    ways = [(counted.side, counted.dataflow) for counted in ledger.variants]
    in_ledger = product(("spiking", "conventional"), (ZERO_SKIPPING, DENSE))
    for row, way in zip(rows, in_ledger, strict=True):
        for profile in profiles:
            total = ledger.total(ways.index(way), profile.id)
            for end, pj in (("low", total.low_pj), ("high", total.high_pj)):
                joules = row.model_dump()[f"{profile.id}:joules_{end}"]
                assert joules == pytest.approx(pj / PJ_PER_J, rel=1e-5)
            assert total.low_pj > 0
