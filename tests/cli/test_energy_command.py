"""`spikejoule energy`, and what it takes from complete checkpoints of different writers."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.data.images import Dataset
from spikejoule.evaluation.inference import measure_network
from spikejoule.model.checkpoint import (
    build_complete,
    write_complete,
)
from spikejoule.model.pruning import pruning_masks
from spikejoule.params import load_params
from tests.cli.conftest import Cli
from tests.energy.test_profiles import GOOD
from tests.tools.examples import (
    EVALUATION,
    TRAIN_TIMINGS,
    complete_content,
    trained_network,
    write_baselines,
    write_example,
)
from tests.tools.settings import draw_key, encode


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_example(tmp_path / "c.pth")


def as_the_seed_wrote_it(content: dict[str, Any]) -> dict[str, Any]:
    """A content without all that this project adds to the schema."""
    content = {name: value for name, value in content.items() if name != "spikejoule"}
    for section in ("training_spikes", "inference_spikes"):
        content[section] = {
            name: value
            for name, value in content[section].items()
            if not name.endswith("_per_layer")
        }
    return content


def totals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The network's own under the first profile: of an inference, and of each class."""
    return [
        row
        for row in found["energies"]
        if (row["profile"], row["network"], row["phase"], row["term"])
        == (found["headline"]["profile"], "snn", "inference", "total")
    ]


class TestCommand:
    def test_recorded_means_have_no_interval(self, checkpoint: Path, cli: Cli) -> None:
        found = cli.json("energy", checkpoint)
        # 400 and 300 spikes of input and hidden; 784-20-10, 50 steps
        expected = 0.9 * (400 * 20 + 300 * 10) + (0.9 + 3.7) * 50 * 30
        assert found["headline"]["energy_per_inference_pj"] == pytest.approx(expected)
        assert not found["has_intervals"]
        (total,) = totals(found)
        assert total["pj"] == pytest.approx(expected)
        assert total["pj_interval_low"] is None
        text = cli.text("energy", checkpoint)
        assert "(a mean, 4 images: no interval)" in text
        assert "neuron_update_active" in text

    def test_measured_images_have_intervals_and_classes(self, checkpoint: Path, cli: Cli) -> None:
        found = cli.json("energy", checkpoint, "--images", "mnist5k", "--samples", "60")
        total, *of_classes = totals(found)
        assert total["pj_interval_low"] < total["pj"] < total["pj_interval_high"]
        assert found["inputs"]["n_images"] == 60
        assert [row["class"] for row in of_classes] == list(range(10))
        measured = cli.json("measure", checkpoint, "--images", "mnist5k", "--samples", 60)
        assert found["headline"]["synaptic_events_per_inference"] == pytest.approx(
            measured["synaptic_events_per_inference"]
        )

    def test_a_price_file_of_ones_own(self, checkpoint: Path, tmp_path: Path, cli: Cli) -> None:
        prices = tmp_path / "prices.yaml"
        prices.write_text(GOOD, encoding="utf-8")
        found = cli.json("energy", checkpoint, "--hardware", prices)
        assert found["headline"]["profile"] == "chip"
        assert found["headline"]["energy_per_inference_pj"] == 2 * 11_000

    def test_a_profile_by_its_id(self, checkpoint: Path, cli: Cli) -> None:
        found = cli.json("energy", checkpoint, "--profile", "truenorth")
        assert found["headline"]["energy_per_inference_pj"] == 26 * 11_000
        assert "allowed: 45nm-fp32, " in cli.refusal("energy", checkpoint, "--profile", "brain")

    def test_refusals(self, checkpoint: Path, tmp_path: Path, cli: Cli) -> None:
        prices = tmp_path / "prices.yaml"
        prices.write_text(GOOD.replace("synaptic_event: 2", "synaptic_event: -2"), encoding="utf-8")
        assert "prices.yaml, line 10: " in cli.refusal("energy", checkpoint, "--hardware", prices)
        assert "needs --images" in cli.refusal("energy", checkpoint, "--samples", "3")
        assert "does not exist" in cli.refusal("energy", tmp_path / "none.pth")
        baseline = tmp_path / "none.npz"
        assert "does not exist" in cli.refusal("energy", checkpoint, "--baseline", baseline)


