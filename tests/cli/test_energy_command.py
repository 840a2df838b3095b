"""`spikejoule energy` on complete checkpoints of this and other writers."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.compare.from_checkpoint import analysis_inputs, training_record
from spikejoule.core import torch_files
from spikejoule.counts.measurement import Measurement
from spikejoule.counts.proxies import checkpoint_proxies
from spikejoule.data.dataset import Dataset
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.events import PRODUCTS, Products
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import CountedSamples, counted_runs
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.trained import InferenceResults, completed
from tests.energy.test_profiles import GOOD
from tests.tools.cli import Cli
from tests.tools.examples import (
    EVALUATION,
    TRAIN_TIMINGS,
    complete_content,
    trained_network,
    write_baselines,
    write_example,
)
from tests.tools.settings import draw_key

N_IMAGES = 12
# 400 and 300 spikes of input and hidden; 784-20-10, 50 steps
SPIKING_PJ = 0.9 * (400 * 20 + 300 * 10) + (0.9 + 3.7) * 50 * 30


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_example(tmp_path / "c.pth")


def totals(energy: dict[str, Any]) -> list[dict[str, Any]]:
    """The network's own under the first profile: of an inference, and of each class."""
    return [
        row
        for row in energy["energies"]
        if (row["profile"], row["network"], row["phase"], row["term"])
        == (energy["headline"]["profile"], "snn", "inference", "total")
    ]


def measure(
    network: Checkpoint, mnist5k: Dataset, n_images: int, pruned: bool = False
) -> Measurement:
    """Run a network on the first test images."""
    images = mnist5k.test.select(slice(n_images))
    events = network.encoder.events(images.images, draw_key(7, "test", 0), images.index)
    return measure_network(network.state, network.network, events, pruned=pruned)


class TestCommand:
    def test_recorded_means_have_no_interval(self, checkpoint: Path, cli: Cli) -> None:
        energy = cli.json("energy", checkpoint, "--profile", "45nm-fp32")
        assert energy["headline"]["energy_nj"] == pytest.approx(SPIKING_PJ / 1000)
        (total,) = totals(energy)
        assert total["pj"] == pytest.approx(SPIKING_PJ)
        assert total["pj_interval_low"] is None
        page = checkpoint.with_name("energy.html")
        text = cli.text("energy", checkpoint, "--html", page)
        assert "(mean, 4 images, no interval)" in " ".join(text.split())
        shown = page.read_text(encoding="utf-8")
        assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in shown

    def test_images_are_measured_as_by_the_library(
        self, checkpoint: Path, mnist5k: Dataset, cli: Cli
    ) -> None:
        energy = cli.json("energy", checkpoint, "--images", "mnist5k", "--samples", 60)
        total, *of_classes = totals(energy)
        assert total["pj_interval_low"] < total["pj"] < total["pj_interval_high"]
        assert [row["class"] for row in of_classes] == list(range(10))
        measured = measure(trained_network(), mnist5k, 60)
        assert energy["inputs"]["n_images"] == 60
        facts = energy["inputs"]["facts"]
        percent = 100 * np.mean(measured.predictions == mnist5k.test.labels[:60])
        assert facts["classified correctly"].startswith(f"{percent:.2f} % (")
        means = measured.counts.means
        for layer, mean in means.items():
            assert facts[f"spikes per inference: {layer}"] == f"{mean:,.2f}"
        events = energy["inputs"]["proxies"]["synaptic_events_per_inference"]
        assert events == pytest.approx(means["input"] * 20 + means["hidden"] * 10)

    def test_no_name_reaches_the_terminal_raw(
        self, tmp_path: Path, mnist5k: Dataset, cli: Cli
    ) -> None:
        """Neither of a file, which need not be text, nor in one; JSON and page hold the
        same.
        """
        evil = "\x1b[2J\x07\x85"
        page = tmp_path / "page.html"
        file = write_example(tmp_path / os.fsdecode(f"{evil}a".encode() + b"\xff.pth"))
        baselines = write_baselines(
            tmp_path / "b.npz", mnist5k.test.labels[:4], name=evil
        )
        images = ("--images", "mnist5k", "--samples", 4)
        priced = ("energy", file, "--baselines", baselines, *images)
        texts = [cli.text(*priced, "--html", page), cli.text(*priced, "--json")]
        for text in (*texts, page.read_text(encoding="utf-8")):
            assert "\\u001b[2J\\u0007\\u0085" in text
            assert text.replace("\n", "").isprintable()
        assert json.loads(texts[1])["checkpoint"] == file.name

    def test_price_files_and_refusals(
        self, checkpoint: Path, tmp_path: Path, cli: Cli
    ) -> None:
        prices = tmp_path / "prices.yaml"
        prices.write_text(GOOD, encoding="utf-8")
        energy = cli.json("energy", checkpoint, "--hardware", prices)["headline"]
        assert (energy["profile"], energy["energy_nj"]) == ("chip", 22.0)
        assert "allowed: 45nm-fp32, " in cli.refusal(
            "energy", checkpoint, "--profile", "brain"
        )
        assert "needs --images" in cli.refusal("energy", checkpoint, "--samples", "3")


