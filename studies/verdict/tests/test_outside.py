"""`judge --add`: outside networks on either side, compared by the same rule."""

import shutil
from pathlib import Path

import nir
import numpy as np
import pandas as pd
import pytest

from spikejoule.baselines.counts import weight_arrays
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import Widths, in_integers, quantised_activations
from spikejoule.compare.analysis import analyse
from spikejoule.compare.from_counts import SampleSet
from spikejoule.compare.from_graph import graph_inputs
from spikejoule.core.errors import DataError
from spikejoule.core.store import read_json, write_json
from spikejoule.data.dataset import Dataset, load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.encoding.events import save_events
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import run_graph
from spikejoule.params import load_params
from studies.verdict.counted import counted_networks
from studies.verdict.entrants import FLOATS
from studies.verdict.networks import NetworkTable, RecordedNetwork, energy_cells
from studies.verdict.outside import Images, outside_networks
from studies.verdict.project import Project
from studies.verdict.tests.runs import RunNetworks, networks, record_networks
from tests.tools.cli import Cli
from tests.tools.finished_project import finish_project, run_stages
from tests.tools.pipeline_tools import artifact_paths, set_parameters
from tests.tools.without_torch import needs_torch

pytestmark = needs_torch

GIVEN = ("--dt", "1e-4", "--reset", "zero", "--threshold", "ge")
MODULES = """
import torch
from spikejoule import Baseline

torch.manual_seed(0)
ann = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 12), torch.nn.ReLU(),
                          torch.nn.Linear(12, 10)).eval()
integers = Baseline(ann, weight_bits=8, activation_bits=8)
"""


@pytest.fixture
def images(project: Path, mnist5k: Dataset) -> tuple[Path, Dataset]:
    """A project with 60 encoded images per split and one recorded run on them."""
    set_parameters(project, {"encode.time_window": 5})
    paths = artifact_paths(project)
    encoder = load_params(project / "params.yaml").encode.encoder
    for split, first in (("validation", 0), ("test", 60)):
        samples = mnist5k.test.select(slice(first, first + 60))
        samples.save(project / paths[split])
        events = encode_samples(encoder, samples, 42, split).events  # type: ignore[arg-type]
        save_events(project / paths[f"events_{split}"], events, {})
    record_networks(project, "own", networks(project, 42, percent=99.9))
    return project, mnist5k


def graph(seed: int) -> nir.NIRGraph:
    generator = np.random.default_rng(seed)
    parts = []
    for n_in, n_out in ((784, 20), (20, 10)):
        parts += [
            nir.Linear(generator.normal(0, 0.2, (n_out, n_in))),
            nir.LIF(*(np.full(n_out, value) for value in (1e-3, 10.0, 0.0, 1.0))),
        ]
    return nir.NIRGraph.from_list(*parts)


def judged(project: Path, study: Cli, *arguments: str | Path) -> list[RecordedNetwork]:
    """The networks that the command compares."""
    file = project / "networks.csv"
    study.text(
        project, "--networks", file, "--table", project / "verdict.csv", *arguments
    )
    return list(NetworkTable.read(file).rows)


def test_a_graph_is_judged_among_the_recorded_networks(
    images: tuple[Path, Dataset], study: Cli, tmp_path: Path
) -> None:
    project, dataset = images
    files = [tmp_path / f"theirs-{seed}.nir" for seed in (1, 2)]
    for seed, file in enumerate(files):
        nir.write(file, graph(seed))
    rows = judged(project, study, "--add", *files, *GIVEN)
    theirs = [row for row in rows if row.run.startswith("theirs")]
    whole = [row for row in theirs if row.method == "whole window"]
    assert [(row.run, row.seed) for row in whole] == [
        ("theirs-1.nir", 42),
        ("theirs-2.nir", 43),
    ]
    # Like the project's own networks, in four ways.
    ways = {row.method for row in theirs}
    assert ways == {
        f"{way}{updates}"
        for way in ("whole window", "early exit")
        for updates in ("", ", lazy updates")
    }
    assert {row.run for row in rows} - {row.run for row in theirs} == {"own"}
    assert len({row.configuration for row in theirs}) == 1
    assert len({row.weights_sha256 for row in theirs}) == 2
    # Counted and priced as the library does; its encoding is added.
    encoder = load_params(project / "params.yaml").encode.encoder
    test = dataset.test.select(slice(60, 120))
    assert isinstance(test, LabelledImages)
    events = encode_samples(encoder, test, 42, "test").events
    run = run_graph(
        graph(0), events, Conventions(dt=1e-4, reset="zero", comparison="ge")
    )
    profiles = load_profiles()
    chosen = profiles["45nm-fp32"]
    inputs = graph_inputs(run, SampleSet("t", test.labels))
    analysed = analyse(inputs, profiles, chosen, chosen, BootstrapSettings(10))
    arithmetic = whole[0].energy("45nm-fp32")
    assert arithmetic
    assert arithmetic.middle_pj == pytest.approx(analysed.total().value_pj)
    assert arithmetic.standard_deviation_pj
    with_memory = whole[0].energy("lemaire-complete")
    without_encoding = analysed.total(profile="lemaire-complete").value_pj or 0.0
    assert with_memory
    assert without_encoding < with_memory.middle_pj < 1.5 * without_encoding
    assert whole[0].energy("lemaire-complete-int8") is None, (
        "its weights are no integers"
    )
    # The first of equal outputs answers, as in the project's own networks.
    answers = [row.index(max(row)) for row in run.output.tolist()]
    assert any(row.count(max(row)) > 1 for row in run.output.tolist())
    assert whole[0].test_percent == pytest.approx(100 * np.mean(answers == test.labels))
    named = set(pd.read_csv(project / "verdict.csv")["spiking_network"].dropna())
    assert named, "no network reaches a level"
    assert all(name.startswith("own: ") for name in named), (
        "a cheap network below the level does not win"
    )