@pytest.fixture
def seed_checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "seed.pth"
    write_complete(path, as_the_seed_wrote_it(complete_content()))
    return path


class TestVerdict:
    """The network of the file against the conventional ones of the baseline stage."""

    UNDER = ("--verdict-profile", "45nm-fp32")
    # 400 and 300 spikes of input and hidden; 784-20-10, 50 steps
    SPIKING_PJ = 0.9 * (400 * 20 + 300 * 10) + (0.9 + 3.7) * 50 * 30
    # 3,120 products of the first image, one more of each that follows; a bias for each of 30 units
    BASELINE_PJ = 4.6 * 3121.5 + 0.9 * 30

    @pytest.fixture
    def baselines(self, mnist5k: Dataset, tmp_path: Path) -> Path:
        return write_baselines(tmp_path / "baseline.npz", mnist5k.test.labels[:4])

    @staticmethod
    def answer(cli: Cli, *arguments: str | Path) -> str:
        """The first sentence that the command says of the energy."""
        return cli.text("energy", *arguments).splitlines()[2].strip()

    @pytest.mark.parametrize("writer", ["checkpoint", "seed_checkpoint"])
    def test_recorded_means(
        self,
        writer: str,
        baselines: Path,
        request: pytest.FixtureRequest,
        cli: Cli,
    ) -> None:
        given = (request.getfixturevalue(writer), "--baselines", baselines, *self.UNDER)
        said = self.answer(cli, *given)
        ratio = self.SPIKING_PJ / self.BASELINE_PJ
        assert said.startswith(
            "The spiking network loses at equal accuracy (87.00 % on validation images) under "
            f"45nm-fp32: {self.SPIKING_PJ / 1000:.4g} nJ per inference, {ratio:.3g} ("
        )
        assert "ReLU 784-20-10, zero-skipping (89.00 % validation, 100.00 % test)" in said
        found = cli.json("energy", *given)
        assert found["answer"][0] == said
        headline = found["headline"]
        assert headline["verdict_profile"] == "45nm-fp32"
        assert headline["equal_accuracy_energy_pj"] == pytest.approx(self.SPIKING_PJ)
        assert headline["equal_accuracy_baseline"] == "ReLU 784-20-10, zero-skipping"
        assert headline["equal_accuracy_baseline_energy_pj"] == pytest.approx(self.BASELINE_PJ)
        assert headline["equal_accuracy_ratio"] == pytest.approx(ratio)
        assert 0 <= headline["profiles_won"] <= headline["profiles_compared"]

    def test_the_default_is_the_pipelines(
        self,
        checkpoint: Path,
        baselines: Path,
        repository: Path,
        cli: Cli,
    ) -> None:
        default = load_params(repository / "params.yaml").energy_report
        found = cli.json("energy", checkpoint, "--baselines", baselines)
        chosen = found["headline"]["profile"], found["headline"]["verdict_profile"]
        assert chosen == (default.profile, default.verdict_profile)
        system = next(row for row in found["verdicts"] if row["profile"] == chosen[1])
        assert system["ratio"] == pytest.approx(found["headline"]["equal_accuracy_ratio"], rel=1e-7)
        assert system["outcome"] in ("snn", "ann", "undecided")
        assert system["conventional"] in {one["conventional"] for one in found["equal_size"]}

    def test_measured_images_give_the_interval_of_pairs(
        self, checkpoint: Path, baselines: Path, cli: Cli
    ) -> None:
        images = ("--images", "mnist5k", "--samples", "4")
        found = cli.json("energy", checkpoint, "--baselines", baselines, *self.UNDER, *images)[
            "headline"
        ]
        assert (
            found["equal_accuracy_ratio_low"]
            < found["equal_accuracy_ratio"]
            < found["equal_accuracy_ratio_high"]
        )
        others = write_baselines(
            baselines.with_name("others.npz"), np.array([1, 1, 1, 1], np.uint8)
        )
        assert "others.npz was counted on other test images" in cli.refusal(
            "energy", checkpoint, "--baselines", others, *images
        )