@pytest.fixture
def seed_checkpoint(tmp_path: Path) -> Path:
    """Without all that this project adds to the schema."""
    content = complete_content()
    del content["spikejoule"]
    for section in ("training_spikes", "inference_spikes"):
        for name in [name for name in content[section] if name.endswith("_per_layer")]:
            del content[section][name]
    torch_files.write(tmp_path / "seed.pth", content)
    return tmp_path / "seed.pth"


class TestVerdict:
    """The network of the file against the conventional ones of the baseline stage."""

    UNDER = ("--profile", "45nm-fp32")
    # 3,120 products of the first image, one more of each that follows; a bias for each
    # of 30 units
    BASELINE_PJ = 4.6 * 3121.5 + 0.9 * 30

    @pytest.fixture
    def baselines(self, mnist5k: Dataset, tmp_path: Path) -> Path:
        return write_baselines(tmp_path / "baseline.npz", mnist5k.test.labels[:4])

    @pytest.mark.parametrize("writer", ["checkpoint", "seed_checkpoint"])
    def test_recorded_means(
        self, writer: str, baselines: Path, request: pytest.FixtureRequest, cli: Cli
    ) -> None:
        options = (
            request.getfixturevalue(writer),
            "--baselines",
            baselines,
            *self.UNDER,
        )
        said = cli.json("energy", *options)["answer"]
        printed = " ".join(cli.text("energy", *options).split())
        assert " ".join(said) in printed
        ratio = SPIKING_PJ / self.BASELINE_PJ
        assert said[0].startswith(
            f"The spiking network loses at equal accuracy: {SPIKING_PJ / 1000:.4g} "
            "nJ per "
            f"inference, at least {ratio:.3g} times"
        )
        assert "87.00 % on validation images" in said[1]
        assert (
            "ReLU 784-20-10, zero-skipping (89.00 % validation, 100.00 % test)"
            in said[1]
        )
        energy = cli.json("energy", *options)
        headline = energy["headline"]
        assert headline["conventional"] == "ReLU 784-20-10, zero-skipping"
        assert headline["conventional_nj"] == pytest.approx(self.BASELINE_PJ / 1000)
        assert headline["ratio"] == pytest.approx(ratio)

    def test_other_test_images_are_refused(
        self, checkpoint: Path, baselines: Path, cli: Cli
    ) -> None:
        others = write_baselines(
            baselines.with_name("others.npz"), np.ones(4, np.uint8)
        )
        images = ("--images", "mnist5k", "--samples", "4")
        assert "others.npz was counted on other test images" in cli.refusal(
            "energy", checkpoint, "--baselines", others, *images
        )


class TestForeignCheckpoints:
    def test_without_inference_spikes(self, tmp_path: Path, cli: Cli) -> None:
        content = complete_content()
        del content["inference_spikes"]
        torch_files.write(tmp_path / "c.pth", content)
        assert "`spikejoule energy --images`" in cli.refusal(
            "energy", tmp_path / "c.pth"
        )
        energy = cli.json(
            "energy", tmp_path / "c.pth", "--images", "mnist5k", "--samples", "5"
        )
        assert energy["inputs"]["n_images"] == 5

    def test_without_what_training_needs(self, tmp_path: Path, cli: Cli) -> None:
        content = complete_content()
        content["spikejoule"]["history"] = []
        torch_files.write(tmp_path / "c.pth", content)
        headline = cli.json("energy", tmp_path / "c.pth")["headline"]
        assert "training_low_mj" in headline
        del content["training_spikes"]
        torch_files.write(tmp_path / "c.pth", content)
        headline = cli.json("energy", tmp_path / "c.pth")["headline"]
        assert "training_low_mj" not in headline
        said = cli.text("energy", tmp_path / "c.pth")
        assert "does not record the counts that the energy of training needs" in said