def test_a_conventional_pytorch_network(
    images: tuple[Path, Dataset], study: Cli, tmp_path: Path
) -> None:
    project, _ = images
    (tmp_path / "mine.py").write_text(MODULES)
    rows = judged(
        project, study, "--add", f"{tmp_path}/mine.py:integers", "--side", "ann"
    )
    theirs = [row for row in rows if row.run == "mine.py:integers"]
    assert [row.method for row in theirs] == ["dense", "zero-skipping"]
    assert {row.side for row in theirs} == {"conventional"}
    dense = theirs[0].energy("45nm-fp32")
    skipping = theirs[1].energy("45nm-fp32")
    assert dense
    assert dense.middle_pj == pytest.approx(
        4.6 * (784 * 12 + 12 * 10) + 0.9 * 22, rel=0.01
    )
    assert skipping
    assert skipping.high_pj < dense.high_pj
    assert all(row.energy("45nm-int8") for row in theirs)


FIRST_LAYER_IN_INTEGERS = """
import torch
from spikejoule import Baseline


class Network(torch.nn.Module):
    def __init__(self, uses_a_vector):
        super().__init__()
        self.weight = torch.randint(-7, 8, (784, 12))
        self.vector = torch.arange(784) if uses_a_vector else None
        self.relu, self.last = torch.nn.ReLU(), torch.nn.Linear(12, 10)

    def forward(self, images):
        levels = (images * 15).round().long().flatten(1)
        # Weights, too, and not one number by which all are rescaled.
        if self.vector is not None:
            return self.last(self.relu((levels * self.vector).float()[:, :12]))
        return self.last(self.relu((levels @ self.weight).float()))


x = Baseline(Network(0).eval(), weight_bits=4, activation_bits=4)
scaled = Baseline(Network(1).eval(), weight_bits=4, activation_bits=4)
"""
OWN_IN_TORCH = """
import numpy, torch
from torch import nn
from spikejoule import Baseline

with numpy.load("{arrays}") as archive:
    held = dict(archive)
TOP, HALF = 2**4 - 1, 2**15


def layer(number, dtype):
    weight = torch.from_numpy(held[f"layer{{number}}.integer_weight"]).to(dtype)
    made = nn.Linear(*weight.shape[::-1])
    made.weight = nn.Parameter(weight, requires_grad=False)
    bias = torch.from_numpy(held[f"layer{{number}}.integer_bias"]).to(dtype)
    made.bias = nn.Parameter(bias, requires_grad=False)
    return made


class Levels(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, images):
        levels = (images * 255).round().long() * TOP + 127
        return levels.floor_divide(255).to(self.dtype)


class Requantise(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.multiplier, self.shift = map(int, held[f"layer{{number}}.requantisation"])

    def forward(self, sums):
        scaled = sums.clamp(-HALF, HALF - 1) * self.multiplier + 2 ** (self.shift - 1)
        return torch.floor_divide(scaled, 2**self.shift).clamp(0, TOP)


class InFunctions(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = layer(1, torch.int64), layer(2, torch.int64)
        self.multiplier, self.shift = map(int, held["layer1.requantisation"])

    def forward(self, images):
        levels = ((images * 255).round().long() * TOP + 127) // 255
        sums = self.one(levels.flatten(1)).clamp(-HALF, HALF - 1)
        rounded = sums * self.multiplier + (1 << (self.shift - 1))
        return self.two((rounded >> self.shift).clamp(0, TOP))


def sequence(dtype):
    first = Levels(dtype), nn.Flatten(), layer(1, dtype)
    return nn.Sequential(*first, Requantise(1), layer(2, dtype))


def narrow(module):
    return Baseline(module.eval(), weight_bits=4, activation_bits=4, sum_bits=16)


integers, floats = narrow(sequence(torch.int64)), narrow(sequence(torch.float64))
functions = narrow(InFunctions())
"""