class TestForeignCheckpoints:
    def test_one_of_the_seed_gives_the_same_means(
        self, seed_checkpoint: Path, checkpoint: Path, cli: Cli
    ) -> None:
        ours, theirs = cli.json("energy", checkpoint), cli.json("energy", seed_checkpoint)
        assert theirs["headline"] == ours["headline"]
        assert theirs["energies"] == ours["energies"]
        assert theirs["training"]["epochs"] == []
        assert len(ours["training"]["epochs"]) == 2

    def test_without_inference_spikes(self, tmp_path: Path, cli: Cli) -> None:
        content = complete_content()
        del content["inference_spikes"]
        write_complete(tmp_path / "c.pth", content)
        assert "no inference spikes" in cli.refusal("proxies", tmp_path / "c.pth")
        assert "`spikejoule energy --images`" in cli.refusal("energy", tmp_path / "c.pth")
        found = cli.json("energy", tmp_path / "c.pth", "--images", "mnist5k", "--samples", "5")
        assert found["inputs"]["n_images"] == 5

    @pytest.mark.parametrize("missing", ["training_spikes", "training_config", "training_results"])
    def test_without_what_training_needs(self, missing: str, tmp_path: Path, cli: Cli) -> None:
        content = complete_content()
        del content[missing]
        write_complete(tmp_path / "c.pth", content)
        assert cli.json("energy", tmp_path / "c.pth")["training"] is None
        said = cli.text("energy", tmp_path / "c.pth")
        assert "does not record what the energy of training needs" in said


class TestPruned:
    """Where synapses are gone, spikes times fan-out is no count of events."""

    N_IMAGES = 12

    @pytest.fixture
    def content(self, mnist5k: Dataset) -> dict[str, Any]:
        """A network of which 70 % of the synapses are gone, and what it did on the first images."""
        network = trained_network()
        masks = pruning_masks(network.state, 0.7)
        state = {name: values * masks.get(name, True) for name, values in network.state.items()}
        config = {**network.training_config, "pruned_fraction": 0.7}
        network = replace(network, state=state, training_config=config)
        images = mnist5k.test.select(slice(self.N_IMAGES))
        events = encode(images.images, 50, 80.0, draw_key(7, "test", 0), images.index)
        measured = measure_network(state, network.architecture, events, pruned=True)
        proxies = measured.proxies.as_checkpoint_entry()
        self.recount = [
            (layer.to_dense(np.int64).sum(axis=(0, 1)) @ (weights != 0).sum(axis=0)) / self.N_IMAGES
            for layer, weights in zip(
                measured.layers, (v for v in state.values() if v.ndim == 2), strict=False
            )
        ]
        return build_complete(
            network, measured.counts, 0.25, TRAIN_TIMINGS, EVALUATION, proxies, {}
        )

    @pytest.fixture
    def pruned(self, content: dict[str, Any], tmp_path: Path) -> Path:
        write_complete(tmp_path / "pruned.pth", content)
        return tmp_path / "pruned.pth"

    def test_every_command_gives_the_events_of_a_recount(self, pruned: Path, cli: Cli) -> None:
        again = ("--images", "mnist5k", "--samples", str(self.N_IMAGES))
        found = {}
        for command in (("report",), ("measure", *again), ("energy",), ("energy", *again)):
            values = cli.json(command[0], pruned, *command[1:])
            found[command] = values.get("headline", values)["synaptic_events_per_inference"]
        assert found == pytest.approx(dict.fromkeys(found, sum(self.recount)))
        text = cli.text("report", pruned)
        assert f"{sum(self.recount):,.1f}" in text
        assert "sum over spikes of the synapses that are left" in text

    @pytest.mark.parametrize("value", [None, True, -1, math.nan, 1e9])
    def test_events_that_are_not_recorded_are_not_guessed(
        self,
        value: Any,
        content: dict[str, Any],
        tmp_path: Path,
        cli: Cli,
    ) -> None:
        content["energy_proxies"]["per_layer"]["hidden_to_output"] = {
            "synaptic_events_per_inference": value
        }
        write_complete(tmp_path / "c.pth", content)
        for command in ("report", "energy"):
            assert "hidden_to_output" in cli.refusal(command, tmp_path / "c.pth")


def test_the_report_as_a_page(checkpoint: Path, tmp_path: Path, cli: Cli) -> None:
    page = tmp_path / "energy.html"
    cli.text("energy", checkpoint, "--html", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in text