def measured_content(
    network: Checkpoint, mnist5k: Dataset, pruned: bool = False
) -> tuple[dict[str, Any], Measurement]:
    """The checkpoint of a network that ran on the first test images, and what it did
    there.
    """
    measured = measure(network, mnist5k, N_IMAGES, pruned)
    proxies = checkpoint_proxies(measured.activity())
    results = InferenceResults(measured.counts, 0.25, EVALUATION, proxies)
    complete = completed(network.checkpoint(), results, TRAIN_TIMINGS)
    return complete.content, measured


def stored(tmp_path: Path, content: dict[str, Any]) -> Checkpoint:
    torch_files.write(tmp_path / "c.pth", content)
    return Checkpoint.read(tmp_path / "c.pth")


def test_the_last_batch_of_an_epoch_is_smaller(tmp_path: Path) -> None:
    """100 samples in batches of 64, twice; all in one row where epochs are not
    recorded.
    """
    content = complete_content()
    for batches, samples in (([2, 2], [100, 100]), ([4], [200])):
        record = training_record(stored(tmp_path, content))
        assert record is not None
        assert record.batches.tolist() == batches
        assert record.activity.samples_of_row.tolist() == samples
        assert (record.samples, record.n_epochs) == (200, 2)
        content["spikejoule"]["history"] = []


class TestPruned:
    """Where synapses are gone, spikes times fan-out is no count of events."""

    @pytest.fixture
    def network(self) -> Checkpoint:
        """One of which 70 % of the synapses are gone."""
        network = trained_network()
        masks = pruning_masks(network.state, 0.7)
        state = {
            name: values * masks.get(name, True)
            for name, values in network.state.items()
        }
        config = {**network.training_config, "pruned_fraction": 0.7}
        return replace(network, state=state, training_config=config)

    def test_every_command_gives_the_events_of_a_recount(
        self, network: Checkpoint, mnist5k: Dataset, tmp_path: Path, cli: Cli
    ) -> None:
        content, measured = measured_content(network, mnist5k, pruned=True)
        stored(tmp_path, content)
        weights = [values for values in network.state.values() if values.ndim == 2]
        recount = sum(
            layer.to_dense(np.int64).sum(axis=(0, 1)) @ (matrix != 0).sum(axis=0)
            for layer, matrix in zip(measured.layers, weights, strict=False)
        )
        again = ("--images", "mnist5k", "--samples", N_IMAGES)
        for images in ((), again):
            headline = cli.json("energy", tmp_path / "c.pth", *images)["headline"]
            events = headline["synaptic_events_per_inference"]
            assert events == pytest.approx(recount / N_IMAGES)

    def test_events_that_are_not_recorded_are_not_guessed(
        self, network: Checkpoint, mnist5k: Dataset, tmp_path: Path, cli: Cli
    ) -> None:
        content, _ = measured_content(network, mnist5k, pruned=True)
        del content["energy_proxies"]["per_layer"]["hidden_to_output"]
        torch_files.write(tmp_path / "c.pth", content)
        assert "hidden_to_output" in cli.refusal("energy", tmp_path / "c.pth")


@pytest.mark.parametrize("products", PRODUCTS)
def test_constant_currents_are_recorded(
    products: Products, mnist5k: Dataset, tmp_path: Path
) -> None:
    """Their counts are in `tests/energy/test_recount.py`."""
    network = trained_network()
    counted = {"input_macs": 5000}
    history = [epoch.model_copy(update=counted) for epoch in network.history]
    code = Direct(time_window=50, direct_products=products)
    content, measured = measured_content(
        replace(network, encoder=code, history=history), mnist5k
    )
    checkpoint = stored(tmp_path, content)
    recorded = analysis_inputs(checkpoint)
    counted = analysis_inputs(
        checkpoint, CountedSamples(counted_runs(measured, code, None))
    )
    assert recorded.operations.columns == counted.operations.columns
    means = counted.operations.counts.mean(axis=0)
    assert recorded.operations.means.tolist() == pytest.approx(means.tolist())
    assert recorded.training is not None
    assert recorded.training.activity.macs.tolist() == [5000, 5000]