def test_the_projects_own_integers_as_a_pytorch_module(
    images: tuple[Path, Dataset], study: Cli, tmp_path: Path
) -> None:
    """Equal accuracies, ties included, and equal energies under every price list."""
    project, dataset = images
    generator = np.random.default_rng(0)
    shapes = ConventionalNetwork.of_layers(784, [12], 10).parameter_shapes()
    state = {
        key: generator.normal(0, 0.1, shape).astype(np.float32)
        for key, shape in shapes.items()
    }
    network = in_integers(state, [0.05, 0.05], [0.5], Widths(4, 4, 16))
    splits = {
        name: dataset.test.select(slice(first, first + 60))
        for name, first in (("validation", 0), ("test", 60))
    }
    own = measure_baseline("own integers", network, False, False, splits)
    scores = quantised_activations(network, splits["test"].images)[-1]
    is_highest = scores == scores.max(axis=1, keepdims=True)
    assert (is_highest.sum(axis=1) > 1).any(), "no sample shows how ties are broken"
    spiking = networks(project, 43).spiking
    record_networks(project, "integers", RunNetworks(spiking, [own]), 43)
    arrays = tmp_path / "own.npz"
    np.savez(arrays, **weight_arrays(network))
    (tmp_path / "mine.py").write_text(OWN_IN_TORCH.format(arrays=arrays))
    for name in ("integers", "floats", "functions"):
        added = f"{tmp_path}/mine.py:{name}"
        rows = judged(project, study, "--add", added, "--side", "ann")
        by_name = {(row.run, row.method): row for row in rows}
        for method in ("dense", "zero-skipping"):
            theirs = by_name[f"mine.py:{name}", method]
            ours = by_name["integers", method]
            assert theirs.validation_percent == ours.validation_percent
            assert theirs.test_percent == ours.test_percent
            assert theirs.priced == ours.priced
            assert "lemaire-complete-int8:pj" in theirs.priced
            assert theirs.energies == pytest.approx(ours.energies, rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_a_spiking_pytorch_network(
    images: tuple[Path, Dataset], study: Cli, tmp_path: Path
) -> None:
    pytest.importorskip("snntorch")
    project, _ = images
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom snntorch import Leaky\ntorch.manual_seed(0)\n"
        "snn = torch.nn.Sequential(torch.nn.Linear(784, 10), Leaky(0.9, "
        "init_hidden=True))\n"
        "snn.eval()\n"
    )
    rows = judged(project, study, "--add", f"{tmp_path}/mine.py:snn")
    (theirs,) = (row for row in rows if row.run == "mine.py:snn")
    assert theirs.side == "spiking"
    assert theirs.energy("lemaire-complete")


def test_refusals(images: tuple[Path, Dataset], study: Cli, tmp_path: Path) -> None:
    project, dataset = images
    (tmp_path / "mine.py").write_text("x = 1\n")
    (tmp_path / "first.py").write_text(FIRST_LAYER_IN_INTEGERS)
    nir.write(tmp_path / "theirs.nir", graph(1))
    shutil.copy(tmp_path / "theirs.nir", tmp_path / "copy.nir")
    for arguments, message in (
        ((tmp_path / "mine.txt",), "allowed is GRAPH.nir, FILE.py:NAME"),
        ((f"{tmp_path}/mine.py:x",), "is no PyTorch module"),
        ((tmp_path / "theirs.nir", "--side", "ann"), "is a network of spiking neurons"),
        (
            (f"{tmp_path}/first.py:scaled", "--side", "ann"),
            "is not counted whole: Network (mul)",
        ),
        (
            (tmp_path / "theirs.nir", tmp_path / "copy.nir", *GIVEN),
            "has the weights of",
        ),
    ):
        assert message in study.refusal(project, "--add", *arguments)
    # Networks on other data or another number of images are not comparable.
    table = project / "networks.csv"
    study.text(project, "--networks", table)
    add = (project, "--add", tmp_path / "theirs.nir", "--recorded", table)
    paths = artifact_paths(project)
    dataset.test.select(slice(30)).save(project / paths["test"])
    assert "60 test samples, but the project has 30" in study.refusal(*add)
    (project / "mlflow.db").unlink()
    assert "30 test images of mnist5k, but the recorded" in study.refusal(*add)
    write_json(project / paths["data_metrics"], {"source": "mnist"})
    assert "30 test images of mnist, but the recorded" in study.refusal(
        *add, "--data", "mnist5k"
    )


@pytest.fixture(scope="module")
def integers(
    repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project whose spiking and conventional networks compute in integers."""
    folder = tmp_path_factory.mktemp("integers") / "project"
    finish_project(
        repository,
        mnist5k,
        folder,
        {
            "encode.encoding": "latency",
            "model.decay": 1.0,
            "model.reset": "subtract",
            "model.weight_bits": 4,
            "model.state_bits": 16,
            "baseline.family_hidden": [8, 12],
            "baseline.family_bits": [4],
            "measure_inference.n_samples": "null",
        },
        last="energy_report",
    )
    return folder


def entered(integers: Path, side: str, *files: str) -> list[RecordedNetwork]:
    """The rows of files of the project."""
    project = Project.at(integers)
    images = Images.load(integers, project.paths, project.params, FLOATS)
    given = [f"{integers}/{file}" for file in files]
    return outside_networks(given, side, Conventions(), images, project.comparing)


def conventional(hidden: int) -> str:
    name = f"ReLU 784-{hidden}-10, 50 % pruned, 4 bits, 16-bit sums"
    return f"results/baseline.npz:{name}"


def assert_counted_like_its_run(project: Path, side: str, file: str) -> None:
    """To the last digit, in every way of running."""
    rows = {row.method: row for row in entered(project, side, file)}
    name = next(iter(rows.values())).network
    files = {key: project / path for key, path in Project.at(project).paths.items()}
    test = load_samples(files["test"])
    own = [
        network
        for network in counted_networks(files, test, "0" * 64)
        if network.network.removeprefix("spiking ") == name
    ]
    assert {network.method for network in own} == set(rows)
    profiles = Project.at(project).comparing
    for network in own:
        row = rows[network.method]
        assert "lemaire-complete-int8:pj" in row.priced
        energies = energy_cells(network, profiles)
        assert {column: row.energies[column] for column in energies} == pytest.approx(
            energies
        )
        assert row.validation_percent == pytest.approx(network.validation_percent)
        assert row.test_percent == pytest.approx(network.test_percent)


@pytest.mark.parametrize(
    ("side", "file"), [("snn", "models/trained.pth"), ("ann", conventional(8))]
)
def test_files_of_a_project_are_counted_like_its_run(
    integers: Path, side: str, file: str
) -> None:
    assert_counted_like_its_run(integers, side, file)


def test_a_checkpoint_stops_early_by_the_rule_of_its_project(
    integers: Path, tmp_path: Path
) -> None:
    project = shutil.copytree(integers, tmp_path / "project")
    set_parameters(project, {"evaluate.early_exit_rule": "first_spike"})
    run_stages(project, ["evaluate", "energy_report"])
    assert_counted_like_its_run(project, "snn", "models/trained.pth")


def test_a_cascade_costs_the_first_network_and_part_of_the_second(
    integers: Path,
) -> None:
    small = conventional(8)
    large = conventional(12)
    rows = entered(integers, "ann", small, large, f"{small}+{integers}/{large}")
    counted = {(row.seed, row.method): row for row in rows}
    for method in ("dense", "zero-skipping"):
        first = counted[0, method].count("mac")
        second = counted[1, method].count("mac")
        both = counted[2, f"cascade, {method}"].count("mac")
        assert first <= both <= first + second


def test_a_checkpoint_of_other_images_is_refused(integers: Path) -> None:
    file = integers / artifact_paths(integers)["data_metrics"]
    data = read_json(file)
    write_json(file, {**data, "sha256": {"train": "0" * 64}})
    with pytest.raises(DataError, match="was trained with other images"):
        entered(integers, "snn", "models/trained.pth")
    write_json(file, data)
    set_parameters(integers, {"seed": 43})
    with pytest.raises(DataError, match="or another seed"):
        entered(integers, "snn", "models/trained.pth")
    set_parameters(integers, {"seed": 42})
